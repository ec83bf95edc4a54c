use serde_json::json;

use super::*;

const EXAMPLE: &str = include_str!("../../../../deploy/examples/shop.yaml");

fn fault(yaml: &str) -> String {
    parse_documents(yaml).expect_err("a fault").to_string()
}

#[test]
fn the_example_is_read_and_sorted() {
    let resources = parse_documents(EXAMPLE).expect("the example");
    let read: Vec<_> = resources.iter().map(|r| (r.kind.as_str(), r.name.as_str())).collect();
    assert_eq!(
        read,
        [
            ("Zone", "dev"),
            ("Target", "shop"),
            ("DataClass", "card"),
            ("DataClass", "email"),
            ("DataClass", "ssn"),
            ("DataClass", "jwt"),
            ("Agent", "reader"),
            ("Agent", "writer"),
            ("PolicyBundle", "shop")
        ]
    );
    assert!(resources.iter().all(|resource| resource.spec.is_some() && resource.version == 0));
}

#[test]
fn what_the_example_bundle_says_is_what_the_policy_file_says() {
    let resources = parse_documents(EXAMPLE).expect("the example");
    let bundle = resources.iter().find_map(|resource| match &resource.spec {
        Some(Spec::PolicyBundle(bundle)) => Some(bundle.policies.as_str()),
        _ => None,
    });
    assert_eq!(bundle, Some(include_str!("../../../../deploy/examples/shop-policies.cedar")));
}

#[test]
fn documents_are_sorted_by_what_they_depend_on() {
    let yaml = "\
{kind: Target, name: t, spec: {zone: z}}
---
{kind: Zone, name: z, spec: {audience: a}}
---
# nothing here
---
{kind: Zone, name: a, spec: {}}
";
    let names: Vec<_> = parse_documents(yaml).expect("good").into_iter().map(|r| r.name).collect();
    assert_eq!(names, ["z", "a", "t"]);
}

#[test]
fn what_is_printed_is_read_back() {
    for resource in parse_documents(EXAMPLE).expect("the example") {
        let document = Document::new(&resource).expect("printable");
        let yaml = document.yaml().expect("YAML");
        assert_eq!(parse_documents(&yaml).expect("read back"), std::slice::from_ref(&resource), "{yaml}");
        let json = serde_json::to_string_pretty(&document).expect("JSON");
        assert_eq!(parse_documents(&json).expect("read back"), [resource], "{json}");
    }
}

#[test]
fn a_document_prints_as_kind_name_and_spec() {
    let resources = parse_documents("{kind: Zone, name: dev, spec: {audience: x}}").expect("good");
    let document = Document::new(resources.first().expect("one")).expect("printable");
    assert_eq!(
        serde_json::to_value(document).expect("JSON"),
        json!({"kind": "Zone", "name": "dev", "spec": {"audience": "x"}})
    );
}

#[test]
fn an_unknown_field_names_its_document_and_place() {
    let yaml =
        "{kind: Zone, name: z, spec: {}}\n---\n{kind: Target, name: t, spec: {postgres: {hots: db}}}\n";
    let fault_of_spec = fault(yaml);
    assert!(fault_of_spec.starts_with("document 2 (Target t): spec.postgres.hots: "), "{fault_of_spec}");
    let fault_of_document = fault("{kind: Zone, name: z, specs: {}, spec: {}}");
    assert!(fault_of_document.starts_with("document 1 (Zone z): specs: "), "{fault_of_document}");
}

#[test]
fn wrong_kinds_names_and_shapes_are_refused() {
    for (yaml, place) in [
        ("{kind: zone, name: z, spec: {}}", "kind: "),
        ("{kind: Secret, name: z, spec: {}}", "kind: "),
        ("{kind: 7, name: z, spec: {}}", "kind: "),
        ("{name: z, spec: {}}", "kind: missing"),
        ("{kind: Zone, spec: {}}", "name: missing"),
        ("{kind: Zone, name: ../z, spec: {}}", "name: "),
        ("{kind: Zone, name: z}", "spec: missing"),
        ("{kind: Zone, name: z, spec: text}", "spec."),
        ("{kind: Zone, name: z, spec: {audience: 7}}", "spec.audience: "),
        ("[a]", "expected a mapping"),
    ] {
        let fault = fault(yaml);
        assert!(fault.starts_with("document 1") && fault.contains(place), "{yaml}: {fault}");
    }
    assert!(fault("# nothing\n").contains("no document"));
    assert!(!fault("{kind: [}").is_empty());
}

#[test]
fn what_is_there_twice_is_refused() {
    let twice = "{kind: Zone, name: z, spec: {}}\n---\n{kind: Zone, name: z, spec: {audience: b}}\n";
    assert!(fault(twice).starts_with("document 2 (Zone z): the same resource"));
    assert!(parse_documents("kind: Zone\nname: z\nname: y\nspec: {}\n").is_err());
    assert!(
        parse_documents("{kind: Zone, name: z, spec: {}}\n---\n{kind: Agent, name: z, spec: {}}\n").is_ok()
    );
}

#[test]
fn kinds_are_typed_as_people_type_them() {
    for (text, kind) in [
        ("zones", Kind::Zone),
        ("Target", Kind::Target),
        ("class", Kind::DataClass),
        ("DataClasses", Kind::DataClass),
        ("policies", Kind::PolicyBundle),
    ] {
        assert_eq!(text.parse(), Ok(kind));
    }
    assert!("secrets".parse::<Kind>().is_err());
}
