//! Who may call what on the admin listener: one table, and default deny.
//!
//! The gate runs before any service, so a method that nobody put into the table cannot be called at all.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::header::AUTHORIZATION,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use countersign_core::{Admin, AdminRole, Caller, Core};
use countersign_model::Secret;
use tonic::{Status, body::Body};

use crate::status;

/// What a method asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    /// Nothing.
    Open,
    /// A verified token. What it may see or do depends on what is asked for, and the core says so.
    Caller,
    /// An app role in a verified token.
    Role(AdminRole),
    /// Nobody may.
    Nobody,
}

/// The table, by request path.
fn needed(path: &str) -> Needed {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return Needed::Nobody;
    };
    match (service, method) {
        // Serves what the deployment's own test tenant gives anybody; only `countersign-dev` has it.
        ("countersign.v1.DevelopmentService", _)
        | (
            "grpc.health.v1.Health"
            | "grpc.reflection.v1.ServerReflection"
            | "grpc.reflection.v1alpha.ServerReflection",
            _,
        ) => Needed::Open,
        ("countersign.v1.ApprovalService", "ListApprovals" | "GetApproval" | "Vote" | "WatchApprovals") => {
            Needed::Caller
        }
        ("countersign.v1.SessionService", "ListSessions" | "GetSession")
        | ("countersign.v1.RecordingService", "ListRecordings" | "DownloadRecording") => {
            Needed::Role(AdminRole::Auditor)
        }
        ("countersign.v1.ResourceService", "Apply" | "GetResource" | "ListResources" | "DeleteResource")
        | ("countersign.v1.EdgeAdminService", "ListEdges" | "CreateJoinToken" | "DeleteEdge")
        | ("countersign.v1.SessionService", "KillSession")
        | ("countersign.v1.ApprovalService", "RevokeApproval") => Needed::Role(AdminRole::Admin),
        _ => Needed::Nobody,
    }
}

/// What the gate works with.
pub(super) struct Gate {
    core: Arc<Core>,
}

impl Gate {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    async fn caller(&self, token: Option<Secret>) -> Result<Caller, Status> {
        let token = token.ok_or_else(|| Status::unauthenticated("a bearer token is needed"))?;
        self.core.caller(token.expose()).await.map_err(status::no_admin)
    }
}

fn with_role(caller: &Caller, role: AdminRole) -> Result<Admin, Status> {
    let admin = caller.admin().map_err(status::no_admin)?;
    if admin.may(role) {
        Ok(admin)
    } else {
        Err(Status::permission_denied("the token's app role does not allow this"))
    }
}

/// Lets a call through with its [`Caller`], or its [`Admin`] if it needs one, in the extensions; or answers in its
/// place.
pub(super) async fn authorize(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let role = match needed(request.uri().path()) {
        Needed::Open => return next.run(request).await,
        Needed::Nobody => return refuse(&Status::unimplemented("there is no such method")),
        Needed::Caller => None,
        Needed::Role(role) => Some(role),
    };
    let token = bearer(&request).map(|token| Secret::new(token.to_owned()));
    // No handler needs to see it.
    request.headers_mut().remove(AUTHORIZATION);
    let caller = match gate.caller(token).await {
        Ok(caller) => caller,
        Err(status) => return refuse(&status),
    };
    match role.map(|role| with_role(&caller, role)).transpose() {
        Ok(Some(admin)) => drop(request.extensions_mut().insert(admin)),
        Ok(None) => drop(request.extensions_mut().insert(caller)),
        Err(status) => return refuse(&status),
    }
    next.run(request).await
}

/// The admin that the gate let through.
pub(super) fn admin<T>(request: &tonic::Request<T>) -> Result<Admin, Status> {
    let admin = request.extensions().get::<Admin>().cloned();
    admin.ok_or_else(|| Status::internal("a call came past the gate"))
}

/// The caller that the gate let through.
pub(super) fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>().cloned();
    caller.ok_or_else(|| Status::internal("a call came past the gate"))
}

/// Exactly one header of exactly that scheme (RFC 6750 section 2.1).
fn bearer(request: &Request) -> Option<&str> {
    let mut values = request.headers().get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (values.next().is_none() && scheme.eq_ignore_ascii_case("bearer")).then_some(token)
}

fn refuse(status: &Status) -> Response {
    status.clone().into_http::<Body>().into_response()
}

#[cfg(test)]
mod tests {
    use countersign_wire::DESCRIPTORS;
    use prost::Message as _;

    use super::*;

    /// Every method of every service of the contract, and who may call it here. A new one shows up as `Nobody`.
    #[test]
    fn the_whole_matrix() {
        let files = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        let mut matrix = Vec::new();
        for service in files.file.iter().flat_map(|file| &file.service) {
            for method in &service.method {
                let path = format!("/countersign.v1.{}/{}", service.name(), method.name());
                matrix.push(format!("{:?} {path}", needed(&path)));
            }
        }
        matrix.sort();
        let expected = [
            "Caller /countersign.v1.ApprovalService/GetApproval",
            "Caller /countersign.v1.ApprovalService/ListApprovals",
            "Caller /countersign.v1.ApprovalService/Vote",
            "Caller /countersign.v1.ApprovalService/WatchApprovals",
            "Nobody /countersign.v1.EdgeService/Attach",
            "Nobody /countersign.v1.EdgeService/CancelApproval",
            "Nobody /countersign.v1.EdgeService/CloseSession",
            "Nobody /countersign.v1.EdgeService/ConsumeApproval",
            "Nobody /countersign.v1.EdgeService/Enrol",
            "Nobody /countersign.v1.EdgeService/MintCredential",
            "Nobody /countersign.v1.EdgeService/OpenSession",
            "Nobody /countersign.v1.EdgeService/Renew",
            "Nobody /countersign.v1.EdgeService/RequestApproval",
            "Nobody /countersign.v1.EdgeService/UploadPacks",
            "Open /countersign.v1.DevelopmentService/IssueToken",
            "Role(Admin) /countersign.v1.ApprovalService/RevokeApproval",
            "Role(Admin) /countersign.v1.EdgeAdminService/CreateJoinToken",
            "Role(Admin) /countersign.v1.EdgeAdminService/DeleteEdge",
            "Role(Admin) /countersign.v1.EdgeAdminService/ListEdges",
            "Role(Admin) /countersign.v1.ResourceService/Apply",
            "Role(Admin) /countersign.v1.ResourceService/DeleteResource",
            "Role(Admin) /countersign.v1.ResourceService/GetResource",
            "Role(Admin) /countersign.v1.ResourceService/ListResources",
            "Role(Admin) /countersign.v1.SessionService/KillSession",
            "Role(Auditor) /countersign.v1.RecordingService/DownloadRecording",
            "Role(Auditor) /countersign.v1.RecordingService/ListRecordings",
            "Role(Auditor) /countersign.v1.SessionService/GetSession",
            "Role(Auditor) /countersign.v1.SessionService/ListSessions",
        ];
        assert_eq!(matrix, expected);
    }

    #[test]
    fn paths_that_are_not_exactly_a_method_are_nobodys() {
        for path in
            ["", "/", "/x", "//countersign.v1.ResourceService/Apply", "/countersign.v1.ResourceService/apply"]
        {
            assert_eq!(needed(path), Needed::Nobody, "{path}");
        }
    }

    #[test]
    fn one_bearer_header_counts() {
        let request = |values: &[&str]| {
            let mut request = Request::new(axum::body::Body::empty());
            for value in values {
                request.headers_mut().append(AUTHORIZATION, value.parse().unwrap());
            }
            request
        };
        assert_eq!(bearer(&request(&["Bearer x"])), Some("x"));
        assert_eq!(bearer(&request(&["bearer x"])), Some("x"));
        assert_eq!(bearer(&request(&[])), None);
        assert_eq!(bearer(&request(&["Basic x"])), None);
        assert_eq!(bearer(&request(&["Bearer x", "Bearer y"])), None);
    }
}
