//! What a connection without a client certificate may ask for: enrolment, and nothing else.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tonic::{
    Status,
    body::Body,
    transport::server::{TcpConnectInfo, TlsConnectInfo},
};

/// The method's path.
pub(super) const PATH: &str = "/countersign.v1.EdgeService/Enrol";

/// Refuses a stranger's every other call before its body is read. Each method asks for the identity again.
pub(super) async fn only_for_strangers(request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
    let certificates = connection.and_then(TlsConnectInfo::peer_certs).unwrap_or_default();
    if certificates.is_empty() && request.uri().path() != PATH {
        return Status::unauthenticated("a client certificate is needed").into_http::<Body>().into_response();
    }
    next.run(request).await
}
