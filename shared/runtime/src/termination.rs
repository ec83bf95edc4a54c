//! Being asked to stop: SIGTERM by whoever started the process, SIGINT by whoever sits before it.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Requests to stop that arrive after this was made. Until then they end the process as they always do.
#[derive(Debug)]
pub struct Termination {
    terminate: Signal,
    interrupt: Signal,
}

impl Termination {
    /// From now on the process is not ended by these signals: it ends by itself once it was [`Self::wanted`].
    ///
    /// # Errors
    /// The operating system's, or there is no runtime that handles signals.
    pub fn watch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits until somebody wants the process to stop. Cancel safe.
    pub async fn wanted(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, id};

    use super::*;

    #[tokio::test]
    async fn either_signal_is_heard_and_does_not_end_the_process() {
        let mut termination = Termination::watch().expect("watched");
        for signal in ["-TERM", "-INT"] {
            let sent = Command::new("kill").arg(signal).arg(id().to_string()).status();
            assert!(sent.expect("kill is there").success());
            termination.wanted().await;
        }
    }
}
