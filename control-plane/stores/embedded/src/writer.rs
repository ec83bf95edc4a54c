//! The one thread that writes. Each job is atomic; jobs that wait together are committed, and synced, together.

use std::{io, sync::Arc, thread::JoinHandle};

use countersign_store::StoreError;
use redb::{Database, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use crate::tables::{Broken, Fault};

/// Jobs that may wait; the next caller waits for room.
const QUEUE: usize = 1_024;

/// Most jobs in one transaction.
const BATCH: usize = 256;

/// Answers a caller once it is known whether the transaction was committed.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Does its work in the transaction. With `Broken` the transaction must not be committed.
type Job = Box<dyn FnOnce(&WriteTransaction) -> (Answer, Result<(), Broken>) + Send>;

pub(crate) struct Writer {
    /// `None` only while dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(database: Arc<Database>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread =
            std::thread::Builder::new().name("store-writer".into()).spawn(move || run(&database, queue))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `work` on the writer's thread and returns once its transaction is on disk. Work that refuses must do so
    /// before its first write, because others' writes share the transaction.
    pub(crate) async fn write<T, E>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, Fault<E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |transaction| {
            let (result, state) = match work(transaction) {
                Ok(value) => (Ok(value), Ok(())),
                Err(Fault::Refused(refusal)) => (Err(refusal), Ok(())),
                Err(Fault::Broken(broken)) => (Err(broken.clone().into_error().into()), Err(broken)),
            };
            let answer = |committed: Result<(), StoreError>| {
                // Nobody listens any more if the caller's future was dropped.
                let _ = sender.send(result.and_then(|value| committed.map(|()| value).map_err(E::from)));
            };
            (Box::new(answer), state)
        });
        let stopped = || StoreError::Unavailable("the writer has stopped".into());
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(job).await.map_err(|_| stopped())?;
        receiver.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    /// Waits for the jobs that were taken, so that the file is free for whoever opens it next.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(database: &Database, mut queue: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        let mut answers = Vec::with_capacity(batch.len());
        let committed = commit(database, batch.drain(..), &mut answers).map_err(Broken::into_error);
        for answer in answers {
            answer(committed.clone());
        }
    }
}

/// Jobs after one that broke are not run; their callers learn that they were dropped.
fn commit(
    database: &Database,
    batch: impl Iterator<Item = Job>,
    answers: &mut Vec<Answer>,
) -> Result<(), Broken> {
    let transaction = database.begin_write()?;
    for job in batch {
        let (answer, state) = job(&transaction);
        answers.push(answer);
        state?;
    }
    Ok(transaction.commit()?)
}
