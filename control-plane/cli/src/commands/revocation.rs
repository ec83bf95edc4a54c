//! What became of something that was revoked: whether it is cut, or by when it will be.

use countersign_wire::v1::Revocation;

use crate::{
    failure::{Exit, Failure},
    output::Output,
};

/// Says what was done, and on a line of its own whether the sessions that it ended are cut.
pub(crate) fn print(done: &str, revocation: Option<&Revocation>, out: &mut Output) -> Result<(), Failure> {
    out.line(done)?;
    revocation.map_or(Ok(()), |revocation| out.line(&in_words(revocation)))
}

/// `confirmed`, or until when it is cut.
pub(crate) fn in_words(revocation: &Revocation) -> String {
    match (revocation.confirmed, &revocation.cut_by) {
        (true, _) => "confirmed".to_owned(),
        (false, Some(cut_by)) => format!("unconfirmed, cut by {cut_by}"),
        (false, None) => "unconfirmed".to_owned(),
    }
}

/// What was not confirmed may go on for a while.
pub(crate) fn exit(revocation: &Revocation) -> Exit {
    if revocation.confirmed { Exit::Done } else { Exit::TimedOut }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use countersign_wire::to_timestamp;

    use super::*;

    #[test]
    fn what_nobody_confirmed_is_not_done() {
        let confirmed = Revocation { confirmed: true, ..Revocation::default() };
        assert_eq!((in_words(&confirmed).as_str(), exit(&confirmed)), ("confirmed", Exit::Done));
        let cut_by = Some(to_timestamp(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
        let unconfirmed = Revocation { cut_by, ..Revocation::default() };
        assert_eq!(in_words(&unconfirmed), "unconfirmed, cut by 2023-11-14T22:13:20Z");
        assert_eq!(exit(&unconfirmed), Exit::TimedOut);
        assert_eq!(in_words(&Revocation::default()), "unconfirmed");
        assert_eq!(exit(&Revocation::default()), Exit::TimedOut);
    }
}
