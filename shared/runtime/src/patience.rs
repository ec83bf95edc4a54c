//! Waiting a moment for a lock that its holder is about to give up.

use std::{
    thread,
    time::{Duration, Instant},
};

/// A process that ends, or a child between its fork and its exec, holds a file's lock for a moment longer than the
/// code that let go of it: refusing at once would refuse a restart.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Attempts until it works, fails in a way that is not worth another attempt, or `limit` has passed. Blocks.
///
/// # Errors
/// The last attempt's.
pub fn retry_while<T, E>(
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T, E>,
    worth_another: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let until = Instant::now() + limit;
    loop {
        match attempt() {
            Err(error) if worth_another(&error) && Instant::now() < until => {
                thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_again_only_while_it_is_worth_it() {
        let mut attempts = 0;
        let mut attempt = |works_at: u32| {
            attempts += 1;
            if attempts >= works_at { Ok(attempts) } else { Err(attempts) }
        };
        assert_eq!(retry_while(Duration::from_secs(5), || attempt(3), |_| true), Ok(3));
        let failing = || -> Result<(), &str> { Err("no") };
        assert_eq!(retry_while(Duration::from_secs(5), failing, |_| false), Err("no"));
        assert_eq!(retry_while(Duration::from_millis(20), failing, |_| true), Err("no"));
        assert_eq!(attempts, 3);
    }
}
