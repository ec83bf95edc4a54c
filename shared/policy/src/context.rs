//! What policy sees as `context`.

use std::{collections::BTreeSet, time::SystemTime};

use cedar_policy::{Context, RestrictedExpression};
use countersign_model::{OperationContext, Reason, SessionFacts};
use time::OffsetDateTime;

/// Distinct statement kinds an operation may have; more are [`Reason::OverLimit`].
const MAX_STATEMENT_KINDS: usize = 64;

/// What every request of one decision has in common; `approved` alone differs between pairs.
pub(crate) struct Surroundings<'a> {
    pub(crate) session: &'a SessionFacts,
    pub(crate) operation: &'a OperationContext,
    pub(crate) now: SystemTime,
    /// Attributes that some policy mentions. Others are left out, which no policy can see: the compiler admits
    /// `context` only with an attribute's name behind it.
    pub(crate) mentioned: &'a BTreeSet<String>,
}

impl Surroundings<'_> {
    /// The context of a request.
    pub(crate) fn context(&self, approved: bool) -> Result<Context, Reason> {
        if self.operation.statement_kinds.len() > MAX_STATEMENT_KINDS {
            return Err(Reason::OverLimit);
        }
        let mut pairs = vec![("approved".to_owned(), RestrictedExpression::new_bool(approved))];
        for name in self.mentioned {
            if let Some(value) = self.value(name)? {
                pairs.push((name.clone(), value));
            }
        }
        Context::from_pairs(pairs).map_err(|_| Reason::PolicyError)
    }

    /// The value of an attribute other than `approved`; none where it is optional and absent.
    fn value(&self, name: &str) -> Result<Option<RestrictedExpression>, Reason> {
        let operation = self.operation;
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        Ok(Some(match name {
            "protocol" => text(operation.protocol),
            "statement_kinds" => {
                RestrictedExpression::new_set(operation.statement_kinds.iter().copied().map(text))
            }
            "statement_count" => RestrictedExpression::new_long(i64::from(operation.statement_count)),
            "all_writes_have_predicate" => {
                RestrictedExpression::new_bool(operation.all_writes_have_predicate)
            }
            "in_transaction" => RestrictedExpression::new_bool(operation.in_transaction),
            // A v4 address that arrived on a v6 socket is a v4 address to policies.
            "client_address" => match self.session.client {
                Some(address) => RestrictedExpression::new_ip(address.to_canonical().to_string()),
                None => return Ok(None),
            },
            "now" => RestrictedExpression::new_datetime(instant(self.now)?),
            _ => return Ok(None),
        }))
    }
}

/// The form that Cedar's `datetime` takes, in UTC with milliseconds. A clock before the year 0 or after 9999 is
/// broken, and nothing is decided by it.
fn instant(at: SystemTime) -> Result<String, Reason> {
    let nanoseconds = match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i128::try_from(since.as_nanos()),
        Err(before) => i128::try_from(before.duration().as_nanos()).map(|n| -n),
    };
    let utc = nanoseconds
        .ok()
        .and_then(|n| OffsetDateTime::from_unix_timestamp_nanos(n).ok())
        .filter(|t| (0..=9999).contains(&t.year()))
        .ok_or(Reason::PolicyError)?;
    Ok(format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        utc.year(),
        u8::from(utc.month()),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second(),
        utc.millisecond()
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn instants_are_utc_with_milliseconds() {
        let at = |ms: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        assert_eq!(instant(at(0)).unwrap(), "1970-01-01T00:00:00.000Z");
        assert_eq!(instant(at(1_709_210_096_007)).unwrap(), "2024-02-29T12:34:56.007Z");
        let before = SystemTime::UNIX_EPOCH - Duration::from_millis(1);
        assert_eq!(instant(before).unwrap(), "1969-12-31T23:59:59.999Z");
        assert_eq!(instant(at(253_402_300_800_000)), Err(Reason::PolicyError), "year 10000");
    }
}
