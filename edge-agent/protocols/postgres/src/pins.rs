//! Settings that the reading of statements rests on, and which must not change while a session lasts.
//!
//! A statement is judged by its text. Should the target begin to read text otherwise (another encoding, backslashes
//! in ordinary strings, another role or search path), what was judged is not what would run. PostgreSQL reports
//! these settings whenever they change; one such report ends the session.

/// What a target has to report at login, or the login fails.
///
/// The encoding of the database counts too: a server cuts long names after converting them, so in another encoding
/// it would cut them elsewhere than we do.
const REQUIRED: [(&str, &str); 3] =
    [("client_encoding", "UTF8"), ("server_encoding", "UTF8"), ("standard_conforming_strings", "on")];

/// What must stay as it was reported at login. `search_path` is reported by PostgreSQL 18 and later.
const PINNED: [&str; 5] = [
    "client_encoding",
    "server_encoding",
    "standard_conforming_strings",
    "session_authorization",
    "search_path",
];

/// The settings as they were at login.
#[derive(Debug, Default)]
pub(crate) struct Pins(Vec<(String, String)>);

impl Pins {
    /// Keeps those of the reported settings that must not change.
    pub(crate) fn of<'a>(reported: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let pinned = reported.filter(|(name, _)| PINNED.contains(name));
        Self(pinned.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Whether the login reported all that is required.
    pub(crate) fn are_complete(&self) -> bool {
        REQUIRED.iter().all(|(name, value)| self.0.iter().any(|pin| pin.0 == *name && pin.1 == *value))
    }

    /// Whether a later report leaves every pin in its place.
    pub(crate) fn hold(&self, name: &str, value: &str) -> bool {
        self.0.iter().all(|pin| pin.0 != name || pin.1 == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_values_are_exact() {
        let good = [
            ("client_encoding", "UTF8"),
            ("server_encoding", "UTF8"),
            ("standard_conforming_strings", "on"),
            ("TimeZone", "UTC"),
        ];
        assert!(Pins::of(good.into_iter()).are_complete());
        for (missing, _) in REQUIRED {
            assert!(!Pins::of(good.into_iter().filter(|(name, _)| *name != missing)).are_complete());
            let other = good.map(|(name, value)| (name, if name == missing { "LATIN1" } else { value }));
            assert!(!Pins::of(other.into_iter()).are_complete());
        }
    }
}
