//! Which detectors look through text, and what stands for what they find.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use countersign_gate::{Duty, Shown};
use countersign_mask::{Detectors, replace};
use countersign_model::{Binding, DataClass, Detector};
use countersign_sql::cover_literals;

/// What stands for a literal, and for what belongs to more than one class.
pub(super) const MASKED: &str = "[masked]";

/// The same within quotes of its own.
const LITERAL: &str = "masked";

/// The classes of a target, as they look through text.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Each detector that a class has, and the classes that have it.
    detectors: Vec<(Detector, Vec<Arc<str>>)>,
    /// What stands for what each of them finds, in the order of [`Detector::ALL`].
    labels: [String; Detector::ALL.len()],
    has_tags: bool,
}

/// How much is known of what a statement reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaches {
    /// Tagged columns.
    Tagged,
    /// None.
    Untagged,
    /// It was refused before that was asked.
    Unknown,
}

impl Look {
    pub(crate) fn of(classes: &[DataClass]) -> Self {
        let of = |detector: Detector| -> Vec<Arc<str>> {
            let having = classes.iter().filter(|class| class.detectors.contains(&detector));
            having.map(|class| Arc::from(class.name.as_str())).collect()
        };
        let detectors: Vec<_> = Detector::ALL.into_iter().map(|detector| (detector, of(detector))).collect();
        let labels = Detector::ALL.map(|detector| {
            let class = detectors.iter().find(|(one, _)| *one == detector).and_then(|(_, of)| of.first());
            class.map_or_else(|| MASKED.to_owned(), |class| label(class))
        });
        let detectors = detectors.into_iter().filter(|(_, classes)| !classes.is_empty()).collect();
        Self { detectors, labels, has_tags: classes.iter().any(|class| !class.columns.is_empty()) }
    }

    /// The classes that have detectors, sorted.
    pub(crate) fn classes(&self) -> Vec<Arc<str>> {
        let mut classes: Vec<_> = self.detectors.iter().flat_map(|(_, classes)| classes).cloned().collect();
        classes.sort();
        classes.dedup();
        classes
    }

    /// Those whose findings are covered in the recording.
    pub(super) fn all(&self) -> Detectors {
        self.detectors.iter().map(|(detector, _)| *detector).collect()
    }

    /// Those whose findings are covered for the client: of the classes that a duty names.
    pub(super) fn owed(&self, duty: &Duty) -> Detectors {
        let owed = |(_, classes): &&(Detector, Vec<Arc<str>>)| {
            classes.iter().any(|class| duty.detect.contains(class))
        };
        self.detectors.iter().filter(owed).map(|(detector, _)| *detector).collect()
    }

    /// The text with what detectors find in it covered.
    pub(super) fn cover<'t>(&self, text: &'t [u8], detectors: Detectors) -> Cow<'t, [u8]> {
        replace(text, detectors.findings(text), |detector| self.label_for(detector))
    }

    fn label_for(&self, found: Detector) -> &str {
        let slots = Detector::ALL.iter().zip(&self.labels);
        slots.filter(|(one, _)| **one == found).map(|(_, label)| label.as_str()).next().unwrap_or(MASKED)
    }

    /// The same in JSON, where text stands within quotes alone: a number is none, and a label in its place would be no
    /// JSON any more.
    pub(super) fn cover_json<'t>(&self, json: &'t [u8], detectors: Detectors) -> Cow<'t, [u8]> {
        let (mut at, mut quoted, mut escaped) = (0, false, false);
        let mut is_quoted = |place: usize| {
            for byte in json.get(at..place).unwrap_or_default() {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = quoted,
                    b'"' => quoted = !quoted,
                    _ => {}
                }
            }
            at = place;
            quoted
        };
        let found = detectors.findings(json).filter(|found| is_quoted(found.range.start));
        replace(json, found, |detector| self.label_for(detector))
    }

    /// Whether they find anything in a text.
    pub(super) fn finds(&self, text: &[u8], detectors: Detectors) -> bool {
        detectors.find(text).is_some()
    }

    /// What the recording shows of an operation. Where tagged columns are reached that is none of its literals and
    /// parameters: they say what is in these columns, or what is to be.
    pub(crate) fn show(&self, text: &Bytes, binding: Option<&Binding>, reaches: Reaches) -> Shown {
        let reaches_tagged = match reaches {
            Reaches::Tagged => true,
            Reaches::Untagged => false,
            Reaches::Unknown => self.has_tags,
        };
        let parameters = binding.map(|binding| binding.parameters.as_slice()).unwrap_or_default();
        if reaches_tagged {
            let covered = cover_literals(text, LITERAL).unwrap_or_default();
            let covered = self.cover(covered.as_bytes(), self.all()).into_owned();
            let labels = parameters.iter().map(|_| Some(MASKED.into())).collect();
            return Shown::covered(covered.into(), binding.cloned(), labels);
        }
        let found = |value: &Bytes| match self.cover(value, self.all()) {
            Cow::Borrowed(_) => None,
            Cow::Owned(_) => self.all().find(value).map(|found| self.label_for(found.detector).into()),
        };
        let labels: Vec<Option<Arc<str>>> =
            parameters.iter().map(|parameter| parameter.value.as_ref().and_then(found)).collect();
        match self.cover(text, self.all()) {
            Cow::Borrowed(_) if labels.iter().all(Option::is_none) => {
                Shown::whole(text.clone(), binding.cloned())
            }
            covered => Shown::covered(Bytes::from(covered.into_owned()), binding.cloned(), labels),
        }
    }
}

/// What stands for a value of a class.
pub(super) fn label(class: &str) -> String {
    format!("[{class}]")
}

#[cfg(test)]
mod tests {
    use countersign_model::{Parameter, TaggedColumn};

    use super::*;

    fn look() -> Look {
        let class = |name: &str, columns: usize, detectors: &[Detector]| DataClass {
            name: name.parse().unwrap(),
            columns: vec![
                TaggedColumn { schema: "public".into(), relation: "t".into(), column: "c".into() };
                columns
            ],
            detectors: detectors.to_vec(),
        };
        Look::of(&[
            class("mail", 1, &[Detector::Email]),
            class("secrets", 0, &[Detector::Jwt, Detector::Email]),
        ])
    }

    fn binding(values: &[&'static str]) -> Binding {
        let parameter = |value: &&'static str| Parameter {
            declared_type: 0,
            resolved_type: 25,
            format: 0,
            value: Some(Bytes::from_static(value.as_bytes())),
        };
        Binding {
            parameters: values.iter().map(parameter).collect(),
            result_formats: Vec::new(),
            row_limit: 0,
        }
    }

    fn words(shown: &Shown) -> &str {
        std::str::from_utf8(shown.payload()).unwrap()
    }

    #[test]
    fn a_detector_is_owed_where_one_of_its_classes_is() {
        let look = look();
        let duty = |classes: &[&str]| Duty {
            detect: classes.iter().map(|class| Arc::from(*class)).collect(),
            ..Duty::default()
        };
        assert!(look.owed(&duty(&[])).is_empty());
        let owed = look.owed(&duty(&["mail"]));
        assert!(owed.contains(Detector::Email) && !owed.contains(Detector::Jwt));
        assert_eq!(look.classes(), [Arc::from("mail"), Arc::from("secrets")]);
        assert_eq!(&*look.cover(b"to a@b.example!", look.all()), b"to [mail]!");
    }

    #[test]
    fn numbers_of_json_are_no_text() {
        let class =
            DataClass { name: "card".parse().unwrap(), columns: Vec::new(), detectors: vec![Detector::Card] };
        let look = Look::of(&[class]);
        let json = br#"{"a\\\"": 4111111111111111, "4111111111111111": "x 4111111111111111 \\"}"#;
        let covered = look.cover_json(json, look.all());
        assert_eq!(&*covered, br#"{"a\\\"": 4111111111111111, "[card]": "x [card] \\"}"#);
        assert!(matches!(look.cover_json(b"[4111111111111111]", look.all()), Cow::Borrowed(_)));
    }

    #[test]
    fn the_recording_shows_no_literal_of_what_reaches_tagged_columns() {
        let text = Bytes::from_static(b"select 1 from t where c = 'bob' and d = 77777 and e = $1");
        for (reaches, shows) in
            [(Reaches::Tagged, false), (Reaches::Unknown, false), (Reaches::Untagged, true)]
        {
            let shown = look().show(&text, Some(&binding(&["eve"])), reaches);
            let has = |word: &str| words(&shown).contains(word);
            assert_eq!((has("bob"), has("77777")), (shows, shows), "{}", words(&shown));
            assert!(has("select") && has("where c ="), "{}", words(&shown));
            assert_eq!(shown.is_covered(), !shows);
            let value = shown.binding().unwrap().parameters.first().unwrap().value.clone();
            assert_eq!(value.as_deref(), Some(if shows { &b"eve"[..] } else { b"" }));
        }
    }

    #[test]
    fn what_cannot_be_read_shows_nothing() {
        let shown = look().show(&Bytes::from_static(b"select 'bob"), None, Reaches::Unknown);
        assert_eq!((words(&shown), shown.is_covered()), ("", true));
    }

    #[test]
    fn findings_are_covered_whatever_is_reached() {
        let text = Bytes::from_static(b"select 'a@b.example', \"c@d.example\"");
        let shown = look().show(&text, Some(&binding(&["x e@f.example", "y"])), Reaches::Untagged);
        assert!(shown.is_covered() && !words(&shown).contains('@'), "{}", words(&shown));
        assert_eq!(shown.labels(), [Some(Arc::from("[mail]")), None]);
        let shown = look().show(&text, None, Reaches::Tagged);
        assert!(!words(&shown).contains('@'), "{}", words(&shown));
        let nothing = look().show(&Bytes::from_static(b"select 1"), None, Reaches::Untagged);
        assert!(!nothing.is_covered());
    }
}
