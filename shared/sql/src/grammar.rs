//! The only module that names the binding to PostgreSQL's parser; a replacement begins and ends here.
//!
//! The binding's own walker recurses, so it is not used. Its trees are freed at once with their memory context,
//! without recursion. Its scanner hands comments to the parser as tokens, so a comment inside a pair of words that
//! PostgreSQL reads as one (`NOT /* … */ IN`, `NULLS /* … */ FIRST`) or between two parts of one string is refused as
//! a syntax error here: never the other way round.

use crate::{ParserMessage, Refused};

pub(crate) use pg_raw_parse::ConstValue;
pub(crate) use pg_raw_parse::Node;
pub(crate) use pg_raw_parse::list::NodeList;
pub(crate) use pg_raw_parse::nodes;
/// Closed sets of the grammar, by their names in PostgreSQL's headers.
pub(crate) use pg_raw_parse::raw::{
    A_Expr_Kind, BoolExprType, CmdType, DiscardMode, ObjectType, OnConflictAction, SetOperation, SubLinkType,
    TransactionStmtKind, VariableSetKind,
};

/// Statements with the memory they live in.
pub(crate) struct Tree(pg_raw_parse::ParseResult);

impl Tree {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn statements(&self) -> impl Iterator<Item = &nodes::RawStmt> {
        self.0.iter()
    }
}

/// Parses a text that [`lexical::check`](crate::lexical::check) let through.
pub(crate) fn parse(sql: &str) -> Result<Tree, Refused> {
    pg_raw_parse::parse(sql).map(Tree).map_err(|error| {
        let pg_raw_parse::Error::Parse(error) = error else { return Refused::Internal };
        let message = error.to_string();
        // Bison's words for its stack of YYMAXDEPTH = 10,000 symbols.
        if message.starts_with("memory exhausted") {
            Refused::TooDeep
        } else {
            Refused::Syntax { message: ParserMessage::new(&message) }
        }
    })
}
