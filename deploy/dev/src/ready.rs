//! What is said once everything answers.

use serde_json::json;

use crate::{postgres, resources, stack::Stack};

/// The line of JSON that tests and scripts read.
pub(crate) fn line(stack: &Stack) -> anyhow::Result<String> {
    let postgres = stack.edge.postgres;
    let line = json!({
        "ready": true,
        "admin": stack.admin_url(),
        "edge": stack.edge_url(),
        // The console is served where admins connect.
        "console": stack.admin_url(),
        "entra": stack.emulator.url,
        "ca": stack.ca_file,
        "edges": [{ "zone": resources::ZONE, "listeners": { "postgres": postgres.to_string() } }],
        "admin_token_file": stack.tokens.admin(),
        "approver_token_files": stack.tokens.approvers(),
        "target_dsns": { resources::TARGET: stack.postgres.direct_dsn(postgres::OWNER, postgres::DATABASE) },
        "edge_dsns": { resources::TARGET: edge_dsn(stack) },
    });
    Ok(serde_json::to_string(&line)?)
}

/// The same for people.
pub(crate) fn words(stack: &Stack) -> String {
    format!(
        "Countersign is up, with an emulator of Entra: for development only.\n\n\
         export COUNTERSIGN_ADDR={}\nexport COUNTERSIGN_CA={}\nexport COUNTERSIGN_TOKEN_FILE={}\n\
         PGPASSWORD=$(countersign token --agent reader) psql '{}'\n\n\
         Agents: reader, writer, stranger. Ctrl-C stops it.",
        stack.admin_url(),
        stack.ca_file.display(),
        stack.tokens.admin().display(),
        edge_dsn(stack),
    )
}

/// Through the edge, without the password: that is the agent's token.
fn edge_dsn(stack: &Stack) -> String {
    format!(
        "postgresql://agent@localhost:{}/{}?sslmode=verify-full&sslrootcert={}",
        stack.edge.postgres.port(),
        resources::TARGET,
        stack.ca_file.display(),
    )
}
