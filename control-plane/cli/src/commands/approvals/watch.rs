//! `approvals watch`: each approval as it comes and whenever it changes, one line each, until somebody has had
//! enough.

use std::{
    future::{Future, pending},
    pin::pin,
};

use countersign_wire::v1::{Approval, WatchApprovalsRequest};
use tonic::Status;

use crate::{
    connection::{Connection, answer},
    failure::{Exit, Failure},
    output::{Format, Output},
    proto_json::to_json,
};

use super::row;

pub(super) async fn run(connection: &Connection, out: &mut Output) -> Result<Exit, Failure> {
    let mut approvals = answer(connection.approvals().watch_approvals(WatchApprovalsRequest {})).await?;
    let abandoned = out.abandoned();
    let enough = async {
        tokio::select! {
            () = interrupted() => {}
            () = abandoned => {}
        }
    };
    follow(async || approvals.message().await, enough, out).await
}

/// Ctrl-C; never, if it cannot be waited for: then it ends the process as it always does.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        pending().await
    }
}

/// Prints what `next` gives until `enough`, or until nobody reads it. `next` must be cancel safe.
async fn follow(
    mut next: impl AsyncFnMut() -> Result<Option<Approval>, Status>,
    enough: impl Future<Output = ()>,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let mut enough = pin!(enough);
    loop {
        let approval = tokio::select! {
            biased;
            () = &mut enough => return Ok(Exit::Done),
            approval = next() => approval.map_err(|status| Failure::from(status).about(LOST))?,
        };
        let approval = approval.ok_or_else(|| Failure::failed(format!("{LOST}: it has ended")))?;
        match print(&approval, out) {
            Err(failure) if failure.is_silent() => return Ok(Exit::Done),
            printed => printed?,
        }
    }
}

const LOST: &str = "the control plane's stream of approvals is lost";

fn print(approval: &Approval, out: &mut Output) -> Result<(), Failure> {
    match out.format() {
        Format::Json => out.json_line(&to_json(approval)?)?,
        Format::Table => {
            let [cells @ .., until] = row(approval);
            let until = if until.is_empty() { until } else { format!("until {until}") };
            let cells: Vec<String> =
                cells.into_iter().chain([until]).filter(|cell| !cell.is_empty()).collect();
            out.line(&cells.join("  "))?;
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        io::{self, BufWriter, Write},
    };

    use countersign_wire::v1::ApprovalState;

    use super::*;
    use crate::{output::tests::Captured, tests::fixture};

    fn twice() -> VecDeque<Result<Option<Approval>, Status>> {
        let mut denied = fixture::approval();
        denied.set_state(ApprovalState::Denied);
        [Ok(Some(fixture::approval())), Ok(Some(denied)), Ok(None)].into()
    }

    /// Whatever is written is lost: its reader has gone.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn each_is_a_line_and_the_end_of_the_stream_is_a_failure() {
        let (captured, mut stream) = (Captured::default(), twice());
        let next = async || stream.pop_front().expect("asked no more");
        let failure = follow(next, pending(), &mut captured.output(Format::Table)).await.expect_err("lost");
        assert_eq!(failure.exit(), Exit::Failed);
        assert!(failure.to_string().starts_with(LOST), "{failure}");
        assert_eq!(
            captured.text(),
            "ap_1  pending  writer  shop  postgres:delete Table shop.public.orders  dba 0/1, security 1/2  \
             until 2023-11-14T22:28:20Z\n\
             ap_1  denied  writer  shop  postgres:delete Table shop.public.orders  dba 0/1, security 1/2\n"
        );
    }

    #[tokio::test]
    async fn each_line_of_json_is_out_before_the_next_is_awaited() {
        let (captured, mut stream) = (Captured::default(), twice());
        let mut out = Output::new(Format::Json, Box::new(BufWriter::new(captured.clone())));
        let mut lines = Vec::new();
        let next = async || {
            lines.push(captured.text().lines().count());
            stream.pop_front().expect("asked no more")
        };
        follow(next, pending(), &mut out).await.expect_err("lost");
        assert_eq!(lines, [0, 1, 2]);
        let text = captured.text();
        let states: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["state"].clone())
            .collect();
        assert_eq!(states, ["APPROVAL_STATE_PENDING", "APPROVAL_STATE_DENIED"]);
    }

    #[tokio::test]
    async fn enough_is_no_failure() {
        let captured = Captured::default();
        let mut first = Some(fixture::approval());
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut tell = Some(tell);
        let next = async || match first.take() {
            Some(approval) => Ok(Some(approval)),
            None => {
                tell.take().expect("once").send(()).expect("awaited");
                pending().await
            }
        };
        let enough = async { told.await.expect("told") };
        let exit = follow(next, enough, &mut captured.output(Format::Table)).await.expect("no failure");
        assert_eq!((exit, captured.text().lines().count()), (Exit::Done, 1));
    }

    #[tokio::test]
    async fn nobody_to_read_it_is_no_failure() {
        let mut out = Output::new(Format::Json, Box::new(Closed));
        let exit = follow(async || Ok(Some(fixture::approval())), pending(), &mut out).await;
        assert_eq!(exit.expect("no failure"), Exit::Done);
    }

    #[tokio::test]
    async fn an_error_on_the_stream_says_what_it_was() {
        let captured = Captured::default();
        let next = async || Err(Status::unavailable("going away"));
        let failure = follow(next, pending(), &mut captured.output(Format::Json)).await.expect_err("lost");
        assert_eq!(failure.exit(), Exit::Failed);
        assert_eq!(failure.to_string(), format!("{LOST}: going away [Unavailable]"));
    }
}
