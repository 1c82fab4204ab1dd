//! A thread of its own with a runtime of its own, on which all talk with the servers happens.
//!
//! A read ends when nobody waits for it any more, so that those who gave up hold up nobody. A write goes
//! on: what becomes of it must not hang on who is still there.

use crate::store::StoreError;
use std::io;
use std::thread;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

/// The thread. Dropping it ends it, and waits for that.
pub(super) struct Thread {
    runtime: Handle,
    end: Option<oneshot::Sender<()>>, // INVARIANT: `Some` until dropped.
    thread: Option<thread::JoinHandle<()>>,
}

impl Thread {
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            // An error means that the other side is gone, which is the same message.
            let _ = runtime.block_on(ended);
            // A name that is still being looked up must not hold up the end.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, end: Some(end), thread: Some(thread) })
    }

    /// Does it there, for as long as the caller waits. `Unavailable` when the thread has ended.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut waiting = Waiting(self.runtime.spawn(call));
        answer(doing, (&mut waiting.0).await)
    }

    /// Does it there, whether or not the caller waits. `Unavailable` when the thread has ended.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        answer(doing, self.runtime.spawn(call).await)
    }
}

/// Breaks off what it waits for when it goes.
struct Waiting<T>(JoinHandle<T>);

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn answer<T>(
    doing: &'static str,
    ended: Result<Result<T, StoreError>, JoinError>,
) -> Result<T, StoreError> {
    ended.unwrap_or_else(|error| Err(StoreError::Unavailable { doing, source: error.into() }))
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was reported when it happened.
            let _ = thread.join();
        }
    }
}
