//! The extended query protocol of the target, as PostgreSQL speaks it: it says nothing until it is asked to by `Flush`
//! or `Sync`, and after an error it skips everything up to a `Sync`.

use std::{collections::HashMap, sync::atomic::Ordering};

use bytes::{BufMut, Bytes, BytesMut};

use super::{Target, catalog, row, rows_of};
use crate::codec::{
    encode::{self, ErrorMessage, Severity, bare, complete, framed},
    extended::{Bind, Execute, Named, Parse},
};

/// What a target describes to one user in another way than to others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Otherwise {
    Parameters,
    Columns,
    /// It refuses to prepare.
    Refuses,
    /// It hangs up instead.
    Leaves,
}

/// What a target says without being asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Extra {
    /// A description, within the reply to an execution.
    Within,
    /// A second result, behind the first.
    Behind,
    /// A second result with its `ReadyForQuery`, behind that of the first.
    BehindReady,
}

/// What was prepared and bound, and what is still to be said.
#[derive(Default)]
pub(super) struct Extended {
    statements: HashMap<Bytes, Parse>,
    portals: HashMap<Bytes, Portal>,
    /// Said at the next `Flush` or `Sync`.
    out: BytesMut,
    /// After an error, until `Sync`.
    skips: bool,
    /// An execution is not answered until it is cancelled.
    pub(super) hangs: bool,
    wrote: bool,
    /// What was cancelled came by a `Query`.
    by_query: bool,
}

struct Portal {
    text: String,
    values: Vec<Option<Bytes>>,
    /// Rows that were sent, once it was executed.
    sent: Option<usize>,
}

impl Extended {
    pub(super) fn transaction_ended(&mut self) {
        self.portals.clear();
        self.wrote = false;
    }

    pub(super) fn query_hangs(&mut self) {
        (self.hangs, self.by_query) = (true, true);
    }

    fn error(&mut self, code: &str) {
        let (severity, message) = (Severity::Error, "as the script says");
        encode::error(&mut self.out, &ErrorMessage { severity, code, message, detail: None });
        self.skips = true;
    }
}

impl Target {
    /// Takes a message in, and says what there is to be said; `None` hangs up.
    pub(super) fn extended(&mut self, kind: u8, body: &[u8]) -> Option<BytesMut> {
        let body = Bytes::copy_from_slice(body);
        self.extended.by_query = false;
        match kind {
            b'S' => return Some(self.sync()),
            b'H' => {
                self.say("Flush");
                return Some(std::mem::take(&mut self.extended.out));
            }
            _ if self.extended.skips => {}
            b'P' => self.parse(Parse::read(body).unwrap())?,
            b'B' => self.bind(Bind::read(body).unwrap()),
            b'D' => self.describe(&Named::read(body).unwrap()),
            b'E' => self.execute(&Execute::read(body).unwrap()),
            b'C' => self.close(&Named::read(body).unwrap()),
            _ => self.timeline.add(format!("target got a message of type {}", char::from(kind))),
        }
        Some(BytesMut::new())
    }

    /// What hung is cancelled.
    pub(super) fn answer_cancelled(&mut self) -> BytesMut {
        self.extended.hangs = false;
        self.extended.error("57014");
        if self.extended.by_query {
            self.extended.skips = false;
            framed(&mut self.extended.out, b'Z', |out| out.put_u8(b'I'));
        }
        std::mem::take(&mut self.extended.out)
    }

    fn say(&self, what: &str) {
        if self.user != "meta" {
            self.timeline.add(format!("target {} {what}", self.user));
        }
    }

    fn parse(&mut self, parse: Parse) -> Option<()> {
        if self.user == "meta" {
            self.timeline.add("target Parse");
            self.extended.statements.insert(parse.name.clone(), parse);
            return Some(());
        }
        let text = text(&parse.text);
        assert!(parse.name.starts_with(b"countersign_"), "{:?} is no name of the edge", parse.name);
        assert!(!self.extended.statements.contains_key(&parse.name), "{:?} again", parse.name);
        let types = if parse.types.is_empty() { String::new() } else { format!(" of {:?}", parse.types) };
        self.say(&format!("Parse: {text}{types}"));
        match self.otherwise() {
            Some(Otherwise::Leaves) => return None,
            _ if self.status == b'E' => self.extended.error("25P02"),
            Some(Otherwise::Refuses) => self.extended.error("42501"),
            _ if text.contains("missing") => self.extended.error("42P01"),
            _ => {
                bare(&mut self.extended.out, b'1');
                self.extended.statements.insert(parse.name.clone(), parse);
            }
        }
        Some(())
    }

    fn otherwise(&self) -> Option<Otherwise> {
        self.script.otherwise.filter(|(user, _)| *user == self.user).map(|(_, otherwise)| otherwise)
    }

    fn describe(&mut self, named: &Named) {
        let Named::Statement(name) = named else { panic!("portals are described by the edge") };
        let Some(parse) = self.extended.statements.get(name) else { return self.extended.error("26000") };
        let (text, declared) = (text(&parse.text), parse.types.clone());
        let other = self.otherwise();
        self.say(&format!("Describe: {text}"));
        let count = (1..10).filter(|number| text.contains(&format!("${number}"))).max().unwrap_or(0);
        let open = if other == Some(Otherwise::Parameters) { 25 } else { 23 };
        framed(&mut self.extended.out, b't', |out| {
            out.put_u16(count.max(declared.len()) as u16);
            (0..count.max(declared.len())).for_each(|place| {
                out.put_u32(declared.get(place).copied().filter(|oid| *oid != 0).unwrap_or(open));
            });
        });
        match returns_rows(&text) {
            true if other == Some(Otherwise::Columns) => rows_of(&mut self.extended.out, &["other"]),
            true => rows_of(&mut self.extended.out, &["id"]),
            false => bare(&mut self.extended.out, b'n'),
        }
    }

    fn bind(&mut self, bind: Bind) {
        let Some(parse) = self.extended.statements.get(&bind.statement) else {
            return self.extended.error("26000");
        };
        if self.status == b'E' {
            return self.extended.error("25P02");
        }
        let portal = Portal { text: text(&parse.text), values: bind.values, sent: None };
        bare(&mut self.extended.out, b'2');
        self.extended.portals.insert(bind.portal, portal);
    }

    fn execute(&mut self, execute: &Execute) {
        let Extended { portals, out, wrote, .. } = &mut self.extended;
        let Some(portal) = portals.get_mut(&execute.portal) else { return self.extended.error("34000") };
        let limit = usize::try_from(execute.row_limit).unwrap();
        if self.user == "meta" {
            match portal.values.len() {
                4 => catalog::definitions(self.script.definition.load(Ordering::Relaxed), out),
                _ => self.script.meanings.answer(&portal.values, out),
            }
            return;
        }
        let values: Vec<_> =
            portal.values.iter().map(|one| one.as_deref().map_or("NULL".into(), text)).collect();
        let (verb, text) = (if portal.sent.is_some() { "Fetch" } else { "Execute" }, portal.text.clone());
        let limited = if limit > 0 { format!(" limit {limit}") } else { String::new() };
        self.timeline.add(format!(
            "target {} {verb}: {text} with [{}]{limited}",
            self.user,
            values.join(", ")
        ));
        if self.script.extra == Some(Extra::Within) {
            bare(out, b'n');
        }
        if text.contains("1/0") {
            return self.extended.error("22012");
        }
        if text.contains("hang") {
            self.extended.hangs = true;
            return;
        }
        let all = if text.contains("from orders") { 3 } else { usize::from(returns_rows(&text)) };
        let before = portal.sent.unwrap_or(0);
        let now = (all - before).min(if limit == 0 { usize::MAX } else { limit });
        portal.sent = Some(before + now);
        (0..now).for_each(|_| row(out, &["1"]));
        if limit > 0 && now == limit {
            return bare(out, b's');
        }
        let word = text.split(' ').next().unwrap_or_default().to_uppercase();
        *wrote |= matches!(word.as_str(), "INSERT" | "UPDATE");
        match word.as_str() {
            "" => bare(out, b'I'),
            "INSERT" => complete(out, "INSERT 0 1"),
            "UPDATE" => complete(out, "UPDATE 1"),
            "SELECT" | "EXECUTE" => complete(out, &format!("SELECT {now}")),
            other => complete(out, other),
        }
        if self.script.extra == Some(Extra::Behind) {
            row(out, &["unasked"]);
            complete(out, "SELECT 1");
        }
    }

    fn close(&mut self, named: &Named) {
        let closed = match named {
            Named::Statement(name) => {
                self.extended.statements.remove(name).map(|parse| ("statement", text(&parse.text)))
            }
            Named::Portal(name) => self.extended.portals.remove(name).map(|portal| ("portal", portal.text)),
        };
        let (what, text) = closed.expect("what is closed is there");
        self.say(&format!("Close {what}: {text}"));
        bare(&mut self.extended.out, b'3');
    }

    fn sync(&mut self) -> BytesMut {
        self.say("Sync");
        if self.script.deferred_error && self.extended.wrote && self.status == b'I' && !self.extended.skips {
            self.extended.error("23503");
        }
        if self.extended.skips && self.status == b'T' {
            self.status = b'E';
        }
        self.extended.skips = false;
        if self.status == b'I' {
            self.extended.transaction_ended();
        }
        let status = self.status;
        let out = &mut self.extended.out;
        framed(out, b'Z', |out| out.put_u8(status));
        if self.script.extra == Some(Extra::BehindReady) && self.user != "meta" {
            row(out, &["unasked"]);
            complete(out, "SELECT 1");
            framed(out, b'Z', |out| out.put_u8(status));
        }
        std::mem::take(out)
    }
}

fn returns_rows(text: &str) -> bool {
    text.starts_with("select") || text.starts_with("execute") || text.contains("returning")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
