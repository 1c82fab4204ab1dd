//! A thread that owns a value and does one job with it after the other.
//!
//! SQLite blocks and a connection belongs to one user at a time; so a connection lives on a thread,
//! jobs wait in a bounded queue, and the async side awaits their answers. Knows nothing of stores.
//!
//! A job that was queued is done, whether or not somebody still waits for its answer.

use crate::store::StoreError;
use std::io;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How many jobs may wait; more callers wait outside. Each may hold a rule file's worth of change.
const LONGEST_QUEUE: usize = 64;

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// The thread's async side. Dropping it lets the queue run dry, ends the thread and waits for it.
pub(super) struct Worker<T> {
    queue: Option<mpsc::Sender<Job<T>>>, // INVARIANT: `Some` until dropped.
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts the thread and hands it `value`, which is dropped there, too. `ended` is cancelled
    /// when the thread ends, a panic included.
    pub(super) fn start(name: &str, mut value: T, ended: &CancellationToken) -> io::Result<Self> {
        let (queue, mut jobs) = mpsc::channel::<Job<T>>(LONGEST_QUEUE);
        let ended = ended.clone().drop_guard();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let _ended = ended;
            while let Some(job) = jobs.blocking_recv() {
                job(&mut value);
            }
        })?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Does `job` on the thread. `Unavailable` when the thread has died.
    pub(super) async fn run<R: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&mut T) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job<T> = Box::new(move |value| {
            // The caller may have given up; the job counts all the same.
            let _ = answer.send(job(value));
        });
        let died = |source| StoreError::Unavailable { doing, source };
        let Some(queue) = &self.queue else { return Err(died("the store is closed".into())) };
        queue.send(job).await.map_err(|_| died("the store's thread has ended".into()))?;
        answered.await.map_err(|error| died(error.into()))?
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was reported when it happened.
            let _ = thread.join();
        }
    }
}
