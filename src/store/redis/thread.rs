//! A thread of its own with a runtime of its own, on which all talk with the servers happens.
//!
//! What was begun goes on whether or not somebody still waits for it; it ends with the thread.

use crate::store::StoreError;
use std::io;
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The thread. Dropping it ends it, and waits for that.
pub(super) struct Thread {
    runtime: Handle,
    end: Option<oneshot::Sender<()>>, // INVARIANT: `Some` until dropped.
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            // An error means that the other side is gone, which is the same message.
            let _ = runtime.block_on(ended);
            // A name that is still being looked up must not hold up the end.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, end: Some(end), thread: Some(thread) })
    }

    /// Does it there. `Unavailable` when the thread has ended.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.runtime.spawn(call).await {
            Ok(answer) => answer,
            Err(error) => Err(StoreError::Unavailable { doing, source: error.into() }),
        }
    }
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
