//! How often each endpoint was asked, and to whom tokens were issued: for tests that count. A validator that storms the
//! key set shows here, and so does a credential that was minted too early. The tokens themselves are there for tests that
//! look for them where they must not be.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::guid::Guid;

/// Issued tokens that are counted; the oldest are forgotten.
const MAX_ISSUED: usize = 10_000;
/// Of these, the newest of which the text is kept.
const MAX_TEXTS: usize = 1_000;

#[derive(Default)]
pub(crate) struct Requests {
    pub(crate) discovery: Count,
    pub(crate) jwks: Count,
    pub(crate) token: Count,
    pub(crate) ldap_accepted: Count,
    pub(crate) ldap_refused: Count,
    pub(crate) issued: Issued,
    pub(crate) texts: Texts,
}

/// Requests since the start, answered or faulted.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Requests {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "discovery": self.discovery.get(),
            "jwks": self.jwks.get(),
            "token": self.token.get(),
            "ldap_accepted": self.ldap_accepted.get(),
            "ldap_refused": self.ldap_refused.get(),
            "issued": self.issued.to_json(),
        })
    }
}

/// The tokens that the token endpoint gave out, in order: to which client, and when (milliseconds since 1970, UTC).
#[derive(Default)]
pub(crate) struct Issued(Mutex<VecDeque<(Guid, u64)>>);

impl Issued {
    /// One more, now.
    pub(crate) fn to(&self, client_id: Guid) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let mut issued = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if issued.len() == MAX_ISSUED {
            issued.pop_front();
        }
        issued.push_back((client_id, at_ms));
    }

    fn to_json(&self) -> Value {
        let issued = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        issued.iter().map(|(client_id, at_ms)| json!({ "client_id": client_id, "at_ms": at_ms })).collect()
    }
}

/// What went over the token endpoint in clear: what applications showed, and what they got for it.
#[derive(Default)]
pub(crate) struct Texts(Mutex<VecDeque<Exchanged>>);

struct Exchanged {
    assertion: String,
    access_token: String,
}

impl Texts {
    /// One more.
    pub(crate) fn exchanged(&self, assertion: &str, access_token: &str) {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if texts.len() == MAX_TEXTS {
            texts.pop_front();
        }
        let (assertion, access_token) = (assertion.to_owned(), access_token.to_owned());
        texts.push_back(Exchanged { assertion, access_token });
    }

    pub(crate) fn to_json(&self) -> Value {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |text: &Exchanged| {
            let Exchanged { assertion, access_token } = text;
            json!({ "client_assertion": assertion, "access_token": access_token })
        };
        texts.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_tokens_are_remembered() {
        let issued = Issued::default();
        let (first, last) = (Guid::named("first"), Guid::named("last"));
        issued.to(first);
        for _ in 0..MAX_ISSUED {
            issued.to(last);
        }
        let log = issued.to_json();
        let log = log.as_array().unwrap();
        assert_eq!(log.len(), MAX_ISSUED);
        assert!(log.iter().all(|one| one["client_id"] == json!(last) && one["at_ms"].as_u64() > Some(0)));
    }

    #[test]
    fn the_newest_texts_are_kept() {
        let texts = Texts::default();
        texts.exchanged("first assertion", "first token");
        for _ in 0..MAX_TEXTS {
            texts.exchanged("assertion", "token");
        }
        let kept = texts.to_json();
        let kept = kept.as_array().unwrap();
        assert_eq!(kept.len(), MAX_TEXTS);
        let last = json!({ "client_assertion": "assertion", "access_token": "token" });
        assert!(kept.iter().all(|one| *one == last));
    }
}
