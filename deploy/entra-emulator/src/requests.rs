//! How often each endpoint was asked, for tests that count: a validator that storms the key set shows here.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

#[derive(Default)]
pub(crate) struct Requests {
    pub(crate) discovery: Count,
    pub(crate) jwks: Count,
    pub(crate) token: Count,
    pub(crate) ldap_accepted: Count,
    pub(crate) ldap_refused: Count,
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
        })
    }
}
