//! What a process says of itself when it attaches.

use countersign_model::SessionId;
use countersign_store::{BootId, EdgeBoot};
use countersign_wire::v1;

use crate::EdgeError;

/// Longest software version that is kept, in bytes.
const MAX_VERSION: usize = 64;
/// Sessions that one process can have open.
const MAX_OPEN_SESSIONS: usize = 4096;

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub(super) boot: EdgeBoot,
    pub(super) open_sessions: Vec<SessionId>,
}

impl TryFrom<v1::Hello> for Hello {
    type Error = EdgeError;

    fn try_from(wire: v1::Hello) -> Result<Self, EdgeError> {
        let boot_id = boot_id(&wire.boot_id)?;
        let recording_key = <[u8; 32]>::try_from(wire.recording_key.as_slice())
            .map_err(|_| EdgeError::Malformed("recording_key must have 32 bytes"))?;
        if wire.version.len() > MAX_VERSION || wire.version.chars().any(char::is_control) {
            return Err(EdgeError::Malformed("version is too long or not printable"));
        }
        if wire.open_sessions.len() > MAX_OPEN_SESSIONS {
            return Err(EdgeError::Malformed("open_sessions has more than 4096 entries"));
        }
        let open_sessions = wire.open_sessions.iter().map(|id| id.parse()).collect::<Result<_, _>>();
        Ok(Self {
            boot: EdgeBoot { boot_id, recording_key, version: wire.version },
            open_sessions: open_sessions.map_err(|_| EdgeError::Malformed("open_sessions is malformed"))?,
        })
    }
}

/// The sixteen bytes that name a process.
pub(crate) fn boot_id(bytes: &[u8]) -> Result<BootId, EdgeError> {
    BootId::try_from(bytes).map_err(|_| EdgeError::Malformed("boot_id must have 16 bytes"))
}
