//! A session whose deletes are held, and the people who decide: what the tests of approvals begin with.

use countersign_model::{ApprovalOutcome, Identity, OperationId, Reason};
use countersign_pki::{Domain, verify};
use countersign_wire::v1::control_message::Message as Control;
use prost::Message as _;

use super::*;

pub(super) const DELETE: &str = "DELETE FROM orders";
/// All is permitted to the reader, and `dba` decides on deletes.
pub(super) const HOLD: &str = "permit (principal == Agent::\"reader\", action, resource);
    @id(\"deletes\") @approvers(\"dba\")
    forbid (principal, action == Action::\"postgres:delete\", resource) unless { context.approved };";
pub(super) const DANA: &str = "aaaaaaaa-0000-4000-8000-000000000001";
pub(super) const OMAR: &str = "aaaaaaaa-0000-4000-8000-000000000002";

/// A session of an agent whose deletes are held.
pub(super) struct Scene {
    pub(super) bench: Bench,
    pub(super) edge: Edge,
    pub(super) session: v1::Session,
}

impl Scene {
    pub(super) async fn set() -> Self {
        Self::on(Bench::furnished(false).await, HOLD).await
    }

    pub(super) async fn on(bench: Bench, policies: &str) -> Self {
        bench.apply(bundle("hold", policies)).await.unwrap();
        let edge = bench.edge("dev", "edge-1").await;
        let session = edge.open_shop(&bench).await;
        Self { bench, edge, session }
    }

    pub(super) fn question(&self) -> v1::RequestApprovalRequest {
        let orders = v1::ResolvedName {
            kind: v1::NameKind::Relation.into(),
            place: 0,
            schema: "public".into(),
            name: "orders".into(),
            first: "r".into(),
            second: String::new(),
        };
        let definition = v1::ObjectVersion {
            class: v1::ObjectClass::Relation.into(),
            oid: 16_385,
            definition: vec![1; 32],
        };
        v1::RequestApprovalRequest {
            session_id: self.session.id.clone(),
            operation_id: OperationId::generate().to_string(),
            statement: DELETE.into(),
            resolution: Some(v1::Resolution {
                database: "shop".into(),
                role: "shop_approved".into(),
                search_path: ["pg_catalog", "shop_approved", "public"].map(str::to_owned).to_vec(),
                names: vec![orders],
                objects: vec![definition],
                ..Default::default()
            }),
            identity: v1::Identity::Approved.into(),
            nonce: vec![3; 16],
            binding: None,
        }
    }

    pub(super) async fn request(&self, question: v1::RequestApprovalRequest) -> Result<String, Reason> {
        match self.bench.core.request_approval(&self.edge.peer, question).await {
            Ok(requested) => Ok(requested.approval_id),
            Err(ApprovalRefusal::Refused(reason)) => Err(reason),
            Err(ApprovalRefusal::Edge(error)) => panic!("{error}"),
        }
    }

    pub(super) async fn asked(&self) -> v1::Approval {
        let id = self.request(self.question()).await.unwrap();
        self.approval(&id).await
    }

    pub(super) async fn approval(&self, id: &str) -> v1::Approval {
        let auditor = self.bench.caller("user", "o", "countersign.auditor").await;
        self.bench.core.get_approval(&auditor, id).await.unwrap()
    }

    pub(super) async fn vote_as(
        &self,
        caller: &Caller,
        approval: &v1::Approval,
        approve: bool,
    ) -> Result<v1::Approval, ApprovalError> {
        let request = v1::VoteRequest {
            id: approval.id.clone(),
            fingerprint: approval.fingerprint.clone(),
            approve,
            reason: "seen".into(),
        };
        self.bench.core.vote(caller, request).await
    }

    /// A person of these roles votes for it.
    pub(super) async fn vote(
        &self,
        person: &str,
        roles: &str,
        approval: &v1::Approval,
    ) -> Result<v1::Approval, ApprovalError> {
        let caller = self.bench.caller("user", person, roles).await;
        self.vote_as(&caller, approval, true).await
    }

    pub(super) async fn approved(&self) -> v1::Approval {
        self.vote(DANA, "dba", &self.asked().await).await.unwrap()
    }

    pub(super) async fn consume(&self, approval: &v1::Approval) -> Result<(), Reason> {
        self.consume_for(approval, &approval.operation_id).await
    }

    pub(super) async fn consume_for(&self, approval: &v1::Approval, operation: &str) -> Result<(), Reason> {
        let request = v1::ConsumeApprovalRequest {
            session_id: self.session.id.clone(),
            approval_id: approval.id.clone(),
            operation_id: operation.to_owned(),
        };
        match self.bench.core.consume_approval(&self.edge.peer, request).await {
            Ok(()) => Ok(()),
            Err(ApprovalRefusal::Refused(reason)) => Err(reason),
            Err(ApprovalRefusal::Edge(error)) => panic!("{error}"),
        }
    }

    pub(super) async fn mint(&self, approval: &v1::Approval) -> Result<Minted, MintRefusal> {
        let identity = Identity::Approved;
        let (id, operation) = (approval.id.as_str(), approval.operation_id.as_str());
        self.bench.core.mint_credential(&self.edge.peer, &self.session.id, identity, operation, id).await
    }

    pub(super) async fn record(&self, id: &str) -> countersign_store::ApprovalRecord {
        self.bench.core.parts.store.approval(id.parse().unwrap()).await.unwrap()
    }
}

/// What the edge hears next, within ten seconds.
pub(super) async fn heard(attached: &mut Attached) -> Control {
    tokio::time::timeout(Duration::from_secs(10), attached.message()).await.unwrap()
}

pub(super) async fn outcome(attached: &mut Attached, bench: &Bench) -> ApprovalOutcome {
    let message = heard(attached).await;
    let Control::Outcome(signed) = message else { panic!("{message:?}") };
    let key = bench.core.parts.deployment_key.public();
    verify(&key, Domain::ApprovalOutcome, &signed.outcome, &signed.signature).unwrap();
    v1::ApprovalOutcome::decode(signed.outcome.as_slice()).unwrap().try_into().unwrap()
}
