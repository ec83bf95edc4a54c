//! How much one query string may cost, and why a text has no facts.

use std::fmt;

/// Bounds of one call of [`analyse`](crate::analyse). The defaults let a bulk INSERT through and keep the worst
/// text under about a quarter of a second and 100 MiB of parse tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub bytes: usize,
    /// Tokens outside comments.
    pub tokens: usize,
    /// Upper bound of the parse tree's height, counted in tokens before it is built. Parts of the parser recurse
    /// once or more per level: with its C code optimised, 30,000 levels were measured to fit a stack of 2 MiB and
    /// 100,000 not to.
    pub depth: usize,
    /// Nodes of the parse tree that are visited.
    pub nodes: usize,
    /// Statements in the text.
    pub statements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 20, tokens: 1 << 18, depth: 10_000, nodes: 1_000_000, statements: 100 }
    }
}

/// Why a text has no facts. `Display` is safe to log: it never repeats the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The text is not PostgreSQL's grammar.
    #[error("the text is not of PostgreSQL's grammar")]
    Syntax {
        /// The parser's own words, which quote the text: for the client, not for a log.
        message: ParserMessage,
    },
    /// The text is not UTF-8.
    #[error("the text is not UTF-8 from byte {position} on")]
    NotUtf8 {
        /// Offset of the first bad byte.
        position: usize,
    },
    /// The text holds a zero byte, where PostgreSQL's parser would stop reading.
    #[error("the text has a zero byte at {position}")]
    ZeroByte {
        /// Its offset.
        position: usize,
    },
    /// More than [`Limits::bytes`].
    #[error("the text is longer than {limit} bytes")]
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// More than [`Limits::tokens`].
    #[error("the text has more than {limit} tokens")]
    TooManyTokens {
        /// The bound.
        limit: usize,
    },
    /// More than [`Limits::depth`], or more than the parser's own stack of 10,000 symbols.
    #[error("the text is nested too deeply")]
    TooDeep,
    /// More than [`Limits::nodes`].
    #[error("the text has more than {limit} parse nodes")]
    TooManyNodes {
        /// The bound.
        limit: usize,
    },
    /// More than [`Limits::statements`].
    #[error("the text has more than {limit} statements")]
    TooManyStatements {
        /// The bound.
        limit: usize,
    },
    /// A shape on which the parser takes quadratic time: runs of operator characters or of comments without a
    /// blank between them, or very many `GLOBAL`s.
    #[error("the text would take the parser too long")]
    TooSlow,
    /// The binding to the parser broke a promise.
    #[error("the parser failed")]
    Internal,
}

/// The parser's message about a text: at most 200 characters, may quote the text. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ParserMessage(String);

impl ParserMessage {
    const LONGEST: usize = 200;

    pub(crate) fn new(message: &str) -> Self {
        Self(message.chars().take(Self::LONGEST).collect())
    }

    /// The message, for the client that sent the text.
    pub fn for_client(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ParserMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ParserMessage(…)")
    }
}
