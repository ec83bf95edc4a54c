use std::collections::HashMap;

use bytes::Bytes;

use super::*;
use crate::{Action, NameKind, ObjectClass, Parameter, PrincipalKind, ResolvedName, Resource};

mod vectors;

/// An operation that owns what it is made of.
#[derive(Clone)]
struct Operation {
    tenant: String,
    subject: String,
    actor: Option<String>,
    target: String,
    database: String,
    identity: Identity,
    protocol: String,
    objects: Vec<ObjectVersion>,
    unmask: Vec<String>,
    pairs: Vec<Fact>,
    text: Vec<u8>,
    binding: Binding,
    search_path: Vec<String>,
    role: String,
    settings: Vec<(String, String)>,
    preamble: Vec<String>,
    attached: Option<Attachment>,
}

impl Operation {
    fn digest(&self) -> OperationDigest {
        OperationToSign {
            tenant: &self.tenant,
            subject: &self.subject,
            actor: self.actor.as_deref(),
            target: &self.target,
            database: &self.database,
            identity: self.identity,
            protocol: &self.protocol,
            objects: &self.objects,
            unmask: self.unmask.iter().map(String::as_str).collect(),
            pairs: &self.pairs,
            operation: PostgresOperation {
                text: &self.text,
                binding: &self.binding,
                search_path: &self.search_path,
                role: &self.role,
                settings: &self.settings,
                preamble: &self.preamble,
            },
            attached: self.attached,
        }
        .digest()
    }
}

fn relation(oid: u32) -> ObjectVersion {
    ObjectVersion { class: ObjectClass::Relation, oid, definition: [0; 32] }
}

fn table(path: [&str; 3]) -> Resource {
    Resource::of("Table", &path).unwrap()
}

/// Every list has two elements and everything that may be absent is there.
fn whole() -> Operation {
    let bound = |value: &'static [u8]| Parameter {
        declared_type: 20,
        resolved_type: 23,
        format: 0,
        value: Some(Bytes::from_static(value)),
    };
    let pair = |action| Fact { action, resource: table(["shop", "public", "orders"]) };
    let texts = |texts: [&str; 2]| texts.map(String::from).to_vec();
    Operation {
        tenant: "tenant".into(),
        subject: "subject".into(),
        actor: Some("actor".into()),
        target: "target".into(),
        database: "database".into(),
        identity: Identity::Approved,
        protocol: "postgres".into(),
        objects: vec![relation(1), relation(2)],
        unmask: texts(["card", "email"]),
        pairs: vec![pair(Action::PostgresSelect), pair(Action::PostgresUpdate)],
        text: b"UPDATE orders SET total = $1 WHERE id = $2".to_vec(),
        binding: Binding {
            parameters: vec![bound(b"1"), bound(b"2")],
            result_formats: vec![0, 1],
            row_limit: 10,
        },
        search_path: texts(["pg_catalog", "public"]),
        role: "role".into(),
        settings: vec![("datestyle".into(), "ISO".into()), ("timezone".into(), "UTC".into())],
        preamble: texts(["BEGIN", "SAVEPOINT a"]),
        attached: Some(Attachment {
            session: "se_0198a1b2-c3d4-7000-8000-000000000001".parse().unwrap(),
            nonce: [7; 16],
        }),
    }
}

/// A change of one thing.
type Change = fn(&mut Operation);

/// One change for each way in which one part of an operation can be another.
fn changes() -> Vec<(&'static str, Change)> {
    let other_session = |o: &mut Operation| {
        let session = "se_0198a1b2-c3d4-7000-8000-000000000002".parse().unwrap();
        o.attached = o.attached.map(|attached| Attachment { session, ..attached });
    };
    vec![
        ("tenant", |o| o.tenant.push('x')),
        ("subject", |o| o.subject.push('x')),
        ("actor", |o| o.actor = Some("x".into())),
        ("empty actor", |o| o.actor = Some(String::new())),
        ("no actor", |o| o.actor = None),
        ("target", |o| o.target.push('x')),
        ("database", |o| o.database.push('x')),
        ("standing", |o| o.identity = Identity::Standing),
        ("metadata", |o| o.identity = Identity::Metadata),
        ("protocol", |o| o.protocol.push('x')),
        ("object's id", |o| o.objects[1].oid = 3),
        ("object's class", |o| o.objects[1].class = ObjectClass::Function),
        ("order of objects", |o| o.objects.reverse()),
        ("one object less", |o| o.objects.truncate(1)),
        ("one object twice", |o| o.objects.push(relation(2))),
        ("no object", |o| o.objects.clear()),
        ("unmasked class", |o| o.unmask[0].push('x')),
        ("one unmasked class more", |o| o.unmask.push(String::new())),
        ("no unmasked class", |o| o.unmask.clear()),
        ("unmasked classes in one", |o| o.unmask = vec!["cardemail".into()]),
        ("pair's action", |o| o.pairs[0].action = Action::PostgresDelete),
        ("pair's database", |o| o.pairs[0].resource = table(["crm", "public", "orders"])),
        ("pair's schema", |o| o.pairs[0].resource = table(["shop", "private", "orders"])),
        ("pair's table", |o| o.pairs[0].resource = table(["shop", "public", "order"])),
        ("pair's kind", |o| {
            o.pairs[0].resource = Resource::of("Function", &["shop", "public", "orders"]).unwrap();
        }),
        ("pair's column", |o| {
            o.pairs[0].resource = Resource::of("Column", &["shop", "public", "orders", "id"]).unwrap();
        }),
        ("pair of a class", |o| o.pairs[0] = Fact::unmask("orders")),
        ("pair of the target", |o| o.pairs[0].resource = Resource::Target),
        ("one pair less", |o| o.pairs.truncate(1)),
        ("order of pairs", |o| o.pairs.reverse()),
        ("text", |o| o.text.push(b' ')),
        ("case of the text", |o| o.text.make_ascii_lowercase()),
        ("no text", |o| o.text.clear()),
        ("declared type", |o| o.binding.parameters[0].declared_type = 0),
        ("resolved type", |o| o.binding.parameters[0].resolved_type = 25),
        ("types the other way round", |o| {
            (o.binding.parameters[0].declared_type, o.binding.parameters[0].resolved_type) = (23, 20);
        }),
        ("format of a parameter", |o| o.binding.parameters[0].format = 1),
        ("value", |o| o.binding.parameters[0].value = Some(Bytes::from_static(b"3"))),
        ("longer value", |o| o.binding.parameters[0].value = Some(Bytes::from_static(b"1\0"))),
        ("empty value", |o| o.binding.parameters[0].value = Some(Bytes::new())),
        ("NULL", |o| o.binding.parameters[0].value = None),
        ("order of parameters", |o| o.binding.parameters.reverse()),
        ("one parameter less", |o| o.binding.parameters.truncate(1)),
        ("no parameters", |o| o.binding.parameters.clear()),
        ("result format", |o| o.binding.result_formats[0] = 1),
        ("one result format less", |o| o.binding.result_formats.truncate(1)),
        ("one result format more", |o| o.binding.result_formats.push(0)),
        ("row limit", |o| o.binding.row_limit = 11),
        ("no row limit", |o| o.binding.row_limit = 0),
        ("schema of the path", |o| o.search_path[1].push('x')),
        ("order of the path", |o| o.search_path.reverse()),
        ("one schema less", |o| o.search_path.truncate(1)),
        ("role", |o| o.role.push('x')),
        ("name of a setting", |o| o.settings[1].0.push('x')),
        ("value of a setting", |o| o.settings[1].1.push('x')),
        ("setting and value in one", |o| o.settings[1] = ("timezoneUTC".into(), String::new())),
        ("one setting less", |o| o.settings.truncate(1)),
        ("preamble", |o| o.preamble[1].push('b')),
        ("order of the preamble", |o| o.preamble.reverse()),
        ("one statement of the preamble less", |o| o.preamble.truncate(1)),
        ("no preamble", |o| o.preamble.clear()),
        ("session", other_session),
        ("nonce", |o| {
            o.attached = o.attached.map(|attached| Attachment { nonce: [8; 16], ..attached });
        }),
        ("detached", |o| o.attached = None),
    ]
}

/// Fails to compile when something is added: it then needs a change in [`changes`] and a vector.
fn nothing_else(operation: OperationToSign<'_>) {
    let OperationToSign {
        tenant: _,
        subject: _,
        actor: _,
        target: _,
        database: _,
        identity: _,
        protocol: _,
        objects: _,
        unmask: _,
        pairs: _,
        operation,
        attached: _,
    } = operation;
    let PostgresOperation { text: _, binding, search_path: _, role: _, settings: _, preamble: _ } = operation;
    let Binding { parameters: _, result_formats: _, row_limit: _ } = binding;
}

#[test]
fn every_single_change_changes_the_digest() {
    let mut seen = HashMap::from([(*whole().digest().as_bytes(), "unchanged")]);
    for (name, change) in changes() {
        let mut operation = whole();
        change(&mut operation);
        let earlier = seen.insert(*operation.digest().as_bytes(), name);
        assert_eq!(earlier, None, "{name} has the digest of another change");
    }
    assert_eq!(whole().digest(), whole().digest());
}

#[test]
fn nothing_moves_between_neighbours() {
    let neighbours: [(Change, Change); 6] = [
        (
            |o| (o.tenant, o.subject) = ("ab".into(), "c".into()),
            |o| (o.tenant, o.subject) = ("a".into(), "bc".into()),
        ),
        (
            |o| (o.actor, o.target) = (None, "shop".into()),
            |o| (o.actor, o.target) = (Some("shop".into()), String::new()),
        ),
        (
            |o| (o.search_path, o.role) = (vec!["a".into()], "b".into()),
            |o| (o.search_path, o.role) = (vec!["a".into(), "b".into()], String::new()),
        ),
        (
            |o| (o.settings, o.preamble) = (vec![("a".into(), "b".into())], vec![]),
            |o| (o.settings, o.preamble) = (vec![], vec!["a".into(), "b".into()]),
        ),
        (
            |o| (o.binding.result_formats, o.binding.row_limit) = (vec![0, 1], 0),
            |o| (o.binding.result_formats, o.binding.row_limit) = (vec![], 1),
        ),
        (|o| o.unmask = vec!["a".into(), "b".into()], |o| o.unmask = vec!["ab".into()]),
    ];
    for (place, (left, right)) in neighbours.into_iter().enumerate() {
        let with = |change: Change| {
            let mut operation = whole();
            change(&mut operation);
            operation.digest()
        };
        assert_ne!(with(left), with(right), "pair {place}");
    }
}

/// Definitions are compared beside the digest, so that a changed one is reported as what it is.
#[test]
fn definitions_are_no_part_of_it() {
    let mut operation = whole();
    operation.objects[0].definition = [1; 32];
    assert_eq!(operation.digest(), whole().digest());
}

#[test]
fn a_query_is_put_together_from_session_and_resolution() {
    let simple = Operation { unmask: vec![], ..whole() };
    let with_classes = Operation {
        unmask: vec!["card".into(), "email".into()],
        pairs: vec![Fact::unmask("card"), Fact::unmask("email"), whole().pairs[0].clone()],
        ..whole()
    };
    for operation in [simple, with_classes] {
        is_put_together(&operation);
    }
}

/// What is unmasked is told by the pairs alone: classes that the statement touches and nobody has to approve are
/// no part of the digest.
fn is_put_together(simple: &Operation) {
    let principal = Principal {
        tenant_id: simple.tenant.as_str().into(),
        object_id: simple.subject.as_str().into(),
        app_id: simple.actor.as_deref().map(Into::into),
        kind: PrincipalKind::Agent,
        agent: None,
        roles: vec![],
    };
    let name = ResolvedName {
        kind: NameKind::Relation,
        place: 0,
        schema: "public".into(),
        name: "orders".into(),
        first: "r".into(),
        second: String::new(),
    };
    let resolution = Resolution {
        database: simple.database.as_str().into(),
        role: simple.role.as_str().into(),
        search_path: simple.search_path.clone(),
        settings: simple.settings.clone(),
        names: vec![name],
        objects: simple.objects.clone(),
        in_transaction: true,
        preamble: simple.preamble.clone(),
        classes: vec!["email".into()],
    };
    let target = simple.target.parse().unwrap();
    let attached = simple.attached.unwrap();
    let query = OperationToSign::query(
        &principal,
        &target,
        simple.identity,
        (&simple.text, Some(&simple.binding)),
        &resolution,
        &simple.pairs,
        attached,
    );
    assert_eq!(query.digest(), simple.digest());
    nothing_else(query);
}

#[test]
fn every_hold_has_a_nonce_of_its_own() {
    let session = SessionId::generate();
    assert_ne!(Attachment::new(session).nonce, Attachment::new(session).nonce);
}

#[test]
fn debug_shows_nothing_and_every_byte_is_compared() {
    let digest = whole().digest();
    assert_eq!(format!("{digest:?}"), "OperationDigest(redacted)");
    for at in 0..32 {
        let mut other = *digest.as_bytes();
        other[at] ^= 1;
        assert_ne!(OperationDigest::from_bytes(other), digest);
    }
}

#[test]
fn debug_shows_neither_statements_nor_what_was_set() {
    let operation = Operation {
        text: b"select 'hunter2'".to_vec(),
        settings: vec![("app.key".into(), "hunter2".into())],
        preamble: vec!["SET LOCAL app.key = 'hunter2'".into()],
        ..whole()
    };
    let Operation { text, binding, search_path, role, settings, preamble, .. } = &operation;
    let shown = format!("{:?}", PostgresOperation { text, binding, search_path, role, settings, preamble });
    let hides =
        |shown: &str| !shown.contains("hunter2") && !shown.contains(&format!("{:?}", b"hunter2")[1..20]);
    assert!(shown.contains("bytes: 16") && hides(&shown), "{shown}");
}
