//! Generates the protobuf types. Pure Rust (protox): no `protoc` is needed to build.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const PROTO_ROOT: &str = "../../proto";
const PROTOS: [&str; 7] = ["class", "session", "policy", "recording", "approval", "edge", "admin"];

/// Messages that carry a secret, a caller's statement, what goes with it or answers it, or its digest: their `Debug`
/// is written by hand and shows none of it.
const SECRET: [&str; 19] = [
    "EnrolRequest",
    "OpenSessionRequest",
    "MintedCredential",
    "CreateJoinTokenResponse",
    "IssueTokenResponse",
    "RequestApprovalRequest",
    "Card",
    "BoundParameter",
    "CardParameter",
    "Resolution",
    "Setting",
    "ApprovalOutcome",
    "SignedApprovalOutcome",
    "IntentFrame",
    "HoldFrame",
    "RefusalFrame",
    "ReplyFrame",
    "OutcomeFrame",
    "ArchivedSegment",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO_ROOT}");
    let files = PROTOS.map(|name| format!("{PROTO_ROOT}/countersign/v1/{name}.proto"));
    let descriptors = protox::compile(files, [PROTO_ROOT])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let rpc = env::var_os("CARGO_FEATURE_RPC").is_some();
    tonic_prost_build::configure()
        .build_client(rpc)
        .build_server(rpc)
        .skip_debug(SECRET.map(|name| format!(".countersign.v1.{name}")))
        .compile_fds(descriptors)?;
    Ok(())
}
