//! Failures on demand: an endpoint answers with an error, late, or both, for the next so many requests. Used to show
//! that clients honour `Retry-After`, keep the last good keys, and give up in time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

/// Longest delay that can be asked for, in milliseconds.
const MAX_DELAY_MS: u64 = 120_000;
/// Most faults waiting at once.
const MAX_WAITING: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Endpoint {
    Discovery,
    Jwks,
    Token,
}

/// One failure, in the form of the test API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub(crate) endpoint: Endpoint,
    /// HTTP status 400 to 599; without it (and without `aadsts`) the answer is only late.
    #[serde(default)]
    pub(crate) status: Option<u16>,
    /// Token endpoint only: the error body of this code instead of a bare status.
    #[serde(default)]
    pub(crate) aadsts: Option<u32>,
    #[serde(default)]
    delay_ms: u64,
    #[serde(default = "once")]
    times: u32,
    /// Seconds, sent with 429 and 503.
    #[serde(default = "one_minute")]
    retry_after: u32,
}

#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Adds one, behind those already waiting for its endpoint.
    pub(crate) fn add(&self, fault: Fault) -> Result<(), &'static str> {
        if fault.status.is_some_and(|status| !(400..=599).contains(&status)) {
            return Err("status is not 400 to 599");
        }
        if fault.aadsts.is_some() && fault.endpoint != Endpoint::Token {
            return Err("only the token endpoint has error codes");
        }
        if fault.delay_ms > MAX_DELAY_MS || fault.times == 0 {
            return Err("delay_ms is at most 120000 and times at least 1");
        }
        let mut waiting = self.lock();
        if waiting.len() >= MAX_WAITING {
            return Err("too many faults are waiting");
        }
        waiting.push(fault);
        Ok(())
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// The fault for this request, used up by one, after its delay has passed.
    pub(crate) async fn strike(&self, endpoint: Endpoint) -> Option<Fault> {
        let fault = self.take(endpoint)?;
        tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
        Some(fault)
    }

    fn take(&self, endpoint: Endpoint) -> Option<Fault> {
        let mut waiting = self.lock();
        let place = waiting.iter().position(|fault| fault.endpoint == endpoint)?;
        let fault = waiting.get_mut(place)?;
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 { Some(waiting.remove(place)) } else { Some(fault.clone()) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    /// The bare answer: plain text as Entra's front end sends it, never JSON.
    pub(crate) fn response(&self) -> Option<Response> {
        let status = StatusCode::from_u16(self.status?).ok()?;
        let text = status.canonical_reason().unwrap_or("Error");
        let mut response = (status, [(header::CONTENT_TYPE, "text/plain")], text).into_response();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, self.retry_after.into());
        }
        Some(response)
    }
}

fn once() -> u32 {
    1
}

fn one_minute() -> u32 {
    60
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Fault {
        serde_json::from_str(json).unwrap()
    }

    #[tokio::test]
    async fn faults_are_used_up_in_order_and_per_endpoint() {
        let faults = Faults::default();
        faults.add(fault(r#"{"endpoint":"jwks","status":503,"times":2}"#)).unwrap();
        faults.add(fault(r#"{"endpoint":"jwks","status":429,"retry_after":7}"#)).unwrap();
        assert!(faults.strike(Endpoint::Token).await.is_none());
        let mut seen = Vec::new();
        while let Some(fault) = faults.strike(Endpoint::Jwks).await {
            let response = fault.response().unwrap();
            seen.push((response.status().as_u16(), response.headers()[header::RETRY_AFTER].clone()));
        }
        assert_eq!(
            seen,
            [(503, "60".parse().unwrap()), (503, "60".parse().unwrap()), (429, "7".parse().unwrap())]
        );
    }

    #[test]
    fn senseless_faults_are_refused() {
        let faults = Faults::default();
        for text in [
            r#"{"endpoint":"jwks","status":200}"#,
            r#"{"endpoint":"jwks","aadsts":700213}"#,
            r#"{"endpoint":"token","status":503,"times":0}"#,
            r#"{"endpoint":"token","status":503,"delay_ms":120001}"#,
        ] {
            assert!(faults.add(fault(text)).is_err(), "{text}");
        }
    }
}
