//! The question to the catalog, and its answer.
//!
//! The text of the question is fixed. The names of the statement travel beside it as bound parameters of type
//! `name[]`, in binary: the server never parses them as SQL, so no spelling of a name can change what is asked.

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::{Malformed, backend, encode};

/// The question. Its permit owns exactly these bytes.
pub(crate) const QUESTION: &str = include_str!("question.sql");

/// Name of the prepared question on its connection, which has no other.
const STATEMENT: &[u8] = b"names";

/// Parameters of the question.
const PARAMETERS: u16 = 12;

/// PostgreSQL cuts names to this many bytes; a longer one is no name of its catalog.
const MAX_NAME: usize = 63;

// Object identifiers of built-in types (PostgreSQL's `pg_type.dat`); they never change.
const BOOL: u32 = 16;
const NAME: u32 = 19;
const BOOL_ARRAY: u32 = 1000;
const NAME_ARRAY: u32 = 1003;

/// A name of a statement: schema (empty if none was given) and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Qualified {
    pub(crate) schema: String,
    pub(crate) name: String,
}

impl Qualified {
    /// Whether the catalog could hold it.
    pub(crate) fn is_possible(&self) -> bool {
        let possible = |text: &str| text.len() <= MAX_NAME && !text.contains('\0');
        possible(&self.schema) && possible(&self.name) && !self.name.is_empty()
    }
}

/// The names to be resolved; the place of each in its list is its number in the answer.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Relations, and whether all their columns are wanted.
    pub(crate) relations: Vec<(Qualified, bool)>,
    pub(crate) functions: Vec<Qualified>,
    pub(crate) operators: Vec<Qualified>,
    pub(crate) types: Vec<Qualified>,
    /// Names that are selected from rows, unqualified.
    pub(crate) attributes: Vec<String>,
}

impl Names {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        let named = self.relations.len() + self.functions.len() + self.operators.len() + self.types.len();
        named + self.attributes.len()
    }
}

/// The parameters of the question.
#[derive(Debug)]
pub(crate) struct Bind {
    parameters: BytesMut,
}

impl Bind {
    /// For a role with an effective search path.
    pub(crate) fn new(role: &str, path: &[String], names: &Names) -> Self {
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
        Self { parameters }
    }

    /// Parse of the question under a name of ours: planning it costs the server more than running it.
    pub(crate) fn prepare(question: &[u8], out: &mut BytesMut) {
        const TYPES: [u32; PARAMETERS as usize] = [
            NAME, NAME_ARRAY, NAME_ARRAY, NAME_ARRAY, BOOL_ARRAY, NAME_ARRAY, NAME_ARRAY, NAME_ARRAY,
            NAME_ARRAY, NAME_ARRAY, NAME_ARRAY, NAME_ARRAY,
        ];
        encode::framed(out, b'P', |out| {
            encode::string(out, STATEMENT);
            encode::string(out, question);
            out.put_u16(PARAMETERS);
            TYPES.iter().for_each(|oid| out.put_u32(*oid));
        });
    }

    /// Bind and Execute of what was prepared; the caller adds the Sync.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        encode::framed(out, b'B', |out| {
            // The unnamed portal of the statement; one format for all parameters, binary; text results.
            encode::string(out, b"");
            encode::string(out, STATEMENT);
            [1, 1, PARAMETERS].iter().for_each(|word| out.put_u16(*word));
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

/// What a row of the answer speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A relation; `first` is its `relkind`.
    Relation,
    /// A column of a relation; `first` is its name.
    Column,
    /// A function.
    Function,
    /// A function that a name selected from a row may call.
    Attribute,
    /// An operator; `first` and `second` are schema and name of its function.
    Operator,
    /// A type; `first` and `second` are schema and name of its input function.
    Type,
}

/// One row of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    /// Index into the list of [`Names`] that the kind belongs to, from 0.
    pub(crate) place: usize,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) first: String,
    pub(crate) second: String,
}

/// Reads the rows in whole messages.
pub(crate) fn read_rows(mut messages: Bytes, found: &mut Vec<Found>) -> Result<(), Malformed> {
    while let Some(header) = backend::header(&messages)? {
        let body = messages.get(5..header.total).ok_or(Malformed::Length)?;
        if header.kind == b'D' {
            found.push(row(&backend::values(body)?)?);
        }
        messages = messages.split_off(header.total);
    }
    Ok(())
}

fn row(values: &[Option<&[u8]>]) -> Result<Found, Malformed> {
    let text = |at: usize| {
        let value = values.get(at).copied().flatten().ok_or(Malformed::Body)?;
        std::str::from_utf8(value).map_err(|_| Malformed::Body)
    };
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
    fn names_that_no_catalog_holds_are_not_asked_for() {
        let name = |name: &str| Qualified { schema: String::new(), name: name.into() };
        assert!(name(&"x".repeat(63)).is_possible());
        assert!(!name(&"x".repeat(64)).is_possible());
        assert!(!name("").is_possible() && !name("a\0b").is_possible());
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = BytesMut::new();
            encode::framed(&mut out, b'D', |out| out.put_slice(&bytes));
            let _ = read_rows(out.freeze(), &mut Vec::new());
            let _ = read_rows(Bytes::from(bytes), &mut Vec::new());
        }
    }
}
