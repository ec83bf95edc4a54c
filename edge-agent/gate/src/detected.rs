//! Which findings of detectors have to be covered: asked of policy once for a while, since any row may have one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_model::{Action, Fact, OperationContext, Resource, Verdict};

use crate::{
    Session,
    ports::{Decider, Ports},
};

/// For how long an answer holds while the policies stay the same.
const HOLDS_FOR: Duration = Duration::from_secs(10);

/// The classes with detectors, and what policy says of them.
#[derive(Debug, Default)]
pub(crate) struct Detected {
    classes: Vec<Arc<str>>,
    answer: Option<Answer>,
}

#[derive(Debug)]
struct Answer {
    revision: Arc<str>,
    at: Instant,
    covered: Vec<Arc<str>>,
}

impl<P: Ports> Session<P> {
    /// Names the classes whose detectors look through replies.
    pub fn detects(&mut self, classes: Vec<Arc<str>>) {
        if self.detected.classes != classes {
            self.detected = Detected { classes, answer: None };
        }
    }

    /// Those whose findings have to be covered. Policy is asked as at the session's Connect, of the class alone: which
    /// operation will meet one cannot be known. A hold covers, since nobody is asked about what is not yet found.
    pub(crate) fn detected_by(&mut self, revision: &Arc<str>) -> Vec<Arc<str>> {
        if self.detected.classes.is_empty() {
            return Vec::new();
        }
        let fresh = self.detected.answer.as_ref().filter(|answer| {
            // Where policy is not asked, as for a Sync, there is no revision.
            (answer.revision == *revision || revision.is_empty()) && answer.at.elapsed() < HOLDS_FOR
        });
        if let Some(answer) = fresh {
            return answer.covered.clone();
        }
        let unmask = |class: &Arc<str>| Fact {
            action: Action::Unmask,
            resource: Resource::DataClass { class: class.clone() },
        };
        let connect = Fact { action: Action::Connect, resource: Resource::Target };
        let facts: Vec<Fact> =
            [connect].into_iter().chain(self.detected.classes.iter().map(unmask)).collect();
        let decision = self.ports.decider().decide(&self.facts, &facts, &OperationContext::default());
        let is_covered = |class: &&Arc<str>| match &decision.verdict {
            Verdict::Deny(_) => true,
            Verdict::Hold(hold) => {
                hold.pairs.contains(&unmask(class)) || decision.obligations.mask.contains(class)
            }
            Verdict::Allow => decision.obligations.mask.contains(class),
        };
        let covered: Vec<Arc<str>> = self.detected.classes.iter().filter(is_covered).cloned().collect();
        let revision = decision.revision;
        self.detected.answer = Some(Answer { revision, at: Instant::now(), covered: covered.clone() });
        covered
    }
}
