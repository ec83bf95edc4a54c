//! Errors and notices of a target, without what they may tell of rows.

use bytes::{BufMut, BytesMut};
use countersign_gate::Duty;
use countersign_mask::Detectors;

use super::look::Look;
use crate::{
    codec::{Malformed, encode, split_string},
    sqlstate::{condition, is_condition},
};

/// The fields of an `ErrorResponse` or `NoticeResponse`.
fn fields(mut body: &[u8]) -> Result<Vec<(u8, &[u8])>, Malformed> {
    let mut fields = Vec::new();
    loop {
        match body.split_first() {
            Some((0, [])) => return Ok(fields),
            Some((0, _)) | None => return Err(Malformed::Body),
            Some((&field, rest)) => {
                let (text, rest) = split_string(rest)?;
                fields.push((field, text));
                body = rest;
            }
        }
    }
}

/// Reduced to severity, SQLSTATE, position and the wording that PostgreSQL's catalogue has for the SQLSTATE: message,
/// detail and context can quote any value, and a function chooses them as it likes.
pub(super) fn reduce(kind: u8, body: &[u8], out: &mut BytesMut) -> Result<(), Malformed> {
    let fields = fields(body)?;
    let code = fields.iter().find(|(field, _)| *field == b'C').map(|(_, code)| *code);
    let code = code.filter(|code| code.len() == 5 && code.iter().all(u8::is_ascii_alphanumeric));
    let code = code.and_then(|code| std::str::from_utf8(code).ok()).ok_or(Malformed::Body)?;
    // A function may make up its own, and spell something by it.
    let made_up = if kind == b'N' { "01000" } else { "P0001" };
    let code = if is_condition(code) { code } else { made_up };
    let severity = |text: &[u8]| text.len() <= 12 && text.iter().all(u8::is_ascii_uppercase);
    let position = |text: &[u8]| text.len() <= 10 && text.iter().all(u8::is_ascii_digit);
    encode::framed(out, kind, |out| {
        let mut put = |field: u8, text: &[u8]| {
            out.put_u8(field);
            encode::string(out, text);
        };
        for (field, text) in &fields {
            match field {
                // Never localised: what it is called elsewhere is for people.
                b'V' if severity(text) => [b'S', b'V'].into_iter().for_each(|field| put(field, text)),
                b'P' if position(text) => put(b'P', text),
                _ => {}
            }
        }
        put(b'C', code.as_bytes());
        put(b'M', condition(code).as_bytes());
        out.put_u8(0);
    });
    Ok(())
}

/// Whether the value of a setting, which the target reports as it changes, may be anything at all. Some settings take any
/// text, and a time zone any name with an offset behind it.
pub(super) fn is_telling(name: &str, value: &str, duty: &Duty, look: &Look, detectors: Detectors) -> bool {
    let is_found = look.finds(value.as_bytes(), detectors);
    let is_zone = || {
        let plain = |letter: char| letter.is_ascii_alphabetic() || "/_+-".contains(letter);
        value.chars().all(plain) || value.strip_prefix("Etc/").is_some_and(|rest| rest.len() <= 8)
    };
    let is_free = match name {
        "TimeZone" => !is_zone(),
        "application_name" | "search_path" => true,
        _ => false,
    };
    is_found || (duty.reduce_text && is_free)
}

/// With what detectors find in its words covered.
pub(super) fn cover(
    kind: u8,
    body: &[u8],
    look: &Look,
    detectors: Detectors,
    out: &mut BytesMut,
) -> Result<(), Malformed> {
    let fields = fields(body)?;
    encode::framed(out, kind, |out| {
        for (field, text) in fields {
            out.put_u8(field);
            match field {
                // Severity, SQLSTATE and positions are no words.
                b'S' | b'V' | b'C' | b'P' | b'p' => encode::string(out, text),
                _ => encode::string(out, &look.cover(text, detectors)),
            }
        }
        out.put_u8(0);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use countersign_model::{DataClass, Detector};
    use proptest::prelude::*;

    use super::*;

    const BODY: &[u8] =
        b"SERROR\0VERROR\0C23505\0Mduplicate key\0DKey (email)=(a@b.example) already exists.\0P7\0\
                          nunique_email\0\0";

    #[test]
    fn a_reduced_error_has_nothing_of_the_row() {
        let mut out = BytesMut::new();
        reduce(b'E', BODY, &mut out).unwrap();
        assert_eq!(&out[..1], b"E");
        assert_eq!(&out[5..], b"SERROR\0VERROR\0P7\0C23505\0Munique violation\0\0");
        assert_eq!(reduce(b'E', b"SERROR\0Mno code\0\0", &mut out), Err(Malformed::Body));
        assert_eq!(reduce(b'E', b"C23505\0Mcut", &mut out), Err(Malformed::Body));
        out.clear();
        reduce(b'N', b"Va@b.example\0C01000\0Pa@b\0\0", &mut out).unwrap();
        assert_eq!(&out[5..], b"C01000\0Mwarning\0\0");
    }

    #[test]
    fn findings_in_words_are_covered() {
        let class = DataClass {
            name: "mail".parse().unwrap(),
            columns: Vec::new(),
            detectors: vec![Detector::Email],
        };
        let look = Look::of(&[class]);
        let mut out = BytesMut::new();
        cover(b'E', BODY, &look, look.all(), &mut out).unwrap();
        let text = String::from_utf8(out.to_vec()).unwrap();
        assert!(
            text.contains("Key (email)=([mail]) already exists.") && text.contains("unique_email"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = BytesMut::new();
            let _ = reduce(b'E', &bytes, &mut out);
            let _ = cover(b'N', &bytes, &Look::default(), Detectors::default(), &mut out);
        }
    }
}
