//! Recordings that the control plane refuses: set aside with a clock of their own, so that nothing waits behind them.
//!
//! What is refused is never deleted. It is offered again, less and less often, until it is taken or somebody looks.

use std::{collections::HashMap, time::Duration};

use countersign_model::RecordingId;
use countersign_runtime::Backoff;
use countersign_spool::FinishedSegment;
use tokio::time::Instant;

/// The first repetition is soon: right after a start a segment can arrive before the process has attached.
const SOON: Duration = Duration::from_secs(2);

/// A recording that is refused again and again is offered at least this often.
const AT_LEAST: Duration = Duration::from_secs(3600);

/// The recordings that are set aside.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    recordings: HashMap<RecordingId, Recording>,
}

#[derive(Debug)]
struct Recording {
    /// In the order of their numbers. Empty while they are offered again: the backoff must outlive the attempt.
    segments: Vec<FinishedSegment>,
    backoff: Backoff,
    again_at: Instant,
}

impl Parked {
    /// Sets segments of one recording aside, for longer than the last time. Says for how long.
    pub(crate) fn park(
        &mut self,
        recording: RecordingId,
        segments: impl IntoIterator<Item = FinishedSegment>,
        now: Instant,
    ) -> Duration {
        let parked = self.recordings.entry(recording).or_insert_with(|| Recording {
            segments: Vec::new(),
            backoff: Backoff::new(SOON, AT_LEAST),
            again_at: now,
        });
        parked.segments.extend(segments);
        parked.segments.sort_unstable_by_key(|segment| segment.number);
        let delay = parked.backoff.next_delay();
        parked.again_at = now + delay;
        delay
    }

    /// Takes a segment that is announced now if its recording is set aside: it would only be refused as a gap.
    pub(crate) fn join(&mut self, segment: FinishedSegment) -> Option<FinishedSegment> {
        match self.recordings.get_mut(&segment.recording).filter(|parked| !parked.segments.is_empty()) {
            Some(parked) => {
                parked.segments.push(segment);
                None
            }
            None => Some(segment),
        }
    }

    /// A segment of the recording was taken: the next refusal is a first one again.
    pub(crate) fn taken(&mut self, recording: RecordingId) {
        if self.recordings.get(&recording).is_some_and(|parked| parked.segments.is_empty()) {
            self.recordings.remove(&recording);
        }
    }

    /// The segments whose time has come.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<FinishedSegment> {
        let due = self.recordings.values_mut().filter(|parked| parked.again_at <= now);
        due.flat_map(|parked| std::mem::take(&mut parked.segments)).collect()
    }

    /// When the next are due; `None` if nothing is set aside.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let parked = self.recordings.values().filter(|parked| !parked.segments.is_empty());
        parked.map(|parked| parked.again_at).min()
    }

    /// Segments that are set aside.
    pub(crate) fn len(&self) -> usize {
        self.recordings.values().map(|parked| parked.segments.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(recording: RecordingId, number: u32) -> FinishedSegment {
        FinishedSegment { recording, number, path: format!("{number}.seg").into(), bytes: 1 }
    }

    #[test]
    fn a_refused_recording_comes_back_in_order_and_ever_later() {
        let (mut parked, recording, mut now) = (Parked::default(), RecordingId::generate(), Instant::now());
        let mut segments = vec![segment(recording, 1), segment(recording, 0)];
        let mut waited = Vec::new();
        for _ in 0..14 {
            assert_eq!(parked.due(now), []);
            waited.push(parked.park(recording, segments, now));
            assert_eq!(parked.due(now), []);
            now = parked.next_due().expect("parked");
            segments = parked.due(now);
            assert_eq!(segments.iter().map(|segment| segment.number).collect::<Vec<_>>(), [0, 1]);
            assert_eq!((parked.len(), parked.next_due()), (0, None));
        }
        assert!(waited[0] <= SOON && waited[13] > AT_LEAST / 4, "{waited:?}");
        assert!(waited.iter().all(|delay| *delay <= AT_LEAST));
        parked.taken(recording);
        assert!(parked.park(recording, segments, now) <= SOON, "forgiven");
    }

    #[test]
    fn what_is_announced_later_waits_with_its_recording_and_nothing_else_does() {
        let (mut parked, refused, other) =
            (Parked::default(), RecordingId::generate(), RecordingId::generate());
        let now = Instant::now();
        parked.park(refused, [segment(refused, 4)], now);
        assert_eq!(parked.join(segment(refused, 5)), None);
        assert_eq!(parked.join(segment(other, 0)), Some(segment(other, 0)));
        parked.taken(refused);
        assert_eq!(parked.len(), 2, "an earlier segment that is taken does not lose those set aside");
        assert_eq!(parked.due(now + SOON), [segment(refused, 4), segment(refused, 5)]);
        assert_eq!(parked.join(segment(refused, 6)), Some(segment(refused, 6)), "offered again, in order");
    }
}
