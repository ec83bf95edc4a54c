//! What became of an edge's questions about approvals, as it is answered.

use countersign_core::ApprovalRefusal;
use countersign_wire::v1::{self, request_approval_response::Result as RequestResult};
use tonic::Status;

use crate::status;

pub(super) fn requested(
    asked: Result<v1::ApprovalRequested, ApprovalRefusal>,
) -> Result<v1::RequestApprovalResponse, Status> {
    let result = match asked {
        Ok(requested) => RequestResult::Requested(requested),
        Err(refusal) => RequestResult::Refused(refused(refusal)?),
    };
    Ok(v1::RequestApprovalResponse { result: Some(result) })
}

pub(super) fn consumed(consumed: Result<(), ApprovalRefusal>) -> Result<v1::ConsumeApprovalResponse, Status> {
    let refused = consumed.err().map(refused).transpose()?;
    Ok(v1::ConsumeApprovalResponse { refused })
}

fn refused(refusal: ApprovalRefusal) -> Result<v1::ApprovalRefused, Status> {
    match refusal {
        ApprovalRefusal::Refused(reason) => Ok(v1::ApprovalRefused { reason: reason.as_str().to_owned() }),
        ApprovalRefusal::Edge(error) => Err(status::edge(error)),
    }
}
