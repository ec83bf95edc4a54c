//! A control plane in memory: resources with the rules that the command line relies on, sessions, approvals, a
//! recording, and test tokens.

mod approvals;
mod recordings;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, UNIX_EPOCH},
};

use countersign_wire::{
    to_timestamp,
    v1::{
        ApplyRequest, ApplyResponse, Change, DeleteResourceRequest, DeleteResourceResponse,
        GetResourceRequest, GetSessionRequest, IssueTokenRequest, IssueTokenResponse, KillSessionRequest,
        KillSessionResponse, ListResourcesRequest, ListResourcesResponse, ListSessionsRequest,
        ListSessionsResponse, Resource, Revocation, Session,
        approval_service_server::ApprovalServiceServer,
        development_service_server::{DevelopmentService, DevelopmentServiceServer},
        issue_token_request::Subject,
        recording_service_server::RecordingServiceServer,
        resource::Spec,
        resource_service_server::{ResourceService, ResourceServiceServer},
        session_service_server::{SessionService, SessionServiceServer},
    },
};
use tempfile::TempDir;
use tonic::{
    Request, Response, Status,
    transport::{Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

pub(crate) use approvals::Approvals;
use recordings::Recordings;

/// The only token that is let in.
pub(crate) const TOKEN: &str = "an-admins-token";
/// Resources in a page: few, so that lists have several.
const PAGE: usize = 2;

type Resources = BTreeMap<(String, String), Resource>;

#[derive(Clone, Default)]
struct State(Arc<Mutex<Resources>>);

#[derive(Clone, Default)]
struct Sessions(Arc<Mutex<Vec<Session>>>);

pub(crate) struct ControlPlane {
    pub(crate) addr: String,
    state: State,
    sessions: Sessions,
    pub(crate) approvals: Approvals,
    pub(crate) recordings: Recordings,
    directory: TempDir,
}

impl ControlPlane {
    pub(crate) async fn start() -> Self {
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let pem = certified.cert.pem();
        let identity = Identity::from_pem(&pem, certified.signing_key.serialize_pem());
        let (state, sessions, approvals) = (State::default(), Sessions::default(), Approvals::default());
        let recordings = Recordings::default();
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let addr = format!("https://{}", incoming.local_addr().expect("bound"));
        let serve = Server::builder()
            .tls_config(ServerTlsConfig::new().identity(identity))
            .expect("TLS")
            .add_service(ResourceServiceServer::new(state.clone()))
            .add_service(DevelopmentServiceServer::new(state.clone()))
            .add_service(SessionServiceServer::new(sessions.clone()))
            .add_service(ApprovalServiceServer::new(approvals.clone()))
            .add_service(RecordingServiceServer::new(recordings.clone()))
            .serve_with_incoming(incoming);
        tokio::spawn(serve);
        let directory = tempfile::tempdir().expect("a directory");
        let control_plane = Self { addr, state, sessions, approvals, recordings, directory };
        control_plane.write("ca.pem", &pem);
        control_plane.write("token", TOKEN);
        control_plane
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("written");
    }

    pub(crate) fn has_session(&self, session: Session) {
        self.sessions.0.lock().expect("not poisoned").push(session);
    }

    pub(crate) fn count(&self) -> usize {
        self.state.resources().len()
    }
}

impl State {
    fn resources(&self) -> MutexGuard<'_, Resources> {
        self.0.lock().expect("not poisoned")
    }

    fn let_in<T>(request: Request<T>) -> Result<T, Status> {
        let shown = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        if shown == Some(&format!("Bearer {TOKEN}")) {
            Ok(request.into_inner())
        } else {
            Err(Status::unauthenticated("who are you?"))
        }
    }

    fn validate(&self, resource: &Resource) -> Result<(), Status> {
        match &resource.spec {
            Some(Spec::Zone(zone)) if zone.audience.is_empty() => {
                Err(Status::invalid_argument("no audience"))
            }
            Some(Spec::Target(target)) if !self.has("Zone", &target.zone) => {
                Err(Status::failed_precondition("no such zone"))
            }
            _ => Ok(()),
        }
    }

    fn has(&self, kind: &str, name: &str) -> bool {
        self.resources().contains_key(&(kind.to_owned(), name.to_owned()))
    }
}

#[tonic::async_trait]
impl ResourceService for State {
    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<ApplyResponse>, Status> {
        let request = Self::let_in(request)?;
        let resource = request.resource.ok_or_else(|| Status::invalid_argument("no resource"))?;
        self.validate(&resource)?;
        let key = (resource.kind.clone(), resource.name.clone());
        let mut resources = self.resources();
        let change = match resources.get(&key) {
            None => Change::Created,
            Some(there) if there.spec == resource.spec => Change::Unchanged,
            Some(_) => Change::Updated,
        };
        if !request.dry_run {
            resources.insert(key, resource.clone());
        }
        Ok(Response::new(ApplyResponse { resource: Some(resource), change: change.into() }))
    }

    async fn get_resource(&self, request: Request<GetResourceRequest>) -> Result<Response<Resource>, Status> {
        let request = Self::let_in(request)?;
        let found = self.resources().get(&(request.kind, request.name)).cloned();
        found.map(Response::new).ok_or_else(|| Status::not_found("no such resource"))
    }

    async fn list_resources(
        &self,
        request: Request<ListResourcesRequest>,
    ) -> Result<Response<ListResourcesResponse>, Status> {
        let request = Self::let_in(request)?;
        let all: Vec<Resource> =
            self.resources().values().filter(|resource| resource.kind == request.kind).cloned().collect();
        let from = request.page_token.parse().unwrap_or(0);
        let resources: Vec<Resource> = all.iter().skip(from).take(PAGE).cloned().collect();
        let next = from + resources.len();
        let next_page_token = if next < all.len() { next.to_string() } else { String::new() };
        Ok(Response::new(ListResourcesResponse { resources, next_page_token }))
    }

    async fn delete_resource(
        &self,
        request: Request<DeleteResourceRequest>,
    ) -> Result<Response<DeleteResourceResponse>, Status> {
        let request = Self::let_in(request)?;
        let ends_sessions = request.kind == "Agent";
        self.resources()
            .remove(&(request.kind, request.name))
            .ok_or_else(|| Status::not_found("no such resource"))?;
        Ok(Response::new(DeleteResourceResponse { revocation: ends_sessions.then(unconfirmed) }))
    }
}

#[tonic::async_trait]
impl DevelopmentService for State {
    async fn issue_token(
        &self,
        request: Request<IssueTokenRequest>,
    ) -> Result<Response<IssueTokenResponse>, Status> {
        if request.metadata().contains_key("authorization") {
            return Err(Status::invalid_argument("nobody needs credentials here"));
        }
        let request = request.into_inner();
        let (Some(Subject::Agent(name)) | Some(Subject::User(name))) = request.subject else {
            return Err(Status::invalid_argument("nobody"));
        };
        Ok(Response::new(IssueTokenResponse { token: format!("token-of-{name}-for-{}", request.zone) }))
    }
}

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        State::let_in(request)?;
        Err(Status::unimplemented("nobody lists them here"))
    }

    async fn get_session(&self, request: Request<GetSessionRequest>) -> Result<Response<Session>, Status> {
        let id = State::let_in(request)?.id;
        let sessions = self.0.lock().expect("not poisoned");
        let found = sessions.iter().rev().find(|session| session.id == id).cloned();
        found.map(Response::new).ok_or_else(|| Status::not_found("no such session"))
    }

    /// The edge in zone `away` does not answer.
    async fn kill_session(
        &self,
        request: Request<KillSessionRequest>,
    ) -> Result<Response<KillSessionResponse>, Status> {
        let KillSessionRequest { id, reason } = State::let_in(request)?;
        let mut sessions = self.0.lock().expect("not poisoned");
        let session = sessions
            .iter_mut()
            .find(|session| session.id == id)
            .ok_or_else(|| Status::not_found("no such session"))?;
        session.closed_because = format!("killed: {reason}");
        let revocation = match session.zone.as_str() {
            "away" => unconfirmed(),
            _ => Revocation { confirmed: true, sessions: 1, ..Revocation::default() },
        };
        Ok(Response::new(KillSessionResponse {
            session: Some(session.clone()),
            revocation: Some(revocation),
        }))
    }
}

fn unconfirmed() -> Revocation {
    let cut_by = Some(to_timestamp(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
    Revocation { confirmed: false, cut_by, sessions: 1 }
}
