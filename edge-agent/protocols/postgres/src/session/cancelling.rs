//! A client's request to cancel, passed on while its operation runs.

use std::{future::Future, pin::Pin};

use tracing::warn;

use crate::line::Canceller;

/// Requests of one operation: the first is passed on.
#[derive(Default)]
pub(super) struct Cancelling {
    began: bool,
    under_way: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Cancelling {
    /// Whether none was passed on yet.
    pub(super) fn may_begin(&self) -> bool {
        !self.began
    }

    /// Passes one on. A target that cannot be asked goes on with what it runs, as it would without us.
    pub(super) fn begin(&mut self, canceller: Option<Canceller>) {
        self.began = true;
        self.under_way = canceller.map(|canceller| -> Pin<Box<dyn Future<Output = ()>>> {
            Box::pin(async {
                if let Err(error) = canceller.cancel().await {
                    warn!(%error, "an operation could not be cancelled");
                }
            })
        });
    }

    /// Whether the target has yet to take it in.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Waits until the target has taken it in: the next operation must not be hit by it. Cancel safe.
    pub(super) async fn done(&mut self) {
        if let Some(under_way) = &mut self.under_way {
            under_way.await;
            self.under_way = None;
        }
    }
}
