//! Reads and writes on the thread that talks with the servers.
//!
//! A read ends when nobody waits for it any more, so that those who gave up hold up nobody. A write goes
//! on: what becomes of it must not hang on who is still there.

use crate::redis::Thread;
use crate::store::StoreError;
use tokio::task::{JoinError, JoinHandle};

impl Thread {
    /// Does it there, for as long as the caller waits. `Unavailable` when the thread has ended.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut waiting = Waiting(self.spawn(call));
        answer(doing, (&mut waiting.0).await)
    }

    /// Does it there, whether or not the caller waits. `Unavailable` when the thread has ended.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        answer(doing, self.spawn(call).await)
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
