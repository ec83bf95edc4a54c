//! Why a session ends, and what is still said then.

use bytes::BytesMut;
use countersign_gate::CloseReason;
use countersign_model::{Reason, Refusal, RefusalKind, SessionId};

use crate::{
    arrival::fatal,
    client::ClientError,
    codec::Malformed,
    line::LineError,
    reply::Broken,
    sqlstate::{self, Phase},
    stop,
};

/// The end of a session that was open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ending {
    /// The client left, and nobody is there to be told.
    #[error("the client left")]
    Left,
    /// The client sent what is no message.
    #[error("the client broke the protocol: {0}")]
    Broke(Malformed),
    /// A client that does not read was cut in the middle of a message: nothing can be added to that.
    #[error("the client did not read")]
    Deaf(CloseReason),
    /// The edge ends it.
    #[error("it was ended")]
    Stopped(CloseReason),
    /// The edge ends it with an operation under way, after a moment for it to finish.
    #[error("it was ended, with an operation under way")]
    Cut(CloseReason),
    /// The target went away with nothing under way.
    #[error("{0}")]
    TargetGone(LineError),
    /// The target went away, or had to be left, with an operation under way.
    #[error("{0}, with an operation under way")]
    Unanswered(LineError),
    /// A refusal that ends it.
    #[error("refused: {}", .0.reason)]
    Refused(Refusal),
}

impl From<ClientError> for Ending {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Left | ClientError::Io(_) => Self::Left,
            ClientError::Malformed(error) => Self::Broke(error),
        }
    }
}

impl Ending {
    /// The same, of a session whose operation has been sent: the client must not hear that it did not run.
    pub(crate) fn after_sending(self) -> Self {
        match self {
            Self::Stopped(reason) => Self::Cut(reason),
            Self::Refused(refusal) => Self::Refused(Refusal { kind: RefusalKind::Unknown, ..refusal }),
            other => other,
        }
    }

    /// The word for the recording.
    pub(crate) fn reason(&self) -> CloseReason {
        match self {
            Self::Left | Self::Broke(_) => CloseReason::Client,
            Self::Deaf(reason) | Self::Stopped(reason) | Self::Cut(reason) => *reason,
            Self::TargetGone(_) | Self::Unanswered(_) => CloseReason::Target,
            Self::Refused(refusal) => match refusal.reason {
                Reason::JournalUnavailable | Reason::SpoolFull | Reason::OverLimit => CloseReason::Journal,
                _ => CloseReason::Target,
            },
        }
    }

    /// The last message to the client; `None` if it must not get one.
    pub(crate) fn last_words(&self, session: SessionId) -> Option<BytesMut> {
        let refusal = match self {
            Self::Left => return Some(BytesMut::new()),
            Self::Deaf(_) => return None,
            Self::Broke(error) => return Some(fatal("08P01", &error.to_string())),
            Self::Stopped(reason) => stop::refusal(*reason),
            Self::Cut(reason) => Refusal { kind: RefusalKind::Unknown, ..stop::refusal(*reason) },
            Self::TargetGone(_) => {
                Refusal::denied(Reason::TargetUnavailable, "the connection to the target was lost")
            }
            Self::Unanswered(LineError::Broken(broken)) => {
                Refusal::unknown(Reason::Unanswered, broke_off(*broken))
            }
            Self::Unanswered(LineError::Io(_)) => Refusal::unknown(Reason::Unanswered, GONE),
            Self::Refused(refusal) => refusal.clone(),
        };
        let mut out = BytesMut::new();
        let refusal = Refusal { session: Some(session), ..refusal };
        sqlstate::encode_fatal(&mut out, &refusal, Phase::Session);
        Some(out)
    }
}

const GONE: &str = "the connection to the target was lost with the operation under way: it may have run";

fn broke_off(broken: Broken) -> &'static str {
    match broken {
        Broken::Fatal => GONE,
        Broken::TooLarge => "a row of the reply is over the limit: the operation may have run",
        Broken::Unsupported => {
            "the target began a flow that is not relayed, such as COPY: the operation may have run"
        }
        Broken::Unpinned => {
            "a setting that statements are read by changed on the target: the operation may have run"
        }
        Broken::Malformed(_) => "the target broke the protocol: the operation may have run",
    }
}
