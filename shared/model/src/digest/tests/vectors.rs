//! `vectors.json`, whose digests were computed by `integration-tests/clients/digest.py`.

use std::collections::HashSet;

use serde_json::Value;

use super::*;

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../vectors.json")).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn number<N: TryFrom<u64, Error: std::fmt::Debug>>(value: &Value) -> N {
    value.as_u64().unwrap().try_into().unwrap()
}

fn list<T>(value: &Value, each: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(each).collect()
}

fn maybe<T>(value: &Value, read: impl Fn(&Value) -> T) -> Option<T> {
    (!value.is_null()).then(|| read(value))
}

fn bytes(value: &Value) -> Vec<u8> {
    let hex = text(value);
    assert!(hex.len().is_multiple_of(2), "{hex}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn identity(value: &Value) -> Identity {
    let all = [Identity::Standing, Identity::Approved, Identity::Metadata];
    all.into_iter().find(|identity| identity.as_str() == value).unwrap()
}

fn object(value: &Value) -> ObjectVersion {
    let all = [ObjectClass::Relation, ObjectClass::Function];
    let class = all.into_iter().find(|class| class.as_str() == value["class"]).unwrap();
    ObjectVersion { class, oid: number(&value["oid"]), definition: [0; 32] }
}

fn pair(value: &Value) -> Fact {
    let path = list(&value["path"], text);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    Fact {
        action: Action::from_id(value["action"].as_str().unwrap()).unwrap(),
        resource: Resource::of(value["kind"].as_str().unwrap(), &path).unwrap(),
    }
}

fn parameter(value: &Value) -> Parameter {
    Parameter {
        declared_type: number(&value["declared_type"]),
        resolved_type: number(&value["resolved_type"]),
        format: number(&value["format"]),
        value: maybe(&value["value"], |value| bytes(value).into()),
    }
}

fn attachment(value: &Value) -> Attachment {
    Attachment {
        session: text(&value["session"]).parse().unwrap(),
        nonce: bytes(&value["nonce"]).try_into().unwrap(),
    }
}

fn operation(value: &Value) -> Operation {
    let statement = &value["operation"];
    Operation {
        tenant: text(&value["tenant"]),
        subject: text(&value["subject"]),
        actor: maybe(&value["actor"], text),
        target: text(&value["target"]),
        database: text(&value["database"]),
        identity: identity(&value["identity"]),
        protocol: text(&value["protocol"]),
        objects: list(&value["objects"], object),
        unmask: list(&value["unmask"], text),
        pairs: list(&value["pairs"], pair),
        text: text(&statement["text"]).into_bytes(),
        binding: Binding {
            parameters: list(&statement["parameters"], parameter),
            result_formats: list(&statement["result_formats"], number),
            row_limit: number(&statement["row_limit"]),
        },
        search_path: list(&statement["search_path"], text),
        role: text(&statement["role"]),
        settings: list(&statement["settings"], |setting| (text(&setting[0]), text(&setting[1]))),
        preamble: list(&statement["preamble"], text),
        attached: maybe(&value["attached"], attachment),
    }
}

#[test]
fn every_vector_has_the_digest_that_it_says() {
    let vectors = vectors();
    assert!(vectors.len() >= 40);
    for vector in &vectors {
        let digest = operation(&vector["operation"]).digest();
        let hex: String = digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, text(&vector["sha256"]), "{}", vector["name"]);
    }
}

/// As [`OperationToSign::query`] puts it together.
#[test]
fn classes_are_those_of_the_pairs_where_pairs_say_so() {
    let vectors = vectors();
    let with_classes = vectors.iter().map(|vector| operation(&vector["operation"]));
    let with_classes: Vec<_> = with_classes
        .filter(|operation| operation.pairs.iter().any(|pair| pair.unmasked().is_some()))
        .collect();
    assert!(with_classes.len() >= 5);
    for operation in with_classes {
        assert_eq!(operation.unmask, unmasked(&operation.pairs));
        assert!(operation.pairs.is_sorted());
    }
}

#[test]
fn no_two_vectors_have_the_same_digest() {
    let vectors = vectors();
    let digests: HashSet<_> = vectors.iter().map(|vector| text(&vector["sha256"])).collect();
    assert_eq!(digests.len(), vectors.len());
}
