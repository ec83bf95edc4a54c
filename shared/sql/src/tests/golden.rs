//! Statements and their facts, side by side in `facts.txt`, where a change of meaning shows as a changed line.

use crate::{
    Access, Analysis, Deallocated, Limits, QualifiedName, SettingChange, Statement, TransactionControl,
    TransactionModes, WrittenColumns, analyse,
};

/// Blocks of `> SQL` lines and the facts below them.
pub(super) const CASES: &str = include_str!("facts.txt");

#[test]
fn facts_are_as_written() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for block in CASES.split("\n\n").map(str::trim).filter(|b| b.starts_with('>')) {
        let sql: Vec<_> = block.lines().filter_map(|l| l.strip_prefix("> ")).collect();
        let expected: Vec<_> = block.lines().filter(|l| !l.starts_with('>')).collect();
        let actual = render(sql.join("\n").as_bytes());
        cases += 1;
        if actual.trim_end() != expected.join("\n") {
            wrong.push(format!(
                "{}\n{actual}",
                block.lines().filter(|l| l.starts_with('>')).collect::<Vec<_>>().join("\n")
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {cases} differ; they now are:\n\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases > 150, "only {cases} cases were read");
}

/// One line per statement: kind, then what is not empty.
pub(super) fn render(sql: &[u8]) -> String {
    match analyse(sql, &Limits::default()) {
        Err(refused) => format!("refused: {refused}\n"),
        Ok(Analysis { statements, .. }) if statements.is_empty() => "empty\n".to_owned(),
        Ok(Analysis { statements, .. }) => statements.iter().map(|s| line(s) + "\n").collect(),
    }
}

fn line(s: &Statement) -> String {
    let temporary = if s.temporary { "; temporary" } else { "" };
    if let Some(reason) = s.unparsed {
        let bare = line(&Statement { unparsed: None, temporary: false, ..s.clone() });
        let own = bare.strip_prefix(s.kind.as_str()).unwrap();
        assert!(own.is_empty() || s.executes.is_some(), "an unparsed statement has no facts: {bare}");
        return format!("{} unparsed {}{own}{temporary}", s.kind, reason.as_str());
    }
    let mut parts = vec![s.kind.to_string()];
    assert!(s.kinds.contains(&s.kind) && s.kinds.is_sorted_by(|a, b| a < b), "{:?}", s.kinds);
    let others: Vec<_> = s.kinds.iter().filter(|kind| **kind != s.kind).map(|kind| kind.as_str()).collect();
    if !others.is_empty() {
        parts.push(format!("with {}", others.join(" ")));
    }
    parts.extend(s.prepares.as_ref().map(|p| format!("prepares {}(${})", p.name, p.highest_parameter)));
    parts.extend(s.executes.as_ref().map(|name| format!("executes {name}")));
    parts.extend(s.deallocates.as_ref().map(|dropped| match dropped {
        Deallocated::One(name) => format!("deallocates {name}"),
        Deallocated::All => "deallocates all".to_owned(),
    }));
    parts.extend(s.creates.as_ref().map(|name| format!("creates {name}")));
    parts.extend(s.procedure.as_ref().map(|name| format!("procedure {name}")));
    parts.extend(s.runs_block.then(|| "block".to_owned()));
    for relation in &s.relations {
        let verb = match relation.access {
            Access::Read => "read",
            Access::Insert => "insert",
            Access::Update => "update",
            Access::Delete => "delete",
            Access::Lock => "lock",
        };
        let columns = match &relation.written_columns {
            WrittenColumns::None => String::new(),
            WrittenColumns::All => "(*)".to_owned(),
            WrittenColumns::Named(names) => format!("({})", names.join(" ")),
        };
        parts.push(format!("{verb} {}{columns}", relation.name));
    }
    let names = |list: &[QualifiedName]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let operator = |o: &QualifiedName| match &o.schema {
        Some(schema) => format!("{schema}.{}", o.name),
        None => o.name.clone(),
    };
    let operators: Vec<_> = s.operators.iter().map(operator).collect();
    let lists = [
        ("fn", names(&s.functions)),
        ("attr", s.attributes.join(" ")),
        ("op", operators.join(" ")),
        ("type", names(&s.types)),
        ("collate", names(&s.collations)),
    ];
    parts.extend(lists.iter().filter(|(_, l)| !l.is_empty()).map(|(what, l)| format!("{what} {l}")));
    for setting in &s.settings {
        parts.push(match &setting.change {
            SettingChange::Show => format!("show {}", setting.name),
            SettingChange::Reset { local } => {
                format!("{}reset {}", if *local { "local " } else { "" }, setting.name)
            }
            SettingChange::Set { value, local } => {
                format!("{}set {}={}", if *local { "local " } else { "" }, setting.name, value.join(","))
            }
        });
    }
    parts.extend(s.transaction.as_ref().map(control));
    parts.extend(s.has_predicate.map(|has| if has { "where".to_owned() } else { "no where".to_owned() }));
    if s.highest_parameter > 0 {
        parts.push(format!("${}", s.highest_parameter));
    }
    parts.join("; ") + temporary
}

fn control(control: &TransactionControl) -> String {
    let modes = |m: &TransactionModes| {
        let mut words = Vec::new();
        words.extend(m.isolation.map(|i| i.as_str()));
        words.extend(m.read_only.map(|on| if on { "read only" } else { "read write" }));
        words.extend(m.deferrable.map(|on| if on { "deferrable" } else { "not deferrable" }));
        words.join(", ")
    };
    match control {
        TransactionControl::Begin(m) => format!("begins [{}]", modes(m)),
        TransactionControl::SetModes(m) => format!("modes [{}]", modes(m)),
        TransactionControl::Commit { chain } => format!("commits{}", if *chain { " and chains" } else { "" }),
        TransactionControl::Rollback { chain } => {
            format!("rolls back{}", if *chain { " and chains" } else { "" })
        }
        TransactionControl::Savepoint(name) => format!("savepoint {name}"),
        TransactionControl::Release(name) => format!("releases {name}"),
        TransactionControl::RollbackTo(name) => format!("rolls back to {name}"),
    }
}
