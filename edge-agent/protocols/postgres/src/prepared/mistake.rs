//! What a client can get wrong about its own statements and portals. It concerns nobody else, so no policy is asked,
//! and the codes are those of PostgreSQL.

/// A mistake of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mistake {
    /// A statement of that name was not prepared.
    #[error("there is no prepared statement of this name")]
    UnknownStatement,
    /// A portal of that name was not bound, or its transaction has ended.
    #[error("there is no portal of this name")]
    UnknownPortal,
    /// The name is taken.
    #[error("there is a prepared statement of this name already")]
    DuplicateStatement,
    /// The name is taken.
    #[error("there is a portal of this name already")]
    DuplicatePortal,
    /// Another number of parameters than the statement has.
    #[error("the statement has another number of parameters than were given")]
    ParameterCount,
    /// Another number of formats than none, one, or one for each.
    #[error("there have to be no formats, one, or one for each parameter or column")]
    FormatCount,
    /// A format that is neither text nor binary.
    #[error("a format code is neither 0 (text) nor 1 (binary)")]
    Format,
    /// Several statements in one Parse.
    #[error("cannot insert multiple commands into a prepared statement")]
    Several,
    /// The portal has been executed to its end.
    #[error("the portal has been run to its end")]
    Done,
    /// Over a bound of this edge.
    #[error("the session has more prepared statements than this edge keeps")]
    TooManyStatements,
    /// Over a bound of this edge.
    #[error("the session has more portals than this edge keeps")]
    TooManyPortals,
    /// More rows of something that was approved.
    #[error("what was approved can be fetched in one portion only")]
    Portions,
}

impl Mistake {
    /// SQLSTATE.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::UnknownStatement => "26000",
            Self::UnknownPortal => "34000",
            Self::DuplicateStatement => "42P05",
            Self::DuplicatePortal => "42P03",
            Self::ParameterCount | Self::FormatCount => "08P01",
            Self::Format => "22023",
            Self::Several => "42601",
            Self::Done => "55000",
            Self::TooManyStatements | Self::TooManyPortals => "54000",
            Self::Portions => "0A000",
        }
    }
}
