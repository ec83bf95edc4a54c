//! What of the session's operations has to be covered, for the client and in the recording.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use countersign_gate::{Operation, Shown, ports::Ports};
use countersign_model::{Binding, Fact, Reason, Refusal};
use countersign_sql::Analysis;
use tracing::warn;

use super::{Driver, exchange::Read};
use crate::masking::{Look, Reaches, ReplyMasker, Tags, numbered};

impl<P: Ports> Driver<'_, P> {
    /// Takes in the data classes of the target as they are now. Without any that can be read, those that were known last
    /// stay, and nothing more is sent.
    pub(super) fn look_for_classes(&mut self) {
        let found = self.targets.find(&self.session.facts().target);
        self.is_known = found.is_some();
        let classes = &found.as_ref().unwrap_or(&self.target).classes;
        if !Arc::ptr_eq(classes, &self.classes) {
            self.classes = classes.clone();
            self.missing.clear();
            self.look = Rc::new(Look::of(&self.classes));
            self.session.detects(self.look.classes());
            // What was found is not all that counts now.
            self.fresh = None;
        }
    }

    /// Whether the target can be used as it is configured now.
    pub(super) fn is_configured(&self) -> Result<(), Refusal> {
        let message = "the target cannot be used as it is configured now";
        if self.is_known { Ok(()) } else { Err(Refusal::denied(Reason::NoPolicy, message)) }
    }

    /// Says once of each tag that it names a relation which is not there: it may have got another name, and what is in it
    /// comes back as it is.
    pub(super) fn note_missing(&mut self, tags: &Tags) {
        for number in tags.missing() {
            let Some((class, column)) = numbered(&self.classes).nth(*number) else { continue };
            if self.missing.insert(*number) {
                let (class, schema, relation) = (class.name.as_str(), &*column.schema, &*column.relation);
                let target = self.session.facts().target.as_str();
                warn!(
                    target,
                    class, schema, relation, "a tag names a relation that the target does not have"
                );
            }
        }
    }

    /// The operation of a text that is understood, with what of it the recording shows and what of its reply can be
    /// covered.
    pub(super) fn operation(
        &self,
        read: &Read,
        facts: Vec<Fact>,
        tags: &Tags,
        binding: Option<&Binding>,
    ) -> Operation {
        let reaches = if tags.classes().is_empty() { Reaches::Untagged } else { Reaches::Tagged };
        let shown = self.look.show(&read.text, binding, reaches);
        Operation::of_caller(read.text.clone(), facts, self.context(read))
            .shown_as(shown)
            .maskable(!tags.escape_by(&read.analysis))
            .reticent(tags.may_quote())
    }

    /// What the recording shows of a text that is not understood so far.
    pub(super) fn show_unread(&self, text: &Bytes, binding: Option<&Binding>) -> Shown {
        self.look.show(text, binding, Reaches::Unknown)
    }

    /// What covers the reply to an operation.
    pub(super) fn masker(&self, analysis: &Analysis, tags: &Rc<Tags>) -> ReplyMasker {
        let outputs = match analysis.statements.as_slice() {
            [only] => only.outputs.clone(),
            _ => Vec::new(),
        };
        ReplyMasker::new(self.look.clone(), tags.clone(), outputs)
    }

    /// What covers the reply to what has no rows.
    pub(super) fn masker_of_words(&self) -> ReplyMasker {
        ReplyMasker::new(self.look.clone(), Rc::default(), Vec::new())
    }
}
