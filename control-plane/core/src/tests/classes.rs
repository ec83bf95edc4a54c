//! Data classes: declared, told to edges, taken back, and asked about.

use countersign_model::{Attachment, Fact, Identity, OperationToSign, Principal, Reason, Resolution};
use v1::Detector::{Card, Email, Jwt};

use super::{
    scene::{DANA, DELETE, OMAR, Scene, outcome},
    *,
};

/// All is permitted to the reader, but that `privacy` decides on addresses.
const HOLD: &str = "permit (principal == Agent::\"reader\", action, resource);
    permit (principal == Agent::\"reader\", action == Action::\"unmask\", resource == DataClass::\"email\");
    @id(\"addresses\") @approvers(\"privacy\")
    forbid (principal, action == Action::\"unmask\", resource == DataClass::\"email\")
    unless { context.approved };";

fn column(target: &str, column: &str) -> v1::TaggedColumn {
    v1::TaggedColumn {
        target: target.into(),
        schema: "public".into(),
        relation: "customers".into(),
        column: column.into(),
    }
}

fn spec(columns: &[v1::TaggedColumn], detectors: &[v1::Detector], targets: &[&str]) -> v1::DataClassSpec {
    v1::DataClassSpec {
        columns: columns.to_vec(),
        detectors: detectors.iter().map(|detector| i32::from(*detector)).collect(),
        targets: targets.iter().map(ToString::to_string).collect(),
        description: String::new(),
    }
}

fn class(name: &str, spec: v1::DataClassSpec) -> v1::Resource {
    resource("DataClass", name, Spec::DataClass(spec))
}

fn email() -> v1::Resource {
    class("email", spec(&[column("shop", "email")], &[Email], &[]))
}

/// A second target of the same zone.
async fn crm(bench: &Bench) {
    let id = |n: u8| format!("99999999-9999-4999-8999-99999999999{n}");
    let mut target = v1::TargetSpec { metadata: None, approved: None, ..shop_spec() };
    target.standing.as_mut().unwrap().client_id = id(1);
    bench.apply(resource("Target", "crm", Spec::Target(target))).await.unwrap();
}

async fn fault(bench: &Bench, change: impl FnOnce(&mut v1::DataClassSpec)) -> String {
    let mut spec = spec(&[column("shop", "email")], &[Email], &["shop"]);
    change(&mut spec);
    match bench.apply(class("other", spec)).await {
        Err(ResourceError::Invalid(fault) | ResourceError::Missing(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_class_is_refused_by_a_sentence() {
    let bench = Bench::furnished(false).await;
    type Change = fn(&mut v1::DataClassSpec);
    let faults: [(&str, Change); 19] = [
        ("needs one of them", |s| *s = v1::DataClassSpec::default()),
        ("there is no target \"crm\"", |s| s.columns[0].target = "crm".into()),
        ("there is no target \"\"", |s| s.columns[0].target.clear()),
        ("there is no target \"crm\"", |s| s.targets.push("crm".into())),
        ("columns.schema is missing", |s| s.columns[0].schema.clear()),
        ("columns.relation is missing", |s| s.columns[0].relation.clear()),
        ("columns.column is missing", |s| s.columns[0].column.clear()),
        ("columns.column has more than 63 bytes", |s| s.columns[0].column = "c".repeat(64)),
        ("columns.relation has more than 63 bytes", |s| s.columns[0].relation = "ü".repeat(32)),
        ("columns.schema holds a control character", |s| s.columns[0].schema.push('\n')),
        ("column shop/public/customers/email is there twice", |s| s.columns.push(s.columns[0].clone())),
        ("detector DETECTOR_EMAIL is there twice", |s| s.detectors.push(Email.into())),
        ("target \"shop\" is there twice", |s| s.targets.push("shop".into())),
        ("detectors holds one that is unknown", |s| s.detectors.push(0)),
        ("detectors holds one that is unknown", |s| s.detectors.push(99)),
        ("there are none", |s| s.detectors.clear()),
        ("columns has more than 1000", |s| s.columns = vec![s.columns[0].clone(); 1_001]),
        ("targets has more than 1000", |s| s.targets = vec!["shop".into(); 1_001]),
        ("description", |s| s.description = "d".repeat(1_025)),
    ];
    for (said, change) in faults {
        let fault = fault(&bench, change).await;
        assert!(fault.contains(said), "{said}: {fault}");
    }
    let many = (0..1_000).map(|at| column("shop", &format!("c{at}"))).collect();
    let most = v1::DataClassSpec { columns: many, ..Default::default() };
    for number in 0..10 {
        bench.apply(class(&format!("most-{number}"), most.clone())).await.unwrap();
    }
    assert!(fault(&bench, |_| ()).await.contains("more than 10000 columns"));
    let (detectors, admin) = (spec(&[], &[Jwt], &[]), bench.admin().await);
    for number in 0..10 {
        bench.core.delete(&admin, "DataClass", &format!("most-{number}")).await.unwrap();
    }
    for number in 0..200 {
        bench.apply(class(&format!("c{number}"), detectors.clone())).await.unwrap();
    }
    assert!(fault(&bench, |_| ()).await.contains("200 data classes already"));
    assert_eq!(bench.apply(class("c0", detectors)).await.unwrap(), v1::Change::Unchanged);
}

#[tokio::test]
async fn a_class_is_declared_like_any_other_resource() {
    let bench = Bench::furnished(false).await;
    let admin = bench.admin().await;
    let columns = [column("shop", "mail"), column("shop", "email")];
    assert_eq!(
        bench.apply(class("email", spec(&columns, &[Jwt, Email], &[]))).await.unwrap(),
        v1::Change::Created
    );
    let said = bench.core.get("DataClass", "email").await.unwrap();
    let sorted = spec(&[column("shop", "email"), column("shop", "mail")], &[Email, Jwt], &[]);
    assert_eq!((said.kind.as_str(), said.spec), ("DataClass", Some(Spec::DataClass(sorted.clone()))));
    assert_eq!(bench.apply(class("email", sorted)).await.unwrap(), v1::Change::Unchanged);
    assert_eq!(bench.core.list("DataClass", 0, "").await.unwrap().resources.len(), 1);
    // Its target cannot go before it.
    let used = bench.core.delete(&admin, "Target", "shop").await;
    assert!(
        matches!(&used, Err(ResourceError::InUse(what)) if what.contains("data class email")),
        "{used:?}"
    );
    let bench = bench.restart().await;
    assert_eq!(bench.core.get("DataClass", "email").await.unwrap().version, 1);
    bench.core.delete(&admin, "DataClass", "email").await.unwrap();
    bench.core.delete(&admin, "Target", "shop").await.unwrap();
}

#[tokio::test]
async fn edges_hear_at_once_what_of_each_class_is_of_which_target() {
    let bench = Bench::furnished(false).await;
    crm(&bench).await;
    let mut dev = bench.core.configurations("dev".parse().unwrap());
    assert!(dev.current().targets.iter().all(|target| target.classes.is_empty()));
    let columns = [column("crm", "mail"), column("shop", "email"), column("shop", "contact")];
    bench.apply(class("email", spec(&columns, &[Email], &[]))).await.unwrap();
    bench.apply(class("card", spec(&[column("crm", "pan")], &[Card], &["shop"]))).await.unwrap();
    bench.apply(class("jwt", spec(&[], &[Jwt], &["crm"]))).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(1), dev.changed()).await.unwrap().unwrap();
    let told: Vec<String> = heard
        .targets
        .iter()
        .flat_map(|target| target.classes.iter().map(move |class| (target, class)))
        .map(|(target, class)| {
            let columns: Vec<&str> = class.columns.iter().map(|column| column.column.as_str()).collect();
            let detectors: Vec<&str> = class.detectors().map(|detector| detector.as_str_name()).collect();
            format!("{} {} {columns:?} {detectors:?}", target.name, class.name)
        })
        .collect();
    assert_eq!(
        told,
        [
            "crm card [\"pan\"] []",
            "crm email [\"mail\"] [\"DETECTOR_EMAIL\"]",
            "crm jwt [] [\"DETECTOR_JWT\"]",
            "shop card [] [\"DETECTOR_CARD\"]",
            "shop email [\"contact\", \"email\"] [\"DETECTOR_EMAIL\"]",
        ]
    );
}

#[tokio::test]
async fn what_is_not_masked_any_more_is_in_the_audit_log_by_name() {
    let bench = Bench::furnished(false).await;
    let columns = [column("shop", "email"), column("shop", "mail")];
    for spec in [
        spec(&columns[..1], &[Email], &[]),
        spec(&columns, &[Email, Jwt], &[]),
        spec(&columns[1..], &[Email, Jwt], &[]),
        spec(&columns[1..], &[Email], &["shop"]),
    ] {
        bench.apply(class("email", spec)).await.unwrap();
    }
    bench.core.delete(&bench.admin().await, "DataClass", "email").await.unwrap();
    let entries = bench.core.parts.store.audit(1, 1000).await.unwrap();
    let told = entries.iter().map(|entry| &entry.event).filter(|event| event.action == "resource.uncovered");
    let told: Vec<&str> = told
        .map(|event| {
            assert_eq!(event.subject, "DataClass/email");
            let [(key, removed)] = event.detail.as_slice() else { panic!("{event:?}") };
            assert_eq!(key, "removed");
            removed.as_str()
        })
        .collect();
    assert_eq!(
        told,
        [
            "column shop/public/customers/email",
            "DETECTOR_EMAIL everywhere but on shop; DETECTOR_JWT everywhere",
            "column shop/public/customers/mail; DETECTOR_EMAIL on shop",
        ]
    );
}

fn asking(scene: &Scene, classes: &[&str]) -> v1::RequestApprovalRequest {
    let mut question = scene.question();
    question.resolution.as_mut().unwrap().classes = classes.iter().map(ToString::to_string).collect();
    question
}

async fn scene() -> Scene {
    let bench = Bench::furnished(false).await;
    crm(&bench).await;
    bench.apply(email()).await.unwrap();
    bench.apply(class("card", spec(&[column("shop", "card")], &[], &[]))).await.unwrap();
    bench.apply(class("crms", spec(&[column("crm", "mail")], &[], &[]))).await.unwrap();
    Scene::on(bench, HOLD).await
}

#[tokio::test]
async fn what_would_be_unmasked_is_asked_about_and_signed() {
    let scene = scene().await;
    let mut attached = scene.edge.attach(&scene.bench).await;
    let question = asking(&scene, &["card", "email"]);
    let approval = scene.approval(&scene.request(question.clone()).await.unwrap()).await;
    assert_eq!(approval.unmasks, ["email"], "the other is masked, and nobody is asked about it");
    let held: Vec<String> =
        approval.held.iter().map(|fact| format!("{} {}", fact.action, fact.resource)).collect();
    assert_eq!(held, ["unmask DataClass email"]);
    assert_eq!(approval.facts.len(), 3);
    let entries = format!("{:?}", scene.bench.core.parts.store.audit(1, 1000).await.unwrap());
    assert!(entries.contains("unmasks"), "{entries}");

    assert!(scene.vote(OMAR, "dba", &approval).await.is_err(), "others were asked");
    scene.vote(DANA, "privacy", &approval).await.unwrap();
    let outcome = outcome(&mut attached, &scene.bench).await;
    assert_eq!(outcome.pairs, [Fact::unmask("email")]);
    // The edge puts the same together by itself.
    let principal = Principal::try_from(scene.session.principal.clone().unwrap()).unwrap();
    let (target, pairs) = ("shop".parse().unwrap(), vec![Fact::unmask("email")]);
    let resolution = Resolution::try_from(question.resolution.unwrap()).unwrap();
    let signed = OperationToSign::query(
        &principal,
        &target,
        Identity::Approved,
        (DELETE.as_bytes(), None),
        &resolution,
        &pairs,
        Attachment { session: scene.session.id.parse().unwrap(), nonce: [3; 16] },
    );
    assert_eq!(signed.unmask, ["email"]);
    assert!(outcome.digest == signed.digest());
    scene.consume(&approval).await.unwrap();
    assert_eq!(scene.approval(&approval.id).await.unmasks, ["email"], "still told once it is used");
}

#[tokio::test]
async fn nobody_is_asked_where_a_class_is_masked_or_not_touched() {
    let scene = scene().await;
    for classes in [&[][..], &["card"]] {
        let asked = scene.request(asking(&scene, classes)).await;
        assert_eq!(asked, Err(Reason::PolicyChanged), "nothing holds it: {classes:?}");
    }
}

#[tokio::test]
async fn a_class_that_the_target_does_not_have_is_refused() {
    let scene = scene().await;
    for classes in [&["crms", "email"][..], &["email", "nothing"]] {
        assert_eq!(scene.request(asking(&scene, classes)).await, Err(Reason::Unresolved), "{classes:?}");
    }
    let malformed = ["email", "card"];
    let refused = scene.bench.core.request_approval(&scene.edge.peer, asking(&scene, &malformed)).await;
    assert!(matches!(refused, Err(ApprovalRefusal::Edge(EdgeError::Malformed(_)))), "{refused:?}");
    let many: Vec<String> = (0..257).map(|at| format!("c{at:03}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(scene.request(asking(&scene, &many)).await, Err(Reason::OverLimit));
}

#[tokio::test]
async fn an_approval_to_unmask_does_not_outlive_its_class_or_what_permitted_it() {
    let scene = scene().await;
    let approved = async || {
        let approval = scene.approval(&scene.request(asking(&scene, &["email"])).await.unwrap()).await;
        scene.vote(DANA, "privacy", &approval).await.unwrap()
    };
    // Masked after all: what was approved may run, and less comes back.
    let approval = approved().await;
    let never = "forbid (principal, action == Action::\"unmask\", resource);";
    scene.bench.apply(bundle("never", never)).await.unwrap();
    scene.consume(&approval).await.unwrap();
    scene.bench.core.delete(&scene.bench.admin().await, "PolicyBundle", "never").await.unwrap();
    // Somebody else has to be asked by now.
    let approval = approved().await;
    let also = "@approvers(\"dpo\") forbid (principal, action == Action::\"unmask\", resource)
        unless { context.approved };";
    scene.bench.apply(bundle("also", also)).await.unwrap();
    assert_eq!(scene.consume(&approval).await, Err(Reason::PolicyChanged));
    scene.bench.core.delete(&scene.bench.admin().await, "PolicyBundle", "also").await.unwrap();
    let approval = approved().await;
    scene.bench.core.delete(&scene.bench.admin().await, "DataClass", "email").await.unwrap();
    assert_eq!(scene.consume(&approval).await, Err(Reason::PolicyChanged));
}
