//! PostgreSQL's built-in types: their names, and their values in binary form.
//!
//! Oids and names are those of `pg_type.dat` and never change; the binary forms are what each type's `recv` function
//! reads. What that function would refuse is not read here either, so no value is shown that the target would not see.

use uuid::Uuid;

use super::{moment, numeric};

/// Longest name (`NAMEDATALEN - 1`), in bytes.
const MAX_NAME: usize = 63;
/// The one version of the binary form of jsonb.
const JSONB_VERSION: u8 = 1;

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    /// Its binary form is this text.
    Text(String),
    /// Its binary form stands for this.
    Value(String),
}

/// The name of a type.
pub(super) fn name(oid: u32) -> Option<&'static str> {
    Some(match oid {
        16 => "bool",
        17 => "bytea",
        19 => "name",
        20 => "int8",
        21 => "int2",
        23 => "int4",
        25 => "text",
        26 => "oid",
        114 => "json",
        700 => "float4",
        701 => "float8",
        705 => "unknown",
        1042 => "bpchar",
        1043 => "varchar",
        1082 => "date",
        1114 => "timestamp",
        1184 => "timestamptz",
        1700 => "numeric",
        2950 => "uuid",
        3802 => "jsonb",
        _ => return None,
    })
}

/// What a value of this type says; `None` for a type that is not known here, for bytes, and for what is not of the
/// type's form.
pub(super) fn read(oid: u32, bytes: &[u8]) -> Option<Read> {
    let value = match name(oid)? {
        "text" | "varchar" | "bpchar" | "json" | "unknown" => return text(bytes).map(Read::Text),
        "name" if bytes.len() <= MAX_NAME => return text(bytes).map(Read::Text),
        "jsonb" => {
            let (version, json) = bytes.split_first()?;
            return text(json).filter(|_| *version == JSONB_VERSION).map(Read::Text);
        }
        "bool" => {
            let [byte] = whole(bytes)?;
            (byte != 0).to_string()
        }
        "int2" => i16::from_be_bytes(whole(bytes)?).to_string(),
        "int4" => i32::from_be_bytes(whole(bytes)?).to_string(),
        "int8" => i64::from_be_bytes(whole(bytes)?).to_string(),
        "oid" => u32::from_be_bytes(whole(bytes)?).to_string(),
        "float4" => {
            let value = f32::from_be_bytes(whole(bytes)?);
            float(value.into(), value.to_string(), &format!("{value:e}"), 6)
        }
        "float8" => {
            let value = f64::from_be_bytes(whole(bytes)?);
            float(value, value.to_string(), &format!("{value:e}"), 15)
        }
        "uuid" => Uuid::from_bytes(whole(bytes)?).to_string(),
        "date" => moment::date(i32::from_be_bytes(whole(bytes)?))?,
        "timestamp" => moment::timestamp(i64::from_be_bytes(whole(bytes)?), "")?,
        // An instant: PostgreSQL keeps no zone with it.
        "timestamptz" => moment::timestamp(i64::from_be_bytes(whole(bytes)?), "+00")?,
        "numeric" => numeric::read(bytes)?,
        _ => return None,
    };
    Some(Read::Value(value))
}

fn whole<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn text(bytes: &[u8]) -> Option<String> {
    // A zero byte is no part of any text of PostgreSQL.
    if bytes.contains(&0) { None } else { String::from_utf8(bytes.to_vec()).ok() }
}

/// As PostgreSQL writes it: with an exponent where the number is very small, or has more than so many digits.
fn float(value: f64, plain: String, exponential: &str, digits: i32) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let split = exponential.split_once('e');
    let exponent = split.and_then(|(factor, exponent)| Some((factor, exponent.parse::<i32>().ok()?)));
    match exponent {
        Some((factor, exponent)) if !(-4..digits).contains(&exponent) => format!("{factor}e{exponent:+03}"),
        _ => plain,
    }
}

#[cfg(test)]
mod tests;
