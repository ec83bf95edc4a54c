//! Delays between attempts: doubling, bounded, and spread so that many edges do not come back at once.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

/// A sequence of delays. Each is between half and all of a bound that doubles up to a limit.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins at `first` and never waits longer than `limit`.
    pub fn new(first: Duration, limit: Duration) -> Self {
        Self { first, limit, next: first }
    }

    /// The delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let bound = self.next.min(self.limit);
        self.next = bound.saturating_mul(2).min(self.limit);
        let half = bound / 2;
        half + half.mul_f64(spread())
    }

    /// An attempt succeeded: the next failure waits as the first did.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Between 0 and 1. The keys of the standard library's hasher are random, which is all that spreading needs.
fn spread() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    u32::try_from(bits).map_or(1.0, |bits| f64::from(bits) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_within_bounds_and_begins_again() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, second * 5);
        for bound in [1, 2, 4, 5, 5] {
            let delay = backoff.next_delay();
            assert!(delay >= second * bound / 2 && delay <= second * bound, "{delay:?} of {bound}");
        }
        backoff.reset();
        assert!(backoff.next_delay() <= second);
    }
}
