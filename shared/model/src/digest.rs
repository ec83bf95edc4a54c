//! The digest that an approval binds to.
//!
//! SHA-256 over `countersign/op/v1`, a zero byte, and the fields of [`OperationToSign`] in the order of their
//! declaration, with those of [`PostgresOperation`], [`Binding`], its [`Parameter`](crate::Parameter)s and [`Attachment`] likewise in their places.
//!
//! - A text or byte string, the nonce too, is its length as eight bytes, big-endian, and then itself.
//! - A list is the number of its elements as eight bytes, big-endian, and then those.
//! - A number is its bytes, big-endian: two of a format, four of an object id, a type or a row limit.
//! - What may be absent is one byte, 0 or 1, and then itself.
//! - Identity, object class, action and kind of resource are texts, by their stable words. An object is its class and
//!   its id; a pair is its action, the kind of its resource and the list of names that lead there; a setting is its
//!   name and its value; a session is its id as printed.
//! - The unmasked classes are those of the pairs whose action is `unmask`: the one name that leads to each.
//!
//! So no two operations have one encoding. `digest/vectors.json` has examples for others who compute it, and
//! `integration-tests/clients/digest.py` computes them from this page alone.

use std::{collections::BTreeSet, fmt};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroize;

use crate::{Binding, Fact, Identity, Name, ObjectVersion, Principal, Resolution, SessionId};

const DOMAIN: &[u8] = b"countersign/op/v1\0";

/// The digest of one operation. What is stored, shown or exported carries only a keyed hash of it.
#[derive(Clone, Copy)]
pub struct OperationDigest([u8; 32]);

impl OperationDigest {
    /// As it travels between edge and control plane.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for OperationDigest {
    /// In time that does not depend on where they differ.
    fn eq(&self, other: &Self) -> bool {
        let difference = self.0.iter().zip(&other.0).fold(0, |difference, (a, b)| difference | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

impl Eq for OperationDigest {}

impl Zeroize for OperationDigest {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for OperationDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperationDigest(redacted)")
    }
}

/// A PostgreSQL operation as it will be sent. Names of statements and portals are no part of it.
#[derive(Clone, Copy)]
pub struct PostgresOperation<'a> {
    /// The text, byte for byte.
    pub text: &'a [u8],
    /// What it is executed with; in the simple protocol that is no parameter, no format and no limit.
    pub binding: &'a Binding,
    /// Effective search path.
    pub search_path: &'a [String],
    /// Role that it runs as.
    pub role: &'a str,
    /// Settings that were changed since the login, sorted by name.
    pub settings: &'a [(String, String)],
    /// What is sent before it, in order.
    pub preamble: &'a [String],
}

impl fmt::Debug for PostgresOperation<'_> {
    /// Where it runs and its size: what an agent sends is never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, binding, search_path, role, settings, preamble } = self;
        f.debug_struct("PostgresOperation")
            .field("bytes", &text.len())
            .field("binding", binding)
            .field("search_path", search_path)
            .field("role", role)
            .field("settings", &settings.len())
            .field("preamble", &preamble.len())
            .finish()
    }
}

/// What makes the operation of one session another one than the same text in another session.
#[derive(Debug, Clone, Copy)]
pub struct Attachment {
    /// The session.
    pub session: SessionId,
    /// Random, new for each hold.
    pub nonce: [u8; 16],
}

impl Attachment {
    /// To this session, with a new nonce.
    pub fn new(session: SessionId) -> Self {
        Self { session, nonce: uuid::Uuid::new_v4().into_bytes() }
    }
}

/// Everything that an approval binds to.
#[derive(Debug, Clone)]
pub struct OperationToSign<'a> {
    /// Entra tenant of the caller.
    pub tenant: &'a str,
    /// Object id of the caller.
    pub subject: &'a str,
    /// Calling application.
    pub actor: Option<&'a str>,
    /// Name of the target.
    pub target: &'a str,
    /// Database that the connection is in.
    pub database: &'a str,
    /// Identity that it is sent as.
    pub identity: Identity,
    /// Protocol word.
    pub protocol: &'a str,
    /// Objects that it touches, sorted; catalog and object id count, the definition is compared beside the digest.
    pub objects: &'a [ObjectVersion],
    /// Data classes that come back unmasked for the approval: those of the `unmask` pairs below, sorted,
    /// without repetition.
    pub unmask: Vec<&'a str>,
    /// The pairs that are to be approved, sorted.
    pub pairs: &'a [Fact],
    /// The operation itself.
    pub operation: PostgresOperation<'a>,
    /// Set for what dies with its connection.
    pub attached: Option<Attachment>,
}

impl<'a> OperationToSign<'a> {
    /// A statement, as edge and control plane both put it together.
    pub fn query(
        principal: &'a Principal,
        target: &'a Name,
        identity: Identity,
        (text, binding): (&'a [u8], Option<&'a Binding>),
        resolution: &'a Resolution,
        pairs: &'a [Fact],
        attached: Attachment,
    ) -> Self {
        Self {
            tenant: &principal.tenant_id,
            subject: &principal.object_id,
            actor: principal.app_id.as_deref(),
            target: target.as_str(),
            database: &resolution.database,
            identity,
            protocol: "postgres",
            objects: &resolution.objects,
            unmask: unmasked(pairs),
            pairs,
            operation: PostgresOperation {
                text,
                binding: Binding::or_none(binding),
                search_path: &resolution.search_path,
                role: &resolution.role,
                settings: &resolution.settings,
                preamble: &resolution.preamble,
            },
            attached: Some(attached),
        }
    }

    /// The digest.
    pub fn digest(&self) -> OperationDigest {
        let mut out = Encoder(Sha256::new());
        out.0.update(DOMAIN);
        out.text(self.tenant);
        out.text(self.subject);
        out.option(self.actor, |out, actor| out.text(actor));
        out.text(self.target);
        out.text(self.database);
        out.text(self.identity.as_str());
        out.text(self.protocol);
        out.list(self.objects, |out, object| {
            out.text(object.class.as_str());
            out.number(&object.oid.to_be_bytes());
        });
        out.list(&self.unmask, |out, class| out.text(class));
        out.list(self.pairs, Encoder::fact);
        out.operation(&self.operation);
        out.option(self.attached.as_ref(), |out, attached| {
            out.bytes(attached.session.to_string().as_bytes());
            out.bytes(&attached.nonce);
        });
        OperationDigest(out.0.finalize().into())
    }
}

fn unmasked(pairs: &[Fact]) -> Vec<&str> {
    let classes: BTreeSet<&str> = pairs.iter().filter_map(Fact::unmasked).map(|class| &**class).collect();
    classes.into_iter().collect()
}

struct Encoder(Sha256);

impl Encoder {
    fn number(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn list<T>(&mut self, items: &[T], each: impl Fn(&mut Self, &T)) {
        self.number(&(items.len() as u64).to_be_bytes());
        items.iter().for_each(|item| each(self, item));
    }

    fn option<T>(&mut self, item: Option<T>, each: impl FnOnce(&mut Self, T)) {
        self.number(&[u8::from(item.is_some())]);
        if let Some(item) = item {
            each(self, item);
        }
    }

    fn fact(&mut self, fact: &Fact) {
        self.text(fact.action.as_str());
        self.text(fact.resource.kind());
        self.list(&fact.resource.path(), |out, part| out.text(part));
    }

    fn operation(&mut self, operation: &PostgresOperation<'_>) {
        self.bytes(operation.text);
        let Binding { parameters, result_formats, row_limit } = operation.binding;
        self.list(parameters, |out, parameter| {
            out.number(&parameter.declared_type.to_be_bytes());
            out.number(&parameter.resolved_type.to_be_bytes());
            out.number(&parameter.format.to_be_bytes());
            out.option(parameter.value.as_deref(), |out, value| out.bytes(value));
        });
        self.list(result_formats, |out, format| out.number(&format.to_be_bytes()));
        self.number(&row_limit.to_be_bytes());
        self.list(operation.search_path, |out, schema| out.text(schema));
        self.text(operation.role);
        self.list(operation.settings, |out, (name, value)| {
            out.text(name);
            out.text(value);
        });
        self.list(operation.preamble, |out, statement| out.text(statement));
    }
}

#[cfg(test)]
mod tests;
