//! Protobuf messages as the canonical JSON of proto3, driven by the descriptors of `proto/`: camelCase names, unset
//! fields left out, 64-bit numbers as strings, bytes as base64. Unknown fields are errors that say where they are.

use std::sync::LazyLock;

use countersign_wire::{DESCRIPTORS, v1};
use prost_reflect::{DescriptorError, DescriptorPool, DynamicMessage, Kind, MessageDescriptor};
use serde_json::Value;

use crate::failure::Failure;

/// A message whose name in the descriptors is known.
pub(crate) trait Described: prost::Message + Default {
    /// Full name.
    const NAME: &'static str;
}

macro_rules! described {
    ($($message:ident),+ $(,)?) => {$(
        impl Described for v1::$message {
            const NAME: &'static str = concat!("countersign.v1.", stringify!($message));
        }
    )+};
}

described!(
    ZoneSpec,
    TargetSpec,
    DataClassSpec,
    AgentSpec,
    PolicyBundleSpec,
    Session,
    RecordingSummary,
    Edge,
    CreateJoinTokenResponse,
    Approval,
    Binding,
    RevokeApprovalResponse,
    KillSessionResponse,
    DeleteResourceResponse,
    DeleteEdgeResponse,
);

/// The message as JSON.
///
/// # Errors
/// The descriptors and the generated types do not belong together, which is a fault of the build.
pub(crate) fn to_json<M: Described>(message: &M) -> Result<Value, Failure> {
    let mut dynamic = DynamicMessage::new(descriptor(M::NAME).map_err(Failure::failed)?);
    dynamic.transcode_from(message).map_err(|error| Failure::failed(error.to_string()))?;
    serde_json::to_value(&dynamic).map_err(|error| Failure::failed(error.to_string()))
}

/// The messages of a list as JSON.
///
/// # Errors
/// As [`to_json`].
pub(crate) fn all_to_json<M: Described>(messages: &[M]) -> Result<Vec<Value>, Failure> {
    messages.iter().map(to_json).collect()
}

/// JSON as a message.
///
/// # Errors
/// A text that names the field at fault (`postgres.port`) and says what is wrong with it.
pub(crate) fn from_json<M: Described>(value: &Value) -> Result<M, String> {
    let descriptor = descriptor(M::NAME)?;
    let dynamic =
        dynamic(&descriptor, value).map_err(|error| match culprit(&descriptor, value).as_slice() {
            [] => error,
            path => format!("{}: {error}", path.join(".")),
        })?;
    dynamic.transcode_to().map_err(|error| error.to_string())
}

fn descriptor(name: &str) -> Result<MessageDescriptor, String> {
    static POOL: LazyLock<Result<DescriptorPool, DescriptorError>> =
        LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS));
    let pool = POOL.as_ref().map_err(ToString::to_string)?;
    pool.get_message_by_name(name).ok_or_else(|| format!("{name} is not in the descriptors"))
}

fn dynamic(descriptor: &MessageDescriptor, value: &Value) -> Result<DynamicMessage, String> {
    DynamicMessage::deserialize(descriptor.clone(), value).map_err(|error| error.to_string())
}

/// The path to the first field that cannot be read by itself. The parser's own message has no path.
fn culprit(descriptor: &MessageDescriptor, value: &Value) -> Vec<String> {
    let Value::Object(fields) = value else { return Vec::new() };
    let fails = |(name, value): &(&String, &Value)| {
        let alone = Value::Object([((*name).clone(), (*value).clone())].into_iter().collect());
        dynamic(descriptor, &alone).is_err()
    };
    let Some((name, value)) = fields.iter().find(fails) else { return Vec::new() };
    let field = descriptor.get_field_by_json_name(name).or_else(|| descriptor.get_field_by_name(name));
    let below = match field.as_ref().map(prost_reflect::FieldDescriptor::kind) {
        Some(Kind::Message(nested)) => culprit(&nested, value),
        _ => Vec::new(),
    };
    std::iter::once(name.clone()).chain(below).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_round_trip_through_the_canonical_form() {
        let json = json!({
            "zone": "dev",
            "postgres": {"host": "db", "port": 5432, "caPem": "…"},
            "maxSession": "3600s",
        });
        let spec: v1::TargetSpec = from_json(&json).expect("a target");
        assert_eq!(spec.postgres.as_ref().map(|postgres| postgres.port), Some(5432));
        assert_eq!(spec.max_session.map(|most| most.seconds), Some(3600));
        assert_eq!(to_json(&spec).expect("JSON"), json);
    }

    #[test]
    fn names_of_the_proto_file_are_read_too() {
        let spec: v1::AgentSpec = from_json(&json!({"object_id": "o"})).expect("an agent");
        assert_eq!(to_json(&spec).expect("JSON"), json!({"objectId": "o"}));
    }

    #[test]
    fn a_fault_is_named_by_its_path() {
        let fault = |json: &Value| from_json::<v1::TargetSpec>(json).expect_err("a fault");
        let unknown = fault(&json!({"zone": "dev", "postgres": {"hots": "db"}}));
        assert!(unknown.starts_with("postgres.hots: "), "{unknown}");
        let mistyped = fault(&json!({"zone": 7}));
        assert!(mistyped.starts_with("zone: "), "{mistyped}");
        let duration = fault(&json!({"maxSession": "an hour"}));
        assert!(duration.starts_with("maxSession: "), "{duration}");
        assert!(!fault(&json!("text")).is_empty());
    }

    #[test]
    fn every_described_message_is_in_the_descriptors() {
        for name in [
            v1::ZoneSpec::NAME,
            v1::DataClassSpec::NAME,
            v1::PolicyBundleSpec::NAME,
            v1::Session::NAME,
            v1::RecordingSummary::NAME,
            v1::Edge::NAME,
            v1::CreateJoinTokenResponse::NAME,
            v1::Approval::NAME,
            v1::Binding::NAME,
            v1::RevokeApprovalResponse::NAME,
            v1::KillSessionResponse::NAME,
            v1::DeleteResourceResponse::NAME,
            v1::DeleteEdgeResponse::NAME,
        ] {
            assert!(descriptor(name).is_ok(), "{name}");
        }
    }
}
