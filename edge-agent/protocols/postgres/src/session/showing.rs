//! What of the session's operations has to be covered, for the client and in the recording.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use countersign_gate::{Operation, Shown, ports::Ports};
use countersign_model::{Binding, Fact};
use countersign_sql::Analysis;

use super::{Driver, exchange::Read};
use crate::masking::{Look, Reaches, ReplyMasker, Tags};

impl<P: Ports> Driver<'_, P> {
    /// Takes in the data classes of the target as they are now. Those that were known last stay for a target that is
    /// gone.
    pub(super) fn look_for_classes(&mut self) {
        let found = self.targets.find(&self.session.facts().target);
        let classes = &found.as_ref().unwrap_or(&self.target).classes;
        if !Arc::ptr_eq(classes, &self.classes) {
            self.classes = classes.clone();
            self.look = Rc::new(Look::of(&self.classes));
            self.session.detects(self.look.classes());
            // What was found is not all that counts now.
            self.fresh = None;
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
            .maskable(!tags.are_moved_by(&read.analysis))
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
