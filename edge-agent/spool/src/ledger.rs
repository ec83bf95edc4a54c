//! What a recording still owes: an outcome for each intent, and the counts of its Close.

use countersign_model::OperationId;
use countersign_recording::{Entry, FrameKind, MAX_UNFINISHED, Outcome, OutcomeKind, Unfinished};
use countersign_wire::v1;

use crate::AppendError;

#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    /// In the order in which they were recorded; at most [`MAX_UNFINISHED`].
    pub(crate) unfinished: Vec<Unfinished>,
    /// Operations that wait for people; at most [`MAX_UNFINISHED`]. Nothing of them was sent, so that they owe nothing
    /// when the recording ends, and no segment carries them over.
    held: Vec<OperationId>,
    pub(crate) operations: u64,
    pub(crate) refusals: u64,
}

impl Ledger {
    /// As it was when a segment began.
    pub(crate) fn at_beginning_of(header: &v1::SegmentHeader) -> Self {
        let unfinished = |wire: &v1::UnfinishedIntent| {
            let operation = wire.operation_id.parse().ok()?;
            Some(Unfinished { operation, approval: wire.approval_id.parse().ok() })
        };
        Self {
            unfinished: header.unfinished.iter().filter_map(unfinished).collect(),
            held: Vec::new(),
            operations: header.operations,
            refusals: header.refusals,
        }
    }

    /// Whether there is room to keep track of one more of this kind.
    pub(crate) fn admit(&self, kind: FrameKind) -> Result<(), AppendError> {
        let tracked = match kind {
            FrameKind::Intent => self.unfinished.len(),
            FrameKind::Hold => self.held.len(),
            FrameKind::Open
            | FrameKind::Refusal
            | FrameKind::Reply
            | FrameKind::Outcome
            | FrameKind::Close => 0,
        };
        if tracked >= MAX_UNFINISHED { Err(AppendError::TooManyUnfinished) } else { Ok(()) }
    }

    /// Whether an entry begins something, for which a full spool has no room, or ends what was begun.
    pub(crate) fn begins(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Open(_) | Entry::Intent(_) | Entry::Hold(_) => true,
            Entry::Refusal(refusal) => !self.held.contains(&refusal.operation),
            Entry::Reply(_) | Entry::Outcome(_) | Entry::Close(_) => false,
        }
    }

    pub(crate) fn note(&mut self, entry: &Entry) {
        match entry {
            Entry::Intent(intent) => {
                self.held.retain(|held| *held != intent.operation);
                self.intent(Unfinished { operation: intent.operation, approval: intent.approval });
            }
            Entry::Outcome(outcome) => {
                self.unfinished.retain(|intent| intent.operation != outcome.operation);
            }
            Entry::Hold(hold) => self.held.push(hold.operation),
            Entry::Refusal(refusal) => {
                self.held.retain(|held| *held != refusal.operation);
                self.refusals = self.refusals.saturating_add(1);
            }
            Entry::Open(_) | Entry::Reply(_) | Entry::Close(_) => {}
        }
    }

    /// The same from what stands in the clear.
    pub(crate) fn note_header(&mut self, header: &v1::FrameHeader) {
        let Ok(operation) = header.operation_id.parse() else { return };
        match v1::FrameKind::try_from(header.kind) {
            Ok(v1::FrameKind::Intent) => {
                self.intent(Unfinished { operation, approval: header.approval_id.parse().ok() });
            }
            Ok(v1::FrameKind::Outcome) => self.unfinished.retain(|intent| intent.operation != operation),
            Ok(v1::FrameKind::Refusal) => self.refusals = self.refusals.saturating_add(1),
            _ => {}
        }
    }

    fn intent(&mut self, intent: Unfinished) {
        self.operations = self.operations.saturating_add(1);
        self.unfinished.push(intent);
    }

    /// What must be written before Close: whether these ran is not known, and never will be.
    pub(crate) fn unknown_outcomes(&self) -> Vec<Entry> {
        let unknown =
            |intent: &Unfinished| Outcome::bare(intent.operation, intent.approval, OutcomeKind::Unknown);
        self.unfinished.iter().map(|intent| Entry::Outcome(Box::new(unknown(intent)))).collect()
    }
}
