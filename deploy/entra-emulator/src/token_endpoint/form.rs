//! The request body of the token endpoint: form-encoded exactly once, no parameter twice. What is encoded twice keeps
//! its inner `%2F` and so names no scope and no resource that exists.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};

use super::refusal::Refusal;

/// Largest body that is read, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// Decoded parameters; each name once.
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads the body. Entra does not look at a body of another content type and then misses its first parameter;
    /// the same for a body that is not well formed.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        if !is_form(headers) {
            return Err(Refusal::Missing("grant_type"));
        }
        let body = std::str::from_utf8(body).map_err(|_| Refusal::Missing("grant_type"))?;
        let mut parameters = BTreeMap::new();
        for pair in body.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or(Refusal::Missing("grant_type"))?;
            let value = decode(value).ok_or(Refusal::Missing("grant_type"))?;
            if parameters.insert(name.clone(), value).is_some() {
                return Err(Refusal::Duplicated(name));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter with a value; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter at all, empty or not.
    pub(super) fn mentions(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn require(&self, name: &'static str) -> Result<&str, Refusal> {
        self.get(name).ok_or(Refusal::Missing(name))
    }
}

/// The media type and nothing but a charset of UTF-8 beside it.
fn is_form(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let (media, parameter) = value.split_once(';').unwrap_or((value, ""));
    let parameter = parameter.trim();
    media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && (parameter.is_empty() || parameter.eq_ignore_ascii_case("charset=utf-8"))
}

/// Percent-decoding with `+` as space (WHATWG URL, application/x-www-form-urlencoded); a broken escape is an error.
fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &'static str, body: &str) -> Result<Form, Refusal> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type.parse().unwrap())]);
        Form::read(&headers, body.as_bytes())
    }

    #[test]
    fn bodies_are_decoded_exactly_once() {
        let form = read("application/x-www-form-urlencoded; charset=UTF-8", "a=%2Fx%252F+y&b=").unwrap();
        assert_eq!(form.get("a"), Some("/x%2F y"));
        assert_eq!((form.get("b"), form.mentions("b")), (None, true));
    }

    #[test]
    fn other_bodies_are_not_read() {
        let form = "application/x-www-form-urlencoded";
        for (content_type, body) in [
            ("application/json", "{}"),
            ("text/plain", "grant_type=x"),
            ("application/x-www-form-urlencoded; charset=utf-16", "grant_type=x"),
            (form, "grant_type=%zz"),
            (form, "grant_type=%f"),
            (form, "grant_type=%ff"),
        ] {
            assert_eq!(
                read(content_type, body).err(),
                Some(Refusal::Missing("grant_type")),
                "{content_type} {body}"
            );
        }
        assert_eq!(read(form, "a=1&%61=1").err(), Some(Refusal::Duplicated("a".to_owned())));
    }
}
