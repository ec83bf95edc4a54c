//! What Entra's token endpoint says, sorted by what can be done about it.
//!
//! Only `error`, the status and the documented code numbers are looked at; descriptions are for people and never kept,
//! for they repeat what was presented.

use std::time::{Duration, SystemTime};

use countersign_model::Secret;
use reqwest::StatusCode;
use serde::Deserialize;

use super::{MintError, Minted};

/// "A transient error", by number (Microsoft Entra authentication and authorization error codes).
const TRANSIENT: [u32; 5] = [90006, 90012, 90024, 90033, 90090];
/// "No matching federated identity record", by number: also seen for minutes after one was created.
const PROPAGATION: [u32; 4] = [70021, 700_211, 700_212, 700_213];
/// Tenant-wide throttling that comes as an ordinary error.
const THROTTLED: u32 = 90055;
/// Longest word taken over from an answer, in bytes.
const MAX_WORD: usize = 64;
/// Most code numbers taken over.
const MAX_CODES: usize = 8;
/// Longest life believed: Entra's longest are 28 h.
const MAX_LIFE: Duration = Duration::from_secs(28 * 3600);

#[derive(Deserialize)]
struct Granted {
    token_type: String,
    expires_in: u64,
    access_token: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refused {
    error: String,
    error_codes: Vec<u32>,
    trace_id: String,
    correlation_id: String,
}

/// A 200.
pub(super) fn minted(body: &[u8], asked_at: SystemTime) -> Result<Minted, MintError> {
    let granted: Granted = serde_json::from_slice(body).map_err(|_| MintError::Answer)?;
    // First of all, so that it is zeroed on every way out.
    let token = Secret::new(granted.access_token);
    let life = Duration::from_secs(granted.expires_in);
    let sensible = granted.token_type.eq_ignore_ascii_case("Bearer")
        && !token.expose().is_empty()
        && !life.is_zero()
        && life <= MAX_LIFE;
    if !sensible {
        return Err(MintError::Answer);
    }
    Ok(Minted { token, expires_at: asked_at + life })
}

/// Anything but 200 and 429.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> MintError {
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return MintError::Transient;
    }
    let Ok(refused) = serde_json::from_slice::<Refused>(body) else { return MintError::Answer };
    let any = |codes: &[u32]| refused.error_codes.iter().any(|code| codes.contains(code));
    if refused.error == "temporarily_unavailable" || any(&TRANSIENT) {
        MintError::Transient
    } else if any(&[THROTTLED]) {
        MintError::Throttled { retry_after: super::DEFAULT_RETRY_AFTER }
    } else if any(&PROPAGATION) {
        MintError::Propagation { error_codes: codes(&refused.error_codes), trace_id: word(&refused.trace_id) }
    } else {
        MintError::Config {
            error: word(&refused.error),
            error_codes: codes(&refused.error_codes),
            trace_id: word(&refused.trace_id),
            correlation_id: word(&refused.correlation_id),
        }
    }
}

/// Ends up in logs: bounded, and of an alphabet that cannot forge a line.
fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(MAX_WORD).collect()
}

fn codes(codes: &[u32]) -> Vec<u32> {
    codes.iter().copied().take(MAX_CODES).collect()
}
