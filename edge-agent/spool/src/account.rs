//! How full the spool is, with hysteresis: it stops admitting before it loses.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::AppendError;

/// A disk that said that it is full is asked again after this time.
const ASK_DISK_AGAIN: Duration = Duration::from_secs(1);

/// Bytes in the spool's files; `low <= full <= hard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From here on the spool says that room gets scarce.
    pub low: u64,
    /// From here on no session and no operation begins.
    pub full: u64,
    /// Nothing passes this. The room above `full` is for the replies and outcomes of what was admitted.
    pub hard: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { low: 512 << 20, full: 960 << 20, hard: 1 << 30 }
    }
}

/// How full the spool is. A level is left only when an eighth below its limit is free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Room enough.
    Normal,
    /// Room gets scarce.
    Low,
    /// Nothing begins.
    Full,
}

#[derive(Debug)]
pub(crate) struct Account {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    used: u64,
    level: Level,
    /// Until when the disk itself counts as full.
    disk_full_until: Option<Instant>,
}

impl Account {
    pub(crate) fn new(limits: Limits, used: u64) -> Self {
        let state = State { used: 0, level: Level::Normal, disk_full_until: None };
        let account = Self { limits, state: Mutex::new(state) };
        account.add(used);
        account
    }

    pub(crate) fn level(&self) -> Level {
        let state = self.lock();
        if state.disk_full_until.is_some_and(|until| Instant::now() < until) {
            Level::Full
        } else {
            state.level
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.lock().used
    }

    /// Whether anything may begin now.
    pub(crate) fn admit_new(&self) -> Result<(), AppendError> {
        if self.level() == Level::Full { Err(AppendError::Full) } else { Ok(()) }
    }

    /// Whether an entry of this size may be written now.
    pub(crate) fn admit(&self, bytes: usize) -> Result<(), AppendError> {
        let bytes = u64::try_from(bytes).map_err(|_| AppendError::Full)?;
        let fits = self.lock().used.saturating_add(bytes) <= self.limits.hard;
        if fits { Ok(()) } else { Err(AppendError::Full) }
    }

    pub(crate) fn add(&self, bytes: u64) {
        let mut state = self.lock();
        state.used = state.used.saturating_add(bytes);
        self.settle(&mut state);
    }

    pub(crate) fn subtract(&self, bytes: u64) {
        let mut state = self.lock();
        state.used = state.used.saturating_sub(bytes);
        state.disk_full_until = None;
        self.settle(&mut state);
    }

    /// The disk has no room, whatever the limits say.
    pub(crate) fn disk_is_full(&self) {
        self.lock().disk_full_until = Instant::now().checked_add(ASK_DISK_AGAIN);
    }

    fn settle(&self, state: &mut State) {
        let entered = |limit: u64| state.used >= limit;
        let left = |limit: u64| state.used < limit.saturating_sub(limit / 8);
        let Limits { low, full, .. } = self.limits;
        state.level = match state.level {
            _ if entered(full) => Level::Full,
            Level::Full if !left(full) => Level::Full,
            _ if entered(low) => Level::Low,
            Level::Full | Level::Low if !left(low) => Level::Low,
            _ => Level::Normal,
        };
    }

    /// Nothing panics while it is held, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_left_later_than_they_are_entered() {
        let account = Account::new(Limits { low: 800, full: 1600, hard: 2000 }, 0);
        let mut seen = Vec::new();
        for change in [799_i64, 1, 799, 1, -1, -199, -1, -600, -99, -1] {
            match u64::try_from(change) {
                Ok(more) => account.add(more),
                Err(_) => account.subtract(change.unsigned_abs()),
            }
            seen.push((account.used(), account.level()));
        }
        let expected = [
            (799, Level::Normal),
            (800, Level::Low),
            (1599, Level::Low),
            (1600, Level::Full),
            (1599, Level::Full),
            (1400, Level::Full),
            (1399, Level::Low),
            (799, Level::Low),
            (700, Level::Low),
            (699, Level::Normal),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn when_full_nothing_begins_and_what_was_admitted_still_ends() {
        let account = Account::new(Limits { low: 800, full: 1600, hard: 2000 }, 1600);
        assert_eq!(account.admit_new(), Err(AppendError::Full));
        assert_eq!(account.admit(400), Ok(()));
        assert_eq!(account.admit(401), Err(AppendError::Full));
    }

    #[test]
    fn a_full_disk_counts_until_something_is_deleted() {
        let account = Account::new(Limits::default(), 100);
        account.disk_is_full();
        assert_eq!(account.level(), Level::Full);
        account.subtract(10);
        assert_eq!(account.level(), Level::Normal);
    }
}
