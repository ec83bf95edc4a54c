//! Instants: protobuf timestamps to and from `SystemTime`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;

/// A timestamp that is missing, before 1970, or not a valid pair of seconds and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the timestamp is missing or out of range")]
pub struct InvalidTimestamp;

/// An instant as protobuf has it; instants before 1970 become 1970 (no clock of ours says so).
pub fn to_timestamp(at: SystemTime) -> Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
    }
}

/// An instant from protobuf.
///
/// # Errors
/// [`InvalidTimestamp`] if it is absent, negative, or does not fit.
pub fn from_timestamp(at: Option<&Timestamp>) -> Result<SystemTime, InvalidTimestamp> {
    let at = at.ok_or(InvalidTimestamp)?;
    let seconds = u64::try_from(at.seconds).map_err(|_| InvalidTimestamp)?;
    let nanos = u32::try_from(at.nanos).map_err(|_| InvalidTimestamp)?;
    if nanos >= 1_000_000_000 {
        return Err(InvalidTimestamp);
    }
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanos)).ok_or(InvalidTimestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_nonsense() {
        let at = UNIX_EPOCH + Duration::new(1_700_000_000, 42);
        assert_eq!(from_timestamp(Some(&to_timestamp(at))), Ok(at));
        assert_eq!(from_timestamp(None), Err(InvalidTimestamp));
        assert!(from_timestamp(Some(&Timestamp { seconds: -1, nanos: 0 })).is_err());
        assert!(from_timestamp(Some(&Timestamp { seconds: 0, nanos: 1_000_000_000 })).is_err());
    }
}
