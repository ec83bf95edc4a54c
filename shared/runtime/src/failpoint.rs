//! Named places at which a test pulls the plug of a process that runs, to see what is left of it.
//!
//! In debug builds `COUNTERSIGN_FAILPOINTS` arms them, as `operation.sent=kill,vote.stored=kill@2` (the
//! second time that it is reached), and `COUNTERSIGN_FAILPOINT_MARKERS` names a folder in which each leaves a
//! file of its name before it ends the process by SIGKILL. One whose file is there does nothing: a supervisor
//! starts the process again with the same environment. Release builds have nothing of it.

/// Declares the closed list, so that a test can go through all of it.
macro_rules! failpoints {
    ($($(#[$says:meta])* $point:ident = $name:literal,)*) => {
        /// A place at which the process can be made to die.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Failpoint {
            $($(#[$says])* $point,)*
        }

        impl Failpoint {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            /// What it is armed by, and the name of its marker.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

failpoints! {
    /// Edge: what may write is decided, and its intent is not written.
    IntentUnwritten = "intent.unwritten",
    /// Edge: the intent of what may write is on disk, and nothing of it is sent.
    IntentWritten = "intent.written",
    /// Edge: the target has every byte of a statement, and has not answered.
    OperationSent = "operation.sent",
    /// Edge: the target has answered, and the outcome is not recorded.
    AnswerReceived = "answer.received",
    /// Edge: the outcome is recorded, and the client has not heard it.
    OutcomeRecorded = "outcome.recorded",
    /// Edge: people are asked, and that is not recorded.
    HoldAsked = "hold.asked",
    /// Edge: it is recorded that an operation waits, and the client has not heard it.
    HoldRecorded = "hold.recorded",
    /// Edge: people have approved it, and no intent is written.
    ApprovalReceived = "approval.received",
    /// Edge: the intent of what people approved is on disk, and the approval is not used up.
    ApprovedIntentWritten = "approved.intent.written",
    /// Edge: the approval is used up, and no credential is asked for.
    ApprovalConsumed = "approval.consumed",
    /// Edge: the credential of what people approved is there, and is not used.
    CredentialReceived = "credential.received",
    /// Edge: a segment is finished, and no pack is planned of it.
    RecordingFinished = "recording.finished",
    /// Edge: what is in a pack is fixed on disk, and nothing of it is sent.
    PackPlanned = "pack.planned",
    /// Edge: the archive has acknowledged a pack, and what is in it is still in the spool.
    RecordingAcknowledged = "recording.acknowledged",
    /// Edge: what the archive has acknowledged is deleted, and the plan of its pack is not.
    RecordingDeleted = "recording.deleted",
    /// Control plane: a session is stored, and stands in no audit log.
    SessionStored = "session.stored",
    /// Control plane: a session is open, and its edge does not know.
    SessionOpened = "session.opened",
    /// Control plane: a session is closed, and the approvals that it asked for are open.
    SessionClosed = "session.closed",
    /// Control plane: a request for approval is stored, and its edge does not know.
    ApprovalStored = "approval.stored",
    /// Control plane: a vote is stored, and nobody has heard of it.
    VoteStored = "vote.stored",
    /// Control plane: an approval is used up, and its edge does not know.
    ConsumptionStored = "consumption.stored",
    /// Control plane: the one credential of an approval is claimed, and nothing is minted.
    MintClaimed = "mint.claimed",
    /// Control plane: the credential of an approval is minted, and its edge does not have it.
    CredentialMinted = "credential.minted",
    /// Control plane: that an approval is taken back is in the audit log, and it is not taken back.
    RevocationAudited = "revocation.audited",
    /// Control plane: a pack is in the archive, and the store does not know.
    RecordingArchived = "recording.archived",
    /// Control plane: a segment is listed, and if it was the last, no manifest is written.
    RecordingListed = "recording.listed",
    /// Control plane: the manifest of a recording is in the archive, and the store does not know.
    ManifestArchived = "manifest.archived",
    /// Control plane: a recording is sealed, and that stands in no audit log.
    RecordingSealed = "recording.sealed",
    /// Control plane: everything of a pack is stored, and its edge does not know.
    PackTaken = "pack.taken",
}

/// Does nothing, unless a debug build was told to die here: then it does not return.
#[inline]
pub fn failpoint(at: Failpoint) {
    #[cfg(debug_assertions)]
    armed::reach(at);
    #[cfg(not(debug_assertions))]
    let _ = at;
}

/// Arms what the environment says, once for the process. To be called before anything else is done.
///
/// # Errors
/// What is wrong with the environment: a name that is none of [`Failpoint::ALL`] among it.
pub fn arm_failpoints() -> Result<(), ArmError> {
    #[cfg(debug_assertions)]
    armed::arm()?;
    Ok(())
}

/// Why nothing is armed.
#[derive(Debug, PartialEq, Eq)]
pub enum ArmError {
    /// There is no failpoint of this name.
    Unknown(String),
    /// It does not say when, in words that are known here.
    Malformed(String),
    /// The folder for the markers is not given.
    NoFolder,
}

impl std::fmt::Display for ArmError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "there is no failpoint {name:?}"),
            Self::Malformed(text) => write!(f, "{text:?} is not NAME=kill or NAME=kill@TIME"),
            Self::NoFolder => write!(f, "failpoints need COUNTERSIGN_FAILPOINT_MARKERS, a folder"),
        }
    }
}

impl std::error::Error for ArmError {}

#[cfg(debug_assertions)]
mod armed {
    use std::{
        env,
        fs::File,
        io::{self, Write as _},
        os::unix::process::CommandExt as _,
        path::{Path, PathBuf},
        process::{Command, abort, id},
        sync::{
            OnceLock,
            atomic::{AtomicU32, Ordering},
        },
    };

    use super::{ArmError, Failpoint};

    static ARMED: OnceLock<Armed> = OnceLock::new();

    pub(super) struct Armed {
        pub(super) points: Vec<Point>,
        folder: PathBuf,
    }

    pub(super) struct Point {
        pub(super) at: Failpoint,
        /// How often it is still to be reached until it acts; it has acted at zero.
        pub(super) left: AtomicU32,
    }

    pub(super) fn arm() -> Result<(), ArmError> {
        let Ok(wanted) = env::var("COUNTERSIGN_FAILPOINTS") else { return Ok(()) };
        let folder = env::var_os("COUNTERSIGN_FAILPOINT_MARKERS").ok_or(ArmError::NoFolder)?;
        let armed = Armed::read(&wanted, folder.into())?;
        // Whoever was first has read the same environment.
        let _ = ARMED.set(armed);
        Ok(())
    }

    pub(super) fn reach(at: Failpoint) {
        let Some(armed) = ARMED.get() else { return };
        for point in armed.points.iter().filter(|point| point.at == at) {
            let down = |left: u32| left.checked_sub(1);
            if point.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, down) == Ok(1) {
                die(&armed.folder, at);
            }
        }
    }

    impl Armed {
        /// `wanted` as in the environment. What has left its marker in `folder` is not armed again.
        pub(super) fn read(wanted: &str, folder: PathBuf) -> Result<Self, ArmError> {
            let mut points = Vec::new();
            for text in wanted.split(',').filter(|text| !text.is_empty()) {
                let (name, action) = text.split_once('=').ok_or(ArmError::Malformed(text.to_owned()))?;
                let at = Failpoint::ALL.iter().find(|point| point.name() == name);
                let at = *at.ok_or_else(|| ArmError::Unknown(name.to_owned()))?;
                let time = match action.split_once('@') {
                    None if action == "kill" => Some(1),
                    Some(("kill", time)) => time.parse().ok().filter(|time| *time > 0),
                    _ => None,
                };
                let time = time.ok_or_else(|| ArmError::Malformed(text.to_owned()))?;
                if !folder.join(name).exists() {
                    points.push(Point { at, left: AtomicU32::new(time) });
                }
            }
            Ok(Self { points, folder })
        }
    }

    /// SIGKILL without a crate for it: another program takes the place of this one, which ends every thread
    /// of it at once and runs nothing of theirs, and kills itself.
    fn die(folder: &Path, at: Failpoint) -> ! {
        // Without the marker the test says that it was never here.
        let _ = mark(folder, at);
        let _ = Command::new("/bin/sh").args(["-c", "kill -KILL $$"]).exec();
        abort()
    }

    fn mark(folder: &Path, at: Failpoint) -> io::Result<()> {
        let mut marker = File::create_new(folder.join(at.name()))?;
        writeln!(marker, "{}", id())?;
        marker.sync_all()?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use std::{collections::BTreeSet, sync::atomic::Ordering};

    use super::{armed::Armed, *};

    fn read(wanted: &str) -> Result<Vec<(Failpoint, u32)>, ArmError> {
        let armed = Armed::read(wanted, "/nowhere".into())?;
        Ok(armed.points.iter().map(|point| (point.at, point.left.load(Ordering::Relaxed))).collect())
    }

    #[test]
    fn what_is_not_on_the_list_is_an_error() {
        let armed = read("operation.sent=kill,vote.stored=kill@2");
        assert_eq!(armed, Ok(vec![(Failpoint::OperationSent, 1), (Failpoint::VoteStored, 2)]));
        assert_eq!(read(""), Ok(Vec::new()));
        assert_eq!(read("operation.snet=kill"), Err(ArmError::Unknown("operation.snet".to_owned())));
        for malformed in
            ["operation.sent", "operation.sent=panic", "operation.sent=kill@0", "vote.stored=kill@"]
        {
            assert_eq!(read(malformed), Err(ArmError::Malformed(malformed.to_owned())));
        }
    }

    #[test]
    fn names_are_told_apart() {
        let names: BTreeSet<_> = Failpoint::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Failpoint::ALL.len());
    }
}
