//! An approval for tests.

use std::time::{Duration, UNIX_EPOCH};

use countersign_wire::{
    to_timestamp,
    v1::{
        Approval, ApprovalState, Card, Identity, Principal, RecordedFact, Requirement, Session, Setting, Vote,
    },
};

pub(crate) const STATEMENT: &str = "DELETE FROM orders\nWHERE id = 1";

/// One that is pending, with everything that a card can have.
pub(crate) fn approval() -> Approval {
    let at = |seconds: u64| Some(to_timestamp(UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)));
    let fact =
        |action: &str, resource: &str| RecordedFact { action: action.into(), resource: resource.into() };
    let held = fact("postgres:delete", "Table shop.public.orders");
    Approval {
        id: "ap_1".into(),
        state: ApprovalState::Pending.into(),
        session: Some(session()),
        operation_id: "op_1".into(),
        fingerprint: "00ff".into(),
        card: Some(card()),
        requirements: vec![
            Requirement { group: "dba".into(), quorum: 1, given: 0 },
            Requirement { group: "security".into(), quorum: 2, given: 1 },
        ],
        votes: vec![Vote {
            voter: "t/omars-oid".into(),
            name: "omar".into(),
            approve: true,
            reason: "looks right".into(),
            at: at(60),
            groups: vec!["security".into()],
        }],
        created_at: at(0),
        expires_at: at(900),
        facts: vec![fact("postgres:select", "Column shop.public.orders.id"), held.clone()],
        held: vec![held],
        policies: vec!["shop/held".into()],
        policy_revision: "abc".into(),
        version: 2,
        ..Approval::default()
    }
}

fn session() -> Session {
    Session {
        id: "se_1".into(),
        target: "shop".into(),
        zone: "dev".into(),
        edge: "edge-1".into(),
        client_address: "192.0.2.7".into(),
        client_user: "psql".into(),
        principal: Some(Principal {
            tenant_id: "t".into(),
            object_id: "writers-oid".into(),
            agent: "writer".into(),
            ..Principal::default()
        }),
        ..Session::default()
    }
}

fn card() -> Card {
    Card {
        protocol: "postgres".into(),
        statement: STATEMENT.into(),
        attested_by: "edge-1".into(),
        database: "shop".into(),
        role: "shop_approved".into(),
        identity: Identity::Approved.into(),
        search_path: vec!["pg_catalog".into(), "public".into()],
        settings: vec![Setting { name: "TimeZone".into(), value: "UTC".into() }],
        in_transaction: true,
        preamble: vec!["BEGIN".into(), "SAVEPOINT a".into()],
        ..Card::default()
    }
}
