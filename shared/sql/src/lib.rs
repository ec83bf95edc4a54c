//! SQL text to facts, by PostgreSQL's own grammar.
//!
//! [`analyse`] says, for each statement of a query string, which relations, functions, operators, types and settings
//! its *text* names and what it does to them. Nothing here asks a catalog: whoever holds one resolves the names, and
//! [`Inquiry`] turns text and resolution into facts, for the edge that asked and for whoever checks on it.
//! The walk follows an allow-list of grammar nodes, so whatever is not understood makes its statement *unparsed*
//! instead of vanishing. Input is hostile: length, tokens, nesting, nodes and statements are bounded before each
//! step that costs by them, and no input panics, aborts, or recurses in our code.
//!
//! The facts hold for sessions with `standard_conforming_strings = on` and UTF8 on both sides. The grammar is that
//! of PostgreSQL 18; an older server refuses some of what is accepted here, which is harmless, and reads
//! `JSON_OBJECT(…)` as a call of whatever the search path has under that name, which is counted.
//!
//! The parser keeps state per thread and takes one of the process's 1,024 pthread keys for each thread that ever
//! calls it: call [`analyse`] from long-lived threads.

mod covered;
mod creation;
mod exposure;
mod grammar;
mod harmless;
mod kind;
mod lexical;
mod limits;
mod merge;
mod modification;
mod names;
mod output;
mod prepared;
mod read;
mod resolve;
mod search_path;
mod session_state;
mod setting;
mod statement;
mod transaction;
mod unparsed;
mod walk;

pub use covered::cover_literals;
pub use harmless::known_harmless;
pub use kind::StatementKind;
pub use limits::{Limits, ParserMessage, Refused};
pub use names::QualifiedName;
pub use prepared::{Deallocated, Prepared};
pub use resolve::{
    Clouds, Inquiry, Misnamed, Names, Qualified, Sight, TouchedObject, clouds, context, reads_the_catalog,
    sight_after,
};
pub use search_path::{SearchPath, SearchPathError};
pub use session_state::keeps_session_state;
pub use setting::{SettingChange, SettingUse};
pub use statement::{Access, Analysis, Exposure, Moves, Output, RelationUse, Statement, WrittenColumns};
pub use transaction::{Isolation, TransactionControl, TransactionModes};
pub use unparsed::UnparsedReason;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The facts of a query string, which may hold any number of statements, as in a simple Query message.
///
/// `text` has no terminating zero byte. A text of nothing but blanks, comments and semicolons has no statements.
///
/// # Errors
/// [`Refused`] says why there are no facts at all; the text must then not be sent on.
pub fn analyse(text: &[u8], limits: &Limits) -> Result<Analysis, Refused> {
    if text.len() > limits.bytes {
        return Err(Refused::TooLong { limit: limits.bytes });
    }
    let sql = std::str::from_utf8(text).map_err(|e| Refused::NotUtf8 { position: e.valid_up_to() })?;
    if let Some(position) = text.iter().position(|b| *b == 0) {
        return Err(Refused::ZeroByte { position });
    }
    lexical::check(text, limits)?;
    // The binding asserts the types of list members and the encoding of strings. A failed assertion is a fault of
    // ours or its, never a reason to lose the thread: nothing outlives this call, so unwinding leaves no trace.
    catch_unwind(AssertUnwindSafe(|| read::statements(sql, limits))).unwrap_or(Err(Refused::Internal))
}

#[cfg(test)]
mod tests;
