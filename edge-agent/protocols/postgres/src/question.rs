//! The questions to the catalog, and their answers.
//!
//! The text of a question is fixed. The names of the statement travel beside it as bound parameters of type
//! `name[]`, in binary: the server never parses them as SQL, so no spelling of a name can change what is asked.

use bytes::{BufMut, Bytes, BytesMut};
use countersign_model::{DataClass, NameKind as Kind, ObjectClass, ObjectVersion, ResolvedName as Found};
use countersign_sql::{Names, Qualified, SearchPath, TouchedObject};

use crate::{
    codec::{Malformed, backend, encode},
    masking::{Row as TagRow, numbered},
    outlook::{Seen, View},
};

/// A fixed question.
#[derive(Debug)]
pub(crate) struct Question {
    /// Its text. Its permit owns exactly these bytes.
    pub(crate) text: &'static str,
    /// Name of the prepared question on its connection.
    name: &'static [u8],
    /// Types of its parameters.
    types: &'static [u32],
}

/// What the names of a statement mean.
pub(crate) const MEANINGS: Question = Question {
    text: include_str!("question/names.sql"),
    name: b"names",
    types: &[
        NAME, NAME_ARRAY, NAME_ARRAY, NAME_ARRAY, BOOL_ARRAY, NAME_ARRAY, NAME_ARRAY, NAME_ARRAY, NAME_ARRAY,
        NAME_ARRAY, NAME_ARRAY, NAME_ARRAY,
    ],
};

/// The same, and what of it is tagged.
pub(crate) const MEANINGS_AND_TAGS: Question = Question {
    text: concat!(include_str!("question/names.sql"), include_str!("question/tags.sql")),
    name: b"tags",
    types: &[
        NAME, NAME_ARRAY, NAME_ARRAY, NAME_ARRAY, BOOL_ARRAY, NAME_ARRAY, NAME_ARRAY, NAME_ARRAY, NAME_ARRAY,
        NAME_ARRAY, NAME_ARRAY, NAME_ARRAY, NAME_ARRAY, NAME_ARRAY, NAME_ARRAY,
    ],
};

/// What objects are defined as.
pub(crate) const DEFINITIONS: Question = Question {
    text: include_str!("question/definitions.sql"),
    name: b"definitions",
    types: &[NAME_ARRAY, NAME_ARRAY, NAME_ARRAY, NAME_ARRAY],
};

// Object identifiers of built-in types (PostgreSQL's `pg_type.dat`); they never change.
const BOOL: u32 = 16;
const NAME: u32 = 19;
const BOOL_ARRAY: u32 = 1000;
const NAME_ARRAY: u32 = 1003;

/// A question with its parameters.
#[derive(Debug)]
pub(crate) struct Bind {
    question: &'static Question,
    parameters: BytesMut,
}

impl Bind {
    /// What these names mean to a role with an effective search path.
    pub(crate) fn meanings(role: &str, path: &[String], names: &Names) -> Self {
        let mut parameters = BytesMut::new();
        encode::counted_without_itself(&mut parameters, |out| out.put_slice(role.as_bytes()));
        name_array(&mut parameters, path.iter().map(String::as_str));
        let relations = || names.relations.iter().map(|(name, _)| name);
        pair(&mut parameters, relations);
        array(&mut parameters, BOOL, names.relations.iter(), |out, (_, whole)| out.put_u8(u8::from(*whole)));
        for list in [&names.functions, &names.operators, &names.types] {
            pair(&mut parameters, || list.iter());
        }
        name_array(&mut parameters, names.attributes.iter().map(String::as_str));
        Self { question: &MEANINGS, parameters }
    }

    /// The same, and what of it the columns of these classes are; without any it need not be asked.
    pub(crate) fn and_tags(mut self, classes: &[DataClass]) -> Self {
        let tags: Vec<_> = numbered(classes).map(|(_, column)| column).collect();
        if !tags.is_empty() {
            self.question = &MEANINGS_AND_TAGS;
            name_array(&mut self.parameters, tags.iter().map(|tag| &*tag.schema));
            name_array(&mut self.parameters, tags.iter().map(|tag| &*tag.relation));
            name_array(&mut self.parameters, tags.iter().map(|tag| &*tag.column));
        }
        self
    }

    /// What these objects are defined as.
    pub(crate) fn definitions(objects: &[TouchedObject]) -> Self {
        let mut parameters = BytesMut::new();
        for class in [ObjectClass::Relation, ObjectClass::Function] {
            let of_class: Vec<_> = objects.iter().filter(|object| object.class == class).collect();
            name_array(&mut parameters, of_class.iter().map(|object| object.schema.as_str()));
            name_array(&mut parameters, of_class.iter().map(|object| object.name.as_str()));
        }
        Self { question: &DEFINITIONS, parameters }
    }

    /// The question.
    pub(crate) fn question(&self) -> &'static Question {
        self.question
    }

    /// Parse of the question, in the words of its permit, under a name of ours: planning it costs the server more than
    /// running it.
    pub(crate) fn prepare(&self, text: &[u8], out: &mut BytesMut) {
        encode::framed(out, b'P', |out| {
            encode::string(out, self.question.name);
            encode::string(out, text);
            out.put_u16(self.question.types.len() as u16);
            self.question.types.iter().for_each(|oid| out.put_u32(*oid));
        });
    }

    /// Bind and Execute of what was prepared; the caller adds the Sync.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        encode::framed(out, b'B', |out| {
            // The unnamed portal of the statement; one format for all parameters, binary; text results.
            encode::string(out, b"");
            encode::string(out, self.question.name);
            [1, 1, self.question.types.len() as u16].iter().for_each(|word| out.put_u16(*word));
            out.put_slice(&self.parameters);
            out.put_u16(0);
        });
        encode::framed(out, b'E', |out| out.put_slice(&[0, 0, 0, 0, 0]));
    }
}

fn pair<'a, I: ExactSizeIterator<Item = &'a Qualified>>(out: &mut BytesMut, list: impl Fn() -> I) {
    name_array(out, list().map(|name| name.schema.as_str()));
    name_array(out, list().map(|name| name.name.as_str()));
}

fn name_array<'a>(out: &mut BytesMut, names: impl ExactSizeIterator<Item = &'a str>) {
    array(out, NAME, names, |out, name| out.put_slice(name.as_bytes()));
}

/// An array in binary: dimensions, no NULLs, element type, size, lower bound, elements (`array_send`).
fn array<T>(
    out: &mut BytesMut,
    element: u32,
    items: impl ExactSizeIterator<Item = T>,
    put: impl Fn(&mut BytesMut, T),
) {
    encode::counted_without_itself(out, |out| {
        let dimensions = u32::from(items.len() > 0);
        [dimensions, 0, element].iter().for_each(|word| out.put_u32(*word));
        if dimensions > 0 {
            out.put_u32(items.len() as u32);
            out.put_u32(1);
        }
        items.for_each(|item| encode::counted_without_itself(out, |out| put(out, item)));
    });
}

/// The values of a row; `None` is NULL.
type Row<'a> = &'a [Option<&'a [u8]>];

/// Reads the rows in whole messages.
fn read_rows<T>(
    mut messages: Bytes,
    read: fn(Row<'_>) -> Result<T, Malformed>,
    found: &mut Vec<T>,
) -> Result<(), Malformed> {
    while let Some(header) = backend::header(&messages)? {
        let body = messages.get(5..header.total).ok_or(Malformed::Length)?;
        if header.kind == b'D' {
            found.push(read(&backend::values(body)?)?);
        }
        messages = messages.split_off(header.total);
    }
    Ok(())
}

/// A row of an answer to [`MEANINGS`] or [`MEANINGS_AND_TAGS`].
#[derive(Debug)]
pub(crate) enum Meaning {
    Name(Found),
    Tag(TagRow),
}

/// Rows of such an answer.
pub(crate) fn read_meanings(messages: Bytes, found: &mut Vec<Meaning>) -> Result<(), Malformed> {
    let read = |values: Row<'_>| match tag(values)? {
        Some(row) => Ok(Meaning::Tag(row)),
        None => meaning(values).map(Meaning::Name),
    };
    read_rows(messages, read, found)
}

fn tag(values: Row<'_>) -> Result<Option<TagRow>, Malformed> {
    let text = |at: usize| text(values, at);
    let number = |at: usize| text(at)?.parse::<u32>().map_err(|_| Malformed::Body);
    let row = match text(0)? {
        "tagged" => TagRow::Tagged {
            tag: (number(1)? as usize).checked_sub(1).ok_or(Malformed::Body)?,
            relation: number(2)?,
            name: text(3)?.to_owned(),
            attribute: text(4)?.parse().map_err(|_| Malformed::Body)?,
        },
        "missing" => TagRow::Missing { tag: (number(1)? as usize).checked_sub(1).ok_or(Malformed::Body)? },
        "of row" => TagRow::Function { name: text(3)?.to_owned() },
        "live" => TagRow::Attribute {
            relation: number(2)?,
            name: text(3)?.to_owned(),
            attribute: text(4)?.parse().map_err(|_| Malformed::Body)?,
        },
        "reached" => {
            let mut flags = text(5)?.split_ascii_whitespace();
            TagRow::Reached {
                relation: number(2)?,
                kind: text(3)?.to_owned(),
                rule: text(4)?.to_owned(),
                is_opaque: flags.clone().any(|flag| flag == "opaque"),
                has_attached: flags.any(|flag| flag == "attached"),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(row))
}

/// Rows of an answer to [`DEFINITIONS`].
pub(crate) fn read_definitions(messages: Bytes, found: &mut Vec<ObjectVersion>) -> Result<(), Malformed> {
    read_rows(messages, definition, found)
}

/// The answer to the question as whom and by which path a session looks names up.
pub(crate) fn read_outlook(messages: Bytes) -> Result<Seen, Malformed> {
    let mut found = Vec::new();
    read_rows(messages, outlook, &mut found)?;
    found.into_iter().next().ok_or(Malformed::Body)
}

fn outlook(values: Row<'_>) -> Result<Seen, Malformed> {
    let (temporary, role, path) = (text(values, 0)?, text(values, 1)?, text(values, 2)?);
    let view = effective_path(path, role).map(|path| View { role: role.to_owned(), path });
    Ok(Seen { view, has_temporary: temporary != "0" })
}

/// The schemas that a setting of `search_path` means to a role; `None` if it cannot be told.
fn effective_path(setting: &str, role: &str) -> Option<Vec<String>> {
    // As it is set at the login. Temporary objects come last by it, and a session that has any is not asked further.
    let setting = setting.strip_suffix(", \"pg_temp\"").unwrap_or(setting);
    match setting.trim() {
        "" | "\"\"" => Some(vec!["pg_catalog".to_owned()]),
        setting => setting.parse().ok().map(|path: SearchPath| path.effective(role)),
    }
}

/// The value of the first row of one column, as text.
pub(crate) fn read_value(messages: Bytes) -> Result<String, Malformed> {
    let mut found = Vec::new();
    read_rows(messages, |values| text(values, 0).map(str::to_owned), &mut found)?;
    found.into_iter().next().ok_or(Malformed::Body)
}

fn text<'a>(values: Row<'a>, at: usize) -> Result<&'a str, Malformed> {
    let value = values.get(at).copied().flatten().ok_or(Malformed::Body)?;
    std::str::from_utf8(value).map_err(|_| Malformed::Body)
}

fn definition(values: Row<'_>) -> Result<ObjectVersion, Malformed> {
    let class = match text(values, 0)? {
        "relation" => ObjectClass::Relation,
        "function" => ObjectClass::Function,
        _ => return Err(Malformed::Body),
    };
    let hex = text(values, 2)?;
    let mut definition = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return Err(Malformed::Body);
    }
    for (byte, digits) in definition.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| Malformed::Body)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| Malformed::Body)?;
    }
    let oid = text(values, 1)?.parse().map_err(|_| Malformed::Body)?;
    Ok(ObjectVersion { class, oid, definition })
}

fn meaning(values: Row<'_>) -> Result<Found, Malformed> {
    let text = |at: usize| text(values, at);
    let kind = match text(0)? {
        "relation" => Kind::Relation,
        "column" => Kind::Column,
        "function" => Kind::Function,
        "attribute" => Kind::Attribute,
        "operator" => Kind::Operator,
        "type" => Kind::Type,
        _ => return Err(Malformed::Body),
    };
    let place: usize = text(1)?.parse().map_err(|_| Malformed::Body)?;
    Ok(Found {
        kind,
        place: place.checked_sub(1).ok_or(Malformed::Body)?,
        schema: text(2)?.to_owned(),
        name: text(3)?.to_owned(),
        first: text(4)?.to_owned(),
        second: text(5)?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_array_has_the_documented_bytes() {
        let mut out = BytesMut::new();
        name_array(&mut out, ["ab"].into_iter());
        let expected = [
            0, 0, 0, 26, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, b'a', b'b',
        ];
        assert_eq!(&out[..], expected);
        out.clear();
        name_array(&mut out, [].into_iter());
        assert_eq!(&out[..], [0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 19]);
    }

    #[test]
    fn a_path_is_read_as_it_was_set() {
        let default = SearchPath::default();
        assert_eq!(effective_path(&default.setting(), "app"), Some(default.effective("app")));
        let path = |setting: &str| effective_path(setting, "app").map(|path| path.join(" "));
        assert_eq!(path("other, \"$user\"").as_deref(), Some("pg_catalog other app"));
        assert_eq!((path("").as_deref(), path("\"\"").as_deref()), (Some("pg_catalog"), Some("pg_catalog")));
        assert_eq!((path("pg_temp, public"), path("\"\", public")), (None, None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = BytesMut::new();
            encode::framed(&mut out, b'D', |out| out.put_slice(&bytes));
            let framed = out.freeze();
            let _ = (read_meanings(framed.clone(), &mut Vec::new()), read_value(framed.clone()));
            let _ = (read_definitions(framed.clone(), &mut Vec::new()), read_outlook(framed));
            let _ = read_meanings(Bytes::from(bytes), &mut Vec::new());
        }
    }
}
