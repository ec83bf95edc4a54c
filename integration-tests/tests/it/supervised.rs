//! A daemon and its supervisor, which does one thing: it starts the daemon again when it has died.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// SIGKILL
const KILL: i32 = 9;

/// Runs until this is dropped.
pub(crate) struct Supervised {
    watched: Arc<Watched>,
    supervisor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Watched {
    stops: AtomicBool,
    /// The process of the moment.
    process: Mutex<Option<u32>>,
    /// How each process before it ended.
    ends: Mutex<Vec<ExitStatus>>,
}

impl Supervised {
    /// Starts what `command` makes, and the same again whenever it has ended.
    pub(crate) fn start(command: impl Fn() -> Command + Send + 'static) -> Self {
        let watched = Arc::<Watched>::default();
        let watching = watched.clone();
        // The kernel kills the daemon when the thread that started it ends: this one outlives each of them.
        let supervisor = std::thread::spawn(move || watching.keep_up(command));
        Self { watched, supervisor: Some(supervisor) }
    }

    /// How often it has died.
    pub(crate) fn deaths(&self) -> usize {
        lock(&self.watched.ends).len()
    }

    /// The ends that were not by SIGKILL: a start that failed, for one.
    pub(crate) fn other_ends(&self) -> Vec<ExitStatus> {
        let ends = lock(&self.watched.ends);
        ends.iter().filter(|end| end.signal() != Some(KILL)).copied().collect()
    }
}

impl Watched {
    fn keep_up(&self, command: impl Fn() -> Command) {
        while !self.stops.load(Ordering::SeqCst) {
            let mut child = {
                let mut process = lock(&self.process);
                if self.stops.load(Ordering::SeqCst) {
                    return;
                }
                let child = command().spawn().expect("the daemon starts");
                *process = Some(child.id());
                child
            };
            let end = child.wait().expect("waited");
            *lock(&self.process) = None;
            if !self.stops.load(Ordering::SeqCst) {
                lock(&self.ends).push(end);
                // One that cannot start at all is not started in a tight loop.
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.watched.stops.store(true, Ordering::SeqCst);
        if let Some(process) = *lock(&self.watched.process) {
            let _ = Command::new("kill").args(["-KILL", &process.to_string()]).status();
        }
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
