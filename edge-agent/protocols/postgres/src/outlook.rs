//! Whether the names in a statement mean to a session what they mean to the catalog that is asked, and to whom and by
//! which path.
//!
//! What a session cannot see otherwise than the catalog are the objects of its own open transaction and temporary ones;
//! and its role and search path may have been changed, by SET or by a function that was called. The target is asked for
//! the latter, when the transaction has ended or where nothing else can have changed. Until it has answered, whatever
//! names something counts as not understood.

use countersign_sql::{Clouds, Sight};

use crate::codec::backend::Status;

/// As whom, and by which effective path, names are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) role: String,
    pub(crate) path: Vec<String>,
}

/// What the target answers when it is asked for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `None` if the path is none that names could be looked up by.
    pub(crate) view: Option<View>,
    /// The session has a schema for temporary objects, which come before all others.
    pub(crate) has_temporary: bool,
}

/// The outlook of one connection.
#[derive(Debug, Default)]
pub(crate) struct Outlook {
    sight: Sight,
    /// Why it is clouded, as far as that may pass.
    clouds: Clouds,
    /// Set once the target was asked; otherwise role and path are those of its login.
    view: Option<View>,
}

impl Outlook {
    /// Whether the catalog knows what statements will meet.
    pub(crate) fn sight(&self) -> Sight {
        self.sight
    }

    /// Role and path, if they are known to be others than those of the login.
    pub(crate) fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// An operation is sent. In a transaction in which role or path were changed, each may change them back: ROLLBACK TO
    /// does.
    pub(crate) fn sends(&mut self, clouds: Clouds) {
        self.clouds.for_good |= clouds.for_good;
        self.clouds.until_commit |= clouds.until_commit;
        self.clouds.settings |= clouds.settings;
        if self.clouds.any() {
            self.sight = Sight::Clouded;
        }
    }

    /// Whether it is worth while to ask the target, which says this of the transaction.
    pub(crate) fn may_clear(&self, status: Status) -> bool {
        let hides = self.clouds.for_good || self.clouds.until_commit;
        self.sight == Sight::Clouded
            && self.clouds.any()
            && match status {
                Status::Idle => true,
                Status::Transaction => !hides,
                Status::Failed => false,
            }
    }

    /// The target has answered. At the end of a transaction nothing more can have changed unseen; within one it is to
    /// be asked again after each operation.
    pub(crate) fn clears(&mut self, seen: Seen, status: Status) {
        let Seen { view: Some(view), has_temporary } = seen else { return };
        self.view = Some(view);
        if status == Status::Idle {
            self.clouds = Clouds::default();
        }
        if !has_temporary {
            self.sight = Sight::Clear;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Clouds = Clouds { for_good: true, until_commit: false, settings: false };
    const SET: Clouds = Clouds { for_good: false, until_commit: false, settings: true };
    const NOTHING: Clouds = Clouds { for_good: false, until_commit: false, settings: false };

    fn seen(role: &str, has_temporary: bool) -> Seen {
        Seen { view: Some(View { role: role.into(), path: vec!["public".into()] }), has_temporary }
    }

    #[test]
    fn what_a_function_did_is_seen_when_its_transaction_has_ended() {
        let mut outlook = Outlook::default();
        outlook.sends(NOTHING);
        assert_eq!(outlook.sight(), Sight::Clear);
        outlook.sends(CALL);
        assert_eq!(outlook.sight(), Sight::Clouded);
        assert!(!outlook.may_clear(Status::Transaction) && !outlook.may_clear(Status::Failed));
        assert!(outlook.may_clear(Status::Idle));
        outlook.clears(seen("app", false), Status::Idle);
        assert_eq!(outlook.sight(), Sight::Clear);
        assert_eq!(outlook.view().map(|view| view.role.as_str()), Some("app"));
        outlook.sends(NOTHING);
        assert_eq!(outlook.sight(), Sight::Clear);
    }

    #[test]
    fn settings_are_asked_for_after_each_operation_of_their_transaction() {
        let mut outlook = Outlook::default();
        outlook.sends(SET);
        assert!(outlook.may_clear(Status::Transaction));
        outlook.clears(seen("other", false), Status::Transaction);
        assert_eq!(outlook.sight(), Sight::Clear);
        outlook.sends(NOTHING);
        assert_eq!(outlook.sight(), Sight::Clouded, "it may have been a ROLLBACK TO");
        outlook.clears(seen("app", false), Status::Idle);
        outlook.sends(NOTHING);
        assert_eq!(outlook.sight(), Sight::Clear);
    }

    #[test]
    fn a_path_that_cannot_be_looked_up_by_is_asked_for_again() {
        let mut outlook = Outlook::default();
        outlook.sends(SET);
        outlook.clears(Seen { view: None, has_temporary: false }, Status::Idle);
        assert_eq!(outlook.sight(), Sight::Clouded);
        assert!(outlook.may_clear(Status::Idle));
        outlook.clears(seen("app", false), Status::Idle);
        assert_eq!(outlook.sight(), Sight::Clear);
    }

    #[test]
    fn temporary_objects_cloud_it_for_as_long_as_the_session_lasts() {
        let mut outlook = Outlook::default();
        outlook.sends(CALL);
        outlook.clears(seen("app", true), Status::Idle);
        assert_eq!(outlook.sight(), Sight::Clouded);
        assert!(!outlook.may_clear(Status::Idle), "there is nothing more to ask");
        outlook.sends(CALL);
        outlook.clears(seen("app", true), Status::Idle);
        assert_eq!(outlook.sight(), Sight::Clouded);
    }
}
