//! What a use case's error is called on the wire. The one place: details of ours go to the log, not to the peer.

use countersign_core::{
    ApprovalError, EdgeError, EnrolRefused, IngestError, NoAdmin, PageError, ReadError, ResourceError,
    RevokeError, VoteRefused, WatchEnded,
};
use tonic::Status;
use tracing::{error, info};

/// A failure of store, archive or keys.
pub(crate) fn ourselves(cause: impl std::fmt::Display) -> Status {
    error!(%cause, "a call failed");
    Status::unavailable("the control plane cannot do this now")
}

pub(crate) fn resource(error: ResourceError) -> Status {
    match error {
        ResourceError::Invalid(fault) => Status::invalid_argument(fault),
        ResourceError::NotFound => Status::not_found(error.to_string()),
        ResourceError::InUse(fault) | ResourceError::Missing(fault) => Status::failed_precondition(fault),
        ResourceError::Conflict => Status::aborted(error.to_string()),
        ResourceError::Store(cause) => ourselves(cause),
    }
}

pub(crate) fn read(error: ReadError) -> Status {
    match error {
        ReadError::NotFound => Status::not_found(error.to_string()),
        ReadError::Page(fault) => page(fault),
        ReadError::Store(cause) => ourselves(cause),
        ReadError::Archive(cause) => ourselves(cause),
    }
}

pub(crate) fn revoke(error: RevokeError) -> Status {
    match error {
        RevokeError::NotFound => Status::not_found(error.to_string()),
        RevokeError::Malformed(fault) => Status::invalid_argument(fault),
        RevokeError::Store(cause) => ourselves(cause),
    }
}

pub(crate) fn approval(error: ApprovalError) -> Status {
    match error {
        ApprovalError::NotFound => Status::not_found(error.to_string()),
        ApprovalError::Malformed(fault) => Status::invalid_argument(fault),
        ApprovalError::Page(fault) => page(fault),
        ApprovalError::Vote(refused) => vote(refused),
        ApprovalError::Store(cause) => ourselves(cause),
    }
}

/// What the voter may not do is denied; what nobody may do to the approval as it is fails its precondition.
fn vote(refused: VoteRefused) -> Status {
    match refused {
        VoteRefused::NotAPerson | VoteRefused::NotAsked | VoteRefused::Own => {
            Status::permission_denied(refused.to_string())
        }
        VoteRefused::NotPending(_)
        | VoteRefused::Expired
        | VoteRefused::OtherOperation
        | VoteRefused::TokenAlone
        | VoteRefused::AlreadyVoted => Status::failed_precondition(refused.to_string()),
    }
}

pub(crate) fn watch(ended: WatchEnded) -> Status {
    match ended {
        WatchEnded::Behind => Status::resource_exhausted(ended.to_string()),
        WatchEnded::Store(cause) => ourselves(cause),
    }
}

pub(crate) fn page(error: PageError) -> Status {
    Status::invalid_argument(error.to_string())
}

pub(crate) fn edge(error: EdgeError) -> Status {
    match error {
        EdgeError::NotEnrolled | EdgeError::CertificateEnded => Status::unauthenticated(error.to_string()),
        EdgeError::NotAttached => Status::failed_precondition(error.to_string()),
        EdgeError::Unread => Status::resource_exhausted(error.to_string()),
        EdgeError::Malformed(fault) => Status::invalid_argument(fault),
        EdgeError::UnknownSession | EdgeError::UnknownApproval => Status::not_found(error.to_string()),
        EdgeError::Ca(cause) => ourselves(cause),
        EdgeError::Store(cause) => ourselves(cause),
    }
}

pub(crate) fn enrol(error: EnrolRefused) -> Status {
    match error {
        EnrolRefused::Token => Status::permission_denied(error.to_string()),
        EnrolRefused::NameTaken => Status::already_exists(error.to_string()),
        EnrolRefused::Malformed(fault) => Status::invalid_argument(fault),
        EnrolRefused::Ourselves(cause) => ourselves(cause),
    }
}

/// What ends an upload: not what was sent, which is answered with [`IngestError::refusal`].
pub(crate) fn ingest(error: IngestError) -> Status {
    match error {
        IngestError::Edge(error) => edge(error),
        IngestError::Archive(cause) => ourselves(cause),
        error => Status::invalid_argument(error.to_string()),
    }
}

/// The caller hears that it is refused; why stands in the log.
pub(crate) fn no_admin(error: NoAdmin) -> Status {
    match error {
        NoAdmin::Token(countersign_entra::TokenError::KeysUnavailable) => ourselves("Entra's signing keys"),
        NoAdmin::Token(kind) => {
            info!(kind = kind.as_str(), "an admin's token was refused");
            Status::unauthenticated("the token was refused")
        }
        NoAdmin::ActsForAnother => Status::permission_denied(error.to_string()),
        NoAdmin::NoRole => Status::permission_denied("the token carries no app role of this control plane"),
    }
}
