//! Bounds that must hold before the parser sees a text, because parts of it recurse by the height of the tree and
//! parts of its scanner take quadratic time.
//!
//! This scanner follows PostgreSQL's lexical rules far enough to skip strings, comments and dollar quotes. It only
//! ever refuses: were it wrong about a quote, no fact would change.

use crate::{Limits, Refused};

/// PostgreSQL refuses longer operators than 63 bytes; its scanner reads a run of these again for each token in it.
const LONGEST_OPERATOR_RUN: usize = 128;
/// Comments that begin without anything but operator characters since the last: each reads the whole run again.
const ADJACENT_COMMENTS: usize = 16;
/// Each `GLOBAL` may make the parser word a warning, and count characters up to it.
const GLOBALS: usize = 64;

/// Whether the parser may see `text`.
pub(crate) fn check(text: &[u8], limits: &Limits) -> Result<(), Refused> {
    let mut scanner = Scanner {
        rest: text,
        limits,
        tokens: 0,
        heights: Heights::default(),
        globals: 0,
        operator_run: 0,
        adjacent_comments: 0,
    };
    while let Some(byte) = scanner.take() {
        scanner.token(byte)?;
    }
    scanner.heights.close_all(limits.depth)
}

struct Scanner<'a> {
    rest: &'a [u8],
    limits: &'a Limits,
    tokens: usize,
    heights: Heights,
    globals: usize,
    operator_run: usize,
    adjacent_comments: usize,
}

impl Scanner<'_> {
    fn token(&mut self, byte: u8) -> Result<(), Refused> {
        match (byte, self.peek()) {
            (b'-', Some(b'-')) => {
                self.skip_while(|b| b != b'\n' && b != b'\r');
                self.operator_run = 0;
                // The parser recurses over comments that follow each other.
                return self.heights.add(1, self.limits.depth);
            }
            (b'/', Some(b'*')) => return self.block_comment(),
            _ => {}
        }
        if is_operator(byte) {
            self.operator_run += 1;
            if self.operator_run > LONGEST_OPERATOR_RUN {
                return Err(Refused::TooSlow);
            }
        } else {
            self.operator_run = 0;
            self.adjacent_comments = 0;
        }
        if byte.is_ascii_whitespace() || byte == b'\x0b' {
            return Ok(());
        }
        self.tokens += 1;
        if self.tokens > self.limits.tokens {
            return Err(Refused::TooManyTokens { limit: self.limits.tokens });
        }
        let depth = self.limits.depth;
        match byte {
            b'\'' => self.quoted(b'\'', false),
            b'"' => self.quoted(b'"', false),
            b'$' => self.dollar(),
            b'0'..=b'9' => self.skip_while(|b| is_word(b) || b == b'.'),
            b'(' | b'[' => self.heights.open(depth)?,
            b')' | b']' => self.heights.close(depth)?,
            b',' | b';' => self.heights.separate(),
            b'.' => {}
            _ if is_word_start(byte) => return self.word(byte),
            _ => self.heights.add(1, depth)?,
        }
        Ok(())
    }

    fn word(&mut self, first: u8) -> Result<(), Refused> {
        let (start, before) = (self.rest, self.rest.len());
        self.skip_while(is_word);
        let tail = start.get(..before - self.rest.len()).unwrap_or_default();
        let is = |word: &[u8]| {
            word.split_first().is_some_and(|(initial, others)| {
                initial.eq_ignore_ascii_case(&first) && others.eq_ignore_ascii_case(tail)
            })
        };
        if is(b"e") && self.peek() == Some(b'\'') {
            self.take();
            self.quoted(b'\'', true);
            return Ok(());
        }
        if is(b"global") {
            self.globals += 1;
            if self.globals > GLOBALS {
                return Err(Refused::TooSlow);
            }
        }
        if is(b"union") || is(b"intersect") || is(b"except") {
            return self.heights.add_lasting(1, self.limits.depth);
        }
        self.heights.add(1, self.limits.depth)
    }

    /// After the opening quote. A doubled quote opens the next part at once, so parts need not be joined here,
    /// except in an escape string, where a line break may stand between parts and backslashes still count.
    fn quoted(&mut self, quote: u8, escapes: bool) {
        loop {
            while let Some(byte) = self.take() {
                if byte == quote {
                    break;
                }
                if byte == b'\\' && escapes {
                    self.take();
                }
            }
            if !escapes || !self.continues() {
                return;
            }
        }
    }

    /// Whether an escape string goes on; if so, its next part is opened.
    fn continues(&mut self) -> bool {
        let blanks = self.rest.iter().take_while(|b| b.is_ascii_whitespace() || **b == b'\x0b').count();
        let (between, after) = self.rest.split_at(blanks);
        let joined = blanks == 0 || between.iter().any(|b| matches!(b, b'\n' | b'\r'));
        match after.split_first() {
            Some((b'\'', rest)) if joined => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// A dollar quote, or the dollar of `$1`.
    fn dollar(&mut self) {
        let length = self.rest.iter().take_while(|b| is_word(**b) && **b != b'$').count();
        let (tag, after) = self.rest.split_at(length);
        let opens = !tag.first().is_some_and(u8::is_ascii_digit);
        let Some((b'$', body)) = after.split_first() else { return };
        if !opens {
            return;
        }
        self.rest = body;
        while !self.rest.is_empty() {
            self.skip_while(|b| b != b'$');
            self.take();
            if let Some(after) = self.rest.strip_prefix(tag).and_then(|r| r.strip_prefix(b"$")) {
                self.rest = after;
                return;
            }
        }
    }

    /// After the slash. Comments nest.
    fn block_comment(&mut self) -> Result<(), Refused> {
        self.heights.add(1, self.limits.depth)?;
        self.take();
        self.operator_run = 0;
        self.comment_begins()?;
        let mut open = 1_usize;
        while let Some(byte) = self.take() {
            match (byte, self.peek()) {
                (b'/', Some(b'*')) => {
                    self.take();
                    self.comment_begins()?;
                    open += 1;
                }
                (b'*', Some(b'/')) => {
                    self.take();
                    open -= 1;
                    if open == 0 {
                        break;
                    }
                }
                (other, _) if !is_operator(other) => self.adjacent_comments = 0,
                _ => {}
            }
        }
        Ok(())
    }

    fn comment_begins(&mut self) -> Result<(), Refused> {
        self.adjacent_comments += 1;
        if self.adjacent_comments > ADJACENT_COMMENTS { Err(Refused::TooSlow) } else { Ok(()) }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip_while(&mut self, test: impl Fn(u8) -> bool) {
        let length = self.rest.iter().take_while(|b| test(**b)).count();
        self.rest = self.rest.get(length..).unwrap_or_default();
    }
}

fn is_operator(byte: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&byte)
}

pub(crate) fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

pub(crate) fn is_word(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// An upper bound of the tree's height, from brackets and separators alone.
///
/// Between two commas every token may nest in the one before, and a bracket's content below all of them; what a
/// comma separates stands side by side, except that UNION and its like nest across commas.
#[derive(Default)]
struct Heights {
    outer: Vec<Level>,
    current: Level,
}

#[derive(Default, Clone, Copy)]
struct Level {
    /// Counted across commas.
    lasting: usize,
    /// The highest part so far.
    highest: usize,
    /// The part since the last comma.
    part: usize,
}

impl Level {
    fn height(self) -> usize {
        self.lasting + self.highest.max(self.part)
    }
}

impl Heights {
    fn add(&mut self, count: usize, limit: usize) -> Result<(), Refused> {
        self.current.part += count;
        self.within(limit)
    }

    fn add_lasting(&mut self, count: usize, limit: usize) -> Result<(), Refused> {
        self.current.lasting += count;
        self.within(limit)
    }

    fn separate(&mut self) {
        self.current.highest = self.current.highest.max(self.current.part);
        self.current.part = 0;
    }

    fn open(&mut self, limit: usize) -> Result<(), Refused> {
        if self.outer.len() >= limit {
            return Err(Refused::TooDeep);
        }
        self.outer.push(std::mem::take(&mut self.current));
        Ok(())
    }

    /// A bracket that closes nothing is a syntax error for the parser to find.
    fn close(&mut self, limit: usize) -> Result<(), Refused> {
        let Some(outer) = self.outer.pop() else { return Ok(()) };
        let inner = std::mem::replace(&mut self.current, outer).height();
        self.add(inner + 1, limit)
    }

    fn close_all(&mut self, limit: usize) -> Result<(), Refused> {
        while !self.outer.is_empty() {
            self.close(limit)?;
        }
        Ok(())
    }

    fn within(&self, limit: usize) -> Result<(), Refused> {
        if self.current.height() > limit { Err(Refused::TooDeep) } else { Ok(()) }
    }
}
