//! What a client may say about itself before it is known, and which of its settings reach the target.
//!
//! The list is closed: a setting that is not on it is refused by name, never ignored, because a client that asked
//! for something else than it gets would misread what it is told. Nothing on it changes what a statement means.

use std::time::Duration;

use crate::codec::{PROTOCOL_3_0, startup::StartupPacket};

/// Settings that travel to the target as the client gave them; compared without regard to case.
const FORWARDED: [&str; 6] =
    ["application_name", "bytea_output", "DateStyle", "extra_float_digits", "IntervalStyle", "TimeZone"];

/// Longest name of a setting that is repeated to the client, in bytes.
const MAX_NAME: usize = 64;

/// A startup that can go on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Startup {
    /// Free text; recorded and never believed.
    pub(crate) user: String,
    /// Name of the target, as given.
    pub(crate) target: String,
    /// Settings for the target.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// How long the client wants to wait for people, from `-c countersign.wait`.
    pub(crate) wait: Option<Duration>,
    /// `_pq_.` names that are not spoken.
    pub(crate) unknown: Vec<String>,
    /// The client asked for a minor version above 0.
    pub(crate) newer: bool,
}

/// Why a startup cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StartupError {
    /// Another major version.
    #[error("unsupported frontend protocol version")]
    Version,
    /// PostgreSQL requires one, and it is recorded.
    #[error("no user name was given")]
    NoUser,
    /// A setting that is not on the list.
    #[error("the setting \"{0}\" cannot be given at startup here")]
    Setting(String),
    /// Anything but UTF-8.
    #[error("client_encoding has to be UTF8")]
    Encoding,
    /// `target/database`.
    #[error("a database within a target cannot be chosen: dbname is the name of the target alone")]
    Database,
    /// `countersign.auth` with anything but `password`.
    #[error("countersign.auth can only be \"password\" here")]
    Auth,
    /// `countersign.wait` that is no duration.
    #[error("countersign.wait is a whole number and a unit, such as 500ms, 55s or 2m")]
    Wait,
    /// `options` that do not read as PostgreSQL's.
    #[error("options cannot be read: only -c name=value and --name=value are understood")]
    Options,
}

impl Startup {
    /// Reads a startup packet.
    pub(crate) fn read(packet: StartupPacket) -> Result<Self, StartupError> {
        if packet.version >> 16 != PROTOCOL_3_0 >> 16 {
            return Err(StartupError::Version);
        }
        let mut startup = Self { newer: packet.version > PROTOCOL_3_0, ..Self::default() };
        for (name, value) in packet.parameters {
            match name.as_str() {
                "user" => startup.user = value,
                "database" => startup.target = value,
                "options" => startup.options(&value)?,
                "replication" if ["false", "off", "no", "0"].contains(&value.as_str()) => {}
                _ if name.starts_with("_pq_.") => startup.unknown.push(name),
                _ => startup.setting(&name, value)?,
            }
        }
        if startup.user.is_empty() {
            return Err(StartupError::NoUser);
        }
        if startup.target.is_empty() {
            startup.target.clone_from(&startup.user);
        }
        if startup.target.contains('/') { Err(StartupError::Database) } else { Ok(startup) }
    }

    fn setting(&mut self, name: &str, value: String) -> Result<(), StartupError> {
        if name.eq_ignore_ascii_case("client_encoding") {
            return if is_utf8(&value) { Ok(()) } else { Err(StartupError::Encoding) };
        }
        match FORWARDED.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            Some(known) => {
                self.settings.retain(|(other, _)| other != known);
                self.settings.push((known, value));
                Ok(())
            }
            None => Err(StartupError::Setting(printable(name))),
        }
    }

    fn options(&mut self, text: &str) -> Result<(), StartupError> {
        let mut words = words(text).into_iter();
        while let Some(word) = words.next() {
            let assignment = match word.strip_prefix("--") {
                Some(assignment) => assignment.to_owned(),
                None => match word.strip_prefix("-c") {
                    Some("") => words.next().ok_or(StartupError::Options)?,
                    Some(assignment) => assignment.to_owned(),
                    None => return Err(StartupError::Options),
                },
            };
            let (name, value) = assignment.split_once('=').ok_or(StartupError::Options)?;
            match name {
                "countersign.wait" => self.wait = Some(duration(value).ok_or(StartupError::Wait)?),
                "countersign.auth" if value == "password" => {}
                "countersign.auth" => return Err(StartupError::Auth),
                // PostgreSQL reads dashes in names of options as underscores.
                _ => self.setting(&name.replace('-', "_"), value.to_owned())?,
            }
        }
        Ok(())
    }
}

/// `UTF8` in the spellings that clients use, asyncpg's quotes included. `SQL_ASCII`, which libpq derives from the C
/// locale, means "as it comes", and what comes is UTF-8.
fn is_utf8(value: &str) -> bool {
    let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
    ["utf8", "unicode", "sqlascii"].iter().any(|name| plain.eq_ignore_ascii_case(name))
}

/// Splits at white space; a backslash takes the next character as it is (PostgreSQL documentation, libpq `options`).
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut characters) = (Vec::new(), None::<String>, text.chars());
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.get_or_insert_default().extend(characters.next()),
            _ if character.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u32 = number.parse().ok()?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" | "min" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return None,
    };
    unit.checked_mul(number)
}

fn printable(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '?' };
    name.chars().take(MAX_NAME).map(fit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(parameters: &[(&str, &str)]) -> Result<Startup, StartupError> {
        let parameters = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Startup::read(StartupPacket { version: PROTOCOL_3_0, parameters })
    }

    #[test]
    fn the_defaults_of_common_clients_pass() {
        let psql = [
            ("user", "ada"),
            ("database", "shop"),
            ("application_name", "psql"),
            ("client_encoding", "UTF8"),
        ];
        let asyncpg = [("user", "ada"), ("database", "shop"), ("client_encoding", "'utf-8'")];
        let pgjdbc =
            [("user", "a"), ("database", "shop"), ("DateStyle", "ISO"), ("TimeZone", "Europe/Berlin")];
        let c_locale = [("user", "ada"), ("database", "shop"), ("client_encoding", "SQL_ASCII")];
        for client in [&psql[..], &asyncpg, &pgjdbc, &c_locale] {
            assert_eq!(read(client).unwrap().target, "shop");
        }
        assert_eq!(read(&psql).unwrap().settings, [("application_name", "psql".to_owned())]);
        assert_eq!(read(&[("user", "shop")]).unwrap().target, "shop");
    }

    #[test]
    fn options_are_read_strictly() {
        let read = |options: &str| read(&[("user", "ada"), ("database", "shop"), ("options", options)]);
        assert_eq!(read("-c countersign.wait=55s").unwrap().wait, Some(Duration::from_secs(55)));
        let plain = read("-ccountersign.wait=2m --bytea_output=hex").unwrap();
        assert_eq!(plain.settings, [("bytea_output", "hex".to_owned())]);
        let spaced = read(r"-c application_name=a\ b\\c").unwrap();
        assert_eq!(spaced.settings, [("application_name", r"a b\c".to_owned())]);
        assert_eq!(read("-c countersign.auth=oauthbearer"), Err(StartupError::Auth));
        assert_eq!(read("-c countersign.wait=soon"), Err(StartupError::Wait));
        assert_eq!(read("-c search_path=evil"), Err(StartupError::Setting("search_path".into())));
        assert_eq!(read("-c search-path=evil"), Err(StartupError::Setting("search_path".into())));
        for bad in ["-B 5", "-c", "-c x", "x=y", "-c countersign.auth"] {
            assert_eq!(read(bad), Err(StartupError::Options), "{bad}");
        }
    }

    #[test]
    fn what_is_not_on_the_list_is_refused_by_name() {
        let read = |name, value| read(&[("user", "ada"), ("database", "shop"), (name, value)]);
        assert_eq!(read("replication", "database"), Err(StartupError::Setting("replication".into())));
        assert_eq!(read("role", "dba"), Err(StartupError::Setting("role".into())));
        assert_eq!(read("r\u{1b}[0m", "x"), Err(StartupError::Setting("r??0m".into())));
        assert_eq!(read("client_encoding", "LATIN1"), Err(StartupError::Encoding));
        assert_eq!(read("database", "shop/other"), Err(StartupError::Database));
        assert_eq!(read("_pq_.protocol_extension", "1").unwrap().unknown, ["_pq_.protocol_extension"]);
    }

    #[test]
    fn versions() {
        let packet = |version| StartupPacket { version, parameters: vec![("user".into(), "a".into())] };
        assert!(Startup::read(packet(PROTOCOL_3_0 + 2)).unwrap().newer);
        assert_eq!(Startup::read(packet(2 << 16)), Err(StartupError::Version));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(name in ".{0,40}", value in ".{0,80}") {
            let _ = read(&[("user", "a"), (&name, &value)]);
            let _ = read(&[("user", "a"), ("options", &value)]);
        }
    }
}
