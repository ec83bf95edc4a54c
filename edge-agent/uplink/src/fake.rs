//! A control plane for tests: it archives by itself, and hands the calls of sessions to the test.

use countersign_wire::v1::{
    self,
    edge_service_server::{EdgeService, EdgeServiceServer},
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Endpoint, Server, server::TcpIncoming},
};

use crate::{channel::Link, upload::tests::Archive};

/// How a call is answered.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, Status>>;

pub(crate) type ToEdge = ReceiverStream<Result<v1::ControlMessage, Status>>;

/// A call that waits for its answer.
pub(crate) enum Call {
    Attach(Streaming<v1::EdgeMessage>, Answer<ToEdge>),
    OpenSession(v1::OpenSessionRequest, Answer<v1::OpenSessionResponse>),
    Mint(v1::MintCredentialRequest, Answer<v1::MintCredentialResponse>),
    RequestApproval(v1::RequestApprovalRequest, Answer<v1::RequestApprovalResponse>),
    ConsumeApproval(v1::ConsumeApprovalRequest, Answer<v1::ConsumeApprovalResponse>),
    CancelApproval(v1::CancelApprovalRequest, Answer<v1::CancelApprovalResponse>),
}

/// Takes the next call, which must be of one kind.
macro_rules! expect_call {
    ($calls:expr, $kind:ident) => {
        match $calls.recv().await {
            Some($crate::fake::Call::$kind(request, answer)) => (request, answer),
            _ => panic!("another call than {}", stringify!($kind)),
        }
    };
}
pub(crate) use expect_call;

/// A control plane on a port of this machine. Calls that nobody takes are answered as by one that is away.
pub(crate) async fn start(archive: Archive) -> (Link, mpsc::UnboundedReceiver<Call>) {
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let url = format!("http://{}", incoming.local_addr().expect("bound"));
    let (calls, taken) = mpsc::unbounded_channel();
    let service = EdgeServiceServer::new(Fake { archive, calls }).max_decoding_message_size(4 << 20);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    (Link::over(Endpoint::from_shared(url).expect("a URL").connect_lazy()), taken)
}

struct Fake {
    archive: Archive,
    calls: mpsc::UnboundedSender<Call>,
}

impl Fake {
    async fn ask<Q, A>(
        &self,
        question: Request<Q>,
        call: impl FnOnce(Q, Answer<A>) -> Call,
    ) -> Result<Response<A>, Status> {
        let (answer, answered) = oneshot::channel();
        let _ = self.calls.send(call(question.into_inner(), answer));
        answered.await.unwrap_or_else(|_| Err(Status::unavailable("nobody is there"))).map(Response::new)
    }
}

#[tonic::async_trait]
impl EdgeService for Fake {
    type AttachStream = ToEdge;
    type UploadPacksStream = ReceiverStream<Result<v1::UploadPacksResponse, Status>>;

    async fn upload_packs(
        &self,
        request: Request<Streaming<v1::UploadPacksRequest>>,
    ) -> Result<Response<Self::UploadPacksStream>, Status> {
        Ok(Response::new(self.archive.upload(request.into_inner())))
    }

    async fn enrol(&self, _: Request<v1::EnrolRequest>) -> Result<Response<v1::EnrolResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn renew(&self, _: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn attach(&self, request: Request<Streaming<v1::EdgeMessage>>) -> Result<Response<ToEdge>, Status> {
        self.ask(request, Call::Attach).await
    }

    async fn open_session(
        &self,
        request: Request<v1::OpenSessionRequest>,
    ) -> Result<Response<v1::OpenSessionResponse>, Status> {
        self.ask(request, Call::OpenSession).await
    }

    async fn close_session(
        &self,
        _: Request<v1::CloseSessionRequest>,
    ) -> Result<Response<v1::CloseSessionResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn mint_credential(
        &self,
        request: Request<v1::MintCredentialRequest>,
    ) -> Result<Response<v1::MintCredentialResponse>, Status> {
        self.ask(request, Call::Mint).await
    }

    async fn request_approval(
        &self,
        request: Request<v1::RequestApprovalRequest>,
    ) -> Result<Response<v1::RequestApprovalResponse>, Status> {
        self.ask(request, Call::RequestApproval).await
    }

    async fn consume_approval(
        &self,
        request: Request<v1::ConsumeApprovalRequest>,
    ) -> Result<Response<v1::ConsumeApprovalResponse>, Status> {
        self.ask(request, Call::ConsumeApproval).await
    }

    async fn cancel_approval(
        &self,
        request: Request<v1::CancelApprovalRequest>,
    ) -> Result<Response<v1::CancelApprovalResponse>, Status> {
        self.ask(request, Call::CancelApproval).await
    }
}
