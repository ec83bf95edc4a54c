//! Threads that read statements.
//!
//! The parser takes something of the process for good with each thread that ever calls it (see `countersign_sql`),
//! so the runtime's threads, which come and go, are no place for it. These few live as long as the process,
//! whichever core asks, and bound how many statements are read at a time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    thread,
};

use countersign_store::StoreError;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

/// Statements that are read at a time.
const THREADS: usize = 2;
/// Statements that wait; whoever comes then waits for room.
const QUEUED: usize = 32;

type Job = Box<dyn FnOnce() + Send>;

static QUEUE: LazyLock<mpsc::Sender<Job>> = LazyLock::new(start);

/// Does work that parses, on one of the threads. Cancel safe: work that nobody waits for any more is not begun.
pub(super) async fn parse<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    let stopped = || StoreError::unavailable("the threads that parse have stopped");
    let (sender, answer) = oneshot::channel();
    let job: Job = Box::new(move || {
        if !sender.is_closed() {
            // Nobody listens any more if the caller went meanwhile.
            let _ = sender.send(work());
        }
    });
    QUEUE.send(job).await.map_err(|_| stopped())?;
    answer.await.map_err(|_| stopped())
}

fn start() -> mpsc::Sender<Job> {
    let (jobs, queue) = mpsc::channel(QUEUED);
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..THREADS {
        let queue = queue.clone();
        if let Err(error) = thread::Builder::new().name("parser".into()).spawn(move || run(&queue)) {
            // With no thread at all the queue is closed, and whoever asks is told so.
            error!(%error, "a thread for parsing could not be started");
        }
    }
    jobs
}

fn run(queue: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // One thread waits in the queue and the others for the lock: that is the same to them.
        let Some(job) = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv() else { return };
        // The caller of a job that panics is told that it was dropped; the thread goes on.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            error!("reading a statement panicked");
        }
    }
}
