//! The catalog of the target: it reads the question, and answers what the script says that names mean.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{framed, row};

/// What names mean.
#[derive(Clone, Default)]
pub(in super::super) struct Meanings(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// Schema of a name that is given without one; `public` where it is not listed.
    schemas: HashMap<&'static str, &'static str>,
    asked: String,
}

impl Meanings {
    /// From now on the name means what is in this schema.
    pub(in super::super) fn put(&self, name: &'static str, schema: &'static str) {
        self.0.lock().unwrap().schemas.insert(name, schema);
    }

    /// For whom and by which path names were looked up last.
    pub(in super::super) fn asked(&self) -> String {
        self.0.lock().unwrap().asked.clone()
    }

    /// The answer to the question with these parameters.
    pub(super) fn answer(&self, parameters: &[Option<Bytes>], out: &mut BytesMut) {
        let lists: Vec<Vec<String>> =
            parameters.iter().skip(1).map(|one| array(one.clone().unwrap())).collect();
        let mut inner = self.0.lock().unwrap();
        inner.asked = format!("{} by {}", text(parameters[0].clone().unwrap()), lists[0].join(", "));
        let mut rows = 0;
        for (kind, at) in [("relation", 1), ("function", 4), ("operator", 6), ("type", 8)] {
            for (place, (schema, name)) in lists[at].iter().zip(&lists[at + 1]).enumerate() {
                let home = if matches!(kind, "operator" | "type") { "pg_catalog" } else { "public" };
                let found = inner.schemas.get(name.as_str()).copied().unwrap_or(home);
                let schema = if schema.is_empty() { found } else { schema };
                let reads = format!("{name}in");
                let (first, second) = match kind {
                    "relation" => ("r", ""),
                    "type" => ("pg_catalog", reads.as_str()),
                    _ => ("", ""),
                };
                row(out, &[kind, &(place + 1).to_string(), schema, name, first, second]);
                rows += 1;
            }
        }
        complete(out, rows);
    }
}

/// The answer to the question for definitions: all that is asked for is defined by this byte.
pub(super) fn definitions(definition: u8, out: &mut BytesMut) {
    row(out, &["relation", "16385", &format!("{definition:02x}").repeat(32)]);
    complete(out, 1);
}

fn complete(out: &mut BytesMut, rows: usize) {
    framed(out, b'C', |out| out.put_slice(format!("SELECT {rows}\0").as_bytes()));
}

fn text(value: Bytes) -> String {
    String::from_utf8(value.to_vec()).unwrap()
}

/// The elements of an array of one dimension, in binary.
fn array(mut value: Bytes) -> Vec<String> {
    let (dimensions, _nulls, _element) = (value.get_u32(), value.get_u32(), value.get_u32());
    if dimensions == 0 {
        return Vec::new();
    }
    let (size, _first) = (value.get_u32(), value.get_u32());
    let element = |_| {
        let length = value.get_u32() as usize;
        String::from_utf8_lossy(&value.split_to(length)).into_owned()
    };
    (0..size).map(element).collect()
}
