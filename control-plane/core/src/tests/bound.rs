//! Statements with parameters: people see what they are executed with, and vote for nothing else.

use countersign_model::{
    Action, ApprovalOutcome, Attachment, Binding, Fact, Identity, OperationToSign, Principal, Reason,
    Resolution, Resource,
};
use prost::Message as _;

use super::{
    scene::{DANA, Scene, outcome},
    *,
};

const DELETE: &str = "DELETE FROM orders WHERE $1 AND $2";
const BOOL: u32 = 16;

fn parameter(format: u32, value: &[u8]) -> v1::BoundParameter {
    v1::BoundParameter {
        declared_type: 0,
        resolved_type: BOOL,
        format,
        value: value.to_vec(),
        is_null: false,
        ..v1::BoundParameter::default()
    }
}

fn binding() -> v1::Binding {
    v1::Binding {
        parameters: vec![parameter(0, b"true"), parameter(1, &[1])],
        result_formats: vec![0, 1],
        row_limit: 7,
    }
}

type Change<'a> = &'a dyn Fn(&mut v1::Binding);

impl Scene {
    /// The question with parameters, changed.
    fn bound(&self, change: Change<'_>) -> v1::RequestApprovalRequest {
        let mut binding = binding();
        change(&mut binding);
        v1::RequestApprovalRequest { statement: DELETE.into(), binding: Some(binding), ..self.question() }
    }

    async fn asked_bound(&self, question: v1::RequestApprovalRequest) -> v1::Approval {
        self.approval(&self.request(question).await.unwrap()).await
    }

    /// Dana votes for it; what the edge hears of it.
    async fn given(&self, attached: &mut Attached, approval: &v1::Approval) -> ApprovalOutcome {
        self.vote(DANA, "dba", approval).await.unwrap();
        outcome(attached, &self.bench).await
    }
}

#[tokio::test]
async fn people_are_shown_what_it_is_executed_with_and_that_is_what_the_edge_expects() {
    let scene = Scene::set().await;
    let question = scene.bound(&|bound| {
        bound.parameters = vec![
            v1::BoundParameter { declared_type: 25, ..parameter(0, "it's «ja»\n".as_bytes()) },
            v1::BoundParameter { resolved_type: 25, ..parameter(1, &[0, 255]) },
            v1::BoundParameter { declared_type: 23, ..parameter(0, b"") },
            v1::BoundParameter { declared_type: 23, is_null: true, ..parameter(0, b"") },
        ];
    });
    let approval = scene.asked_bound(question.clone()).await;
    let card = approval.card.clone().unwrap();
    let shown = |declared_type, r#type, format, value: &[u8], is_null| v1::CardParameter {
        declared_type,
        r#type,
        format,
        value: value.to_vec(),
        is_null,
    };
    assert_eq!(
        card.parameters,
        [
            shown(25, BOOL, 0, "it's «ja»\n".as_bytes(), false),
            shown(0, 25, 1, &[0, 255], false),
            shown(23, BOOL, 0, b"", false),
            shown(23, BOOL, 0, b"", true),
        ]
    );
    assert_eq!((card.row_limit, card.result_formats), (7, vec![0, 1]));
    let sealed = scene.record(&approval.id).await.sealed.unwrap();
    assert!(!sealed.windows(4).any(|part| part == b"it's"));

    let Scene { bench, edge, session } = scene;
    let scene = Scene { bench: bench.restart().await, edge, session };
    assert_eq!(scene.approval(&approval.id).await, approval, "it outlives a restart");
    let mut attached = scene.edge.attach(&scene.bench).await;
    let outcome = scene.given(&mut attached, &approval).await;
    // The edge puts the same together by itself.
    let principal = Principal::try_from(scene.session.principal.clone().unwrap()).unwrap();
    let orders = Resource::Table { database: "shop".into(), schema: "public".into(), table: "orders".into() };
    let binding = Binding::try_from(question.binding.unwrap()).unwrap();
    let expected = |binding| {
        OperationToSign::query(
            &principal,
            &"shop".parse().unwrap(),
            Identity::Approved,
            (DELETE.as_bytes(), binding),
            &Resolution::try_from(question.resolution.clone().unwrap()).unwrap(),
            &[Fact { action: Action::PostgresDelete, resource: orders.clone() }],
            Attachment { session: scene.session.id.parse().unwrap(), nonce: [3; 16] },
        )
        .digest()
    };
    assert!(outcome.digest == expected(Some(&binding)) && outcome.digest != expected(None));
    let entries = scene.bench.core.parts.store.audit(1, 1000).await.unwrap();
    assert!(!format!("{entries:?}").contains("it's"));
}

#[tokio::test]
async fn a_vote_for_some_parameters_is_none_for_others() {
    let scene = Scene::set().await;
    let mut attached = scene.edge.attach(&scene.bench).await;
    let first = scene.bound(&|_| ());
    let approval = scene.asked_bound(first.clone()).await;
    let again = scene.asked_bound(first.clone()).await;
    let voted = scene.given(&mut attached, &approval).await;
    assert!(scene.given(&mut attached, &again).await.digest == voted.digest, "the same is the same");

    let changes: [(&str, Change<'_>); 14] = [
        ("value", &|bound| bound.parameters[0].value = b"false".to_vec()),
        ("longer value", &|bound| bound.parameters[0].value.push(b' ')),
        ("empty value", &|bound| bound.parameters[0].value.clear()),
        ("NULL", &|bound| bound.parameters[0] = v1::BoundParameter { is_null: true, ..parameter(0, b"") }),
        ("format", &|bound| bound.parameters[0].format = 1),
        ("declared type", &|bound| bound.parameters[0].declared_type = BOOL),
        ("resolved type", &|bound| bound.parameters[0].resolved_type = 25),
        ("order", &|bound| bound.parameters.reverse()),
        ("one more", &|bound| {
            bound.parameters.push(v1::BoundParameter { declared_type: 23, ..parameter(0, b"") })
        }),
        ("row limit", &|bound| bound.row_limit = 8),
        ("no row limit", &|bound| bound.row_limit = 0),
        ("result format", &|bound| bound.result_formats[0] = 1),
        ("one result format", &|bound| bound.result_formats.truncate(1)),
        ("no result format", &|bound| bound.result_formats.clear()),
    ];
    for (what, change) in changes {
        // An edge that lies: the same operation, session and nonce, with something else in it.
        let question =
            v1::RequestApprovalRequest { operation_id: first.operation_id.clone(), ..scene.bound(change) };
        let other = scene.asked_bound(question).await;
        assert_eq!(scene.consume(&other).await, Err(Reason::ApprovalPending), "{what}");
        let as_shown_before = v1::Approval { id: other.id.clone(), ..approval.clone() };
        let moved = scene.vote(DANA, "dba", &as_shown_before).await;
        assert!(matches!(moved, Err(ApprovalError::Vote(VoteRefused::OtherOperation))), "{what}: {moved:?}");
        assert!(scene.given(&mut attached, &other).await.digest != voted.digest, "{what}");
        scene.consume(&other).await.unwrap();
        outcome(&mut attached, &scene.bench).await;
    }
    scene.consume(&approval).await.unwrap();
    assert_eq!(scene.consume(&approval).await, Err(Reason::ApprovalUsed));
}

#[tokio::test]
async fn parameters_that_are_exchanged_after_the_vote_are_not_used() {
    /// What lies sealed, as far as it is of interest here.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Sealed {
        #[prost(message, optional, tag = "14")]
        binding: Option<v1::Binding>,
    }
    let scene = Scene::set().await;
    let changed: [(&str, v1::Binding); 3] = [
        ("nothing", v1::Binding::default()),
        ("row limit", v1::Binding { row_limit: 8, ..Default::default() }),
        ("one more", v1::Binding { parameters: vec![parameter(0, b"")], ..Default::default() }),
    ];
    for (what, change) in changed {
        let approval = scene.asked_bound(scene.bound(&|_| ())).await;
        scene.vote(DANA, "dba", &approval).await.unwrap();
        // By somebody who writes to the store and can seal: what comes later in a message is merged into it.
        let (mut record, key) = (scene.record(&approval.id).await, &scene.bench.core.parts.approvals_key);
        let id = approval.id.as_bytes();
        let mut opened = key.open(id, &record.sealed.unwrap()).unwrap();
        let before = Sealed::decode(opened.as_slice()).unwrap();
        assert_eq!(before.binding, Some(binding()));
        opened.extend(Sealed { binding: Some(change) }.encode_to_vec());
        record.sealed = Some(key.seal(id, &opened).unwrap());
        record.version += 1;
        scene.bench.core.parts.store.replace_approval(record).await.unwrap();
        assert_eq!(scene.is_used(&approval).await, what == "nothing", "{what}");
    }
}

#[tokio::test]
async fn a_binding_that_the_text_cannot_have_is_refused() {
    let scene = Scene::set().await;
    let with = async |statement: &str, change: Change<'_>| {
        let question = scene.bound(change);
        scene.request(v1::RequestApprovalRequest { statement: statement.into(), ..question }).await
    };
    let more = |declared_type| v1::BoundParameter { declared_type, ..parameter(0, b"") };
    let unresolved = Err(Reason::Unresolved);
    assert_eq!(with(DELETE, &|bound| drop(bound.parameters.pop())).await, unresolved, "one is missing");
    assert_eq!(with(DELETE, &|bound| bound.parameters.push(more(0))).await, unresolved, "one is left over");
    assert_eq!(with(DELETE, &|bound| bound.parameters[0].resolved_type = 0).await, unresolved);
    assert_eq!(with("DELETE FROM orders WHERE $3", &|_| ()).await, unresolved, "two are not three");
    let two = "DELETE FROM orders WHERE $1 AND $2; SELECT 1";
    assert_eq!(with(two, &|_| ()).await, Err(Reason::Unparsable), "several statements");
    let text =
        |value: &'static [u8]| move |bound: &mut v1::Binding| bound.parameters[0].value = value.to_vec();
    assert_eq!(with(DELETE, &text(b"a\0b")).await, Err(Reason::Unparsable), "a zero byte is no text");
    assert_eq!(with(DELETE, &text(b"\xff")).await, Err(Reason::Unparsable), "nor is what is no UTF-8");
    for statement in [DELETE, "DELETE FROM orders; DELETE FROM orders WHERE $1"] {
        let simple =
            v1::RequestApprovalRequest { statement: statement.into(), binding: None, ..scene.question() };
        assert_eq!(scene.request(simple).await, unresolved, "{statement}");
    }
    assert_eq!(scene.bench.audited("approval.requested").await, 0);

    assert!(with(DELETE, &|bound| bound.parameters.push(more(23))).await.is_ok(), "declared, and not used");
    assert!(with("DELETE FROM orders", &|bound| bound.parameters.clear()).await.is_ok());
    let binary = |bound: &mut v1::Binding| bound.parameters[1].value = b"\0\xff".to_vec();
    assert!(with(DELETE, &binary).await.is_ok());
}

#[tokio::test]
async fn a_binding_that_is_too_much_or_malformed_is_refused_before_it_is_read() {
    let scene = Scene::set().await;
    let refused = async |change: Change<'_>| {
        scene.bench.core.request_approval(&scene.edge.peer, scene.bound(change)).await.unwrap_err()
    };
    let over: [Change<'_>; 4] = [
        &|bound| bound.parameters = vec![parameter(0, b""); 65_536],
        &|bound| bound.parameters[1].value = vec![b' '; (1 << 20) - 3],
        &|bound| bound.result_formats = vec![0; 1_665],
        // Counted before the formats are looked at.
        &|bound| bound.parameters = vec![parameter(9, b""); 65_536],
    ];
    for (at, change) in over.into_iter().enumerate() {
        let refused = refused(change).await;
        assert!(matches!(refused, ApprovalRefusal::Refused(Reason::OverLimit)), "{at}: {refused:?}");
    }
    let malformed: [Change<'_>; 3] =
        [&|bound| bound.parameters[0].format = 2, &|bound| bound.parameters[0].is_null = true, &|bound| {
            bound.result_formats[0] = 2
        }];
    for (at, change) in malformed.into_iter().enumerate() {
        let refused = refused(change).await;
        assert!(matches!(refused, ApprovalRefusal::Edge(EdgeError::Malformed(_))), "{at}: {refused:?}");
    }
    let most = |bound: &mut v1::Binding| {
        bound.parameters = vec![v1::BoundParameter { declared_type: BOOL, ..parameter(1, b"") }; 65_535];
        bound.parameters[0].value = vec![b' '; 1 << 20];
        bound.result_formats = vec![1; 1_664];
    };
    assert!(scene.request(scene.bound(&most)).await.is_ok());
}
