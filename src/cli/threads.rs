//! Threads of a server, and how each ends.
//!
//! Invariant: the end of each is heard of, whatever ends it.

use super::exit::{Exit, Failure};
use tokio::sync::mpsc;

/// Runs `work` on a thread of its own, and tells how it ended, by a panic too: one that nobody hears
/// of would leave its share of the connections unanswered.
pub(super) fn start_thread(
    name: String,
    ended: mpsc::UnboundedSender<Result<(), Failure>>,
    work: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> Result<(), Failure> {
    let run = move || {
        let mut end =
            End { ended, how: Some(Err(Failure::new(Exit::Failure, "a thread panicked"))) };
        end.how = Some(work());
    };
    std::thread::Builder::new()
        .name(name)
        .spawn(run)
        .map(drop)
        .map_err(|error| Failure::new(Exit::Failure, "a thread cannot be started").because(error))
}

/// Tells how a thread ended when it is dropped, as it is whatever happens.
struct End {
    ended: mpsc::UnboundedSender<Result<(), Failure>>,
    how: Option<Result<(), Failure>>,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(how) = self.how.take() {
            // Nobody listens any more once the limit for draining is over.
            let _ = self.ended.send(how);
        }
    }
}

/// What it means that a thread ended which should have gone on.
pub(super) fn worker_failure(end: Option<Result<(), Failure>>) -> Failure {
    match end {
        Some(Err(failure)) => failure,
        Some(Ok(())) | None => Failure::new(Exit::Failure, "a thread stopped serving"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_heard_of_while_the_others_go_on() {
        let (ended, mut ends) = mpsc::unbounded_channel();
        let (go_on, goes_on) = std::sync::mpsc::channel::<()>();
        let long = move || {
            let _ = goes_on.recv();
            Ok(())
        };
        start_thread("long".to_owned(), ended.clone(), long).unwrap();
        start_thread("short".to_owned(), ended, || panic!("as a bug would")).unwrap();
        let first = ends.blocking_recv();
        assert!(matches!(&first, Some(Err(_))), "{first:?}");
        assert!(format!("{:?}", worker_failure(first)).contains("panicked"));
        drop(go_on);
        assert!(matches!(ends.blocking_recv(), Some(Ok(()))));
        assert!(ends.blocking_recv().is_none());
    }
}
