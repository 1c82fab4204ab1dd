//! One thread feeds, some work, one takes: in order, without sorting and without a queue that grows.
//!
//! Plain threads and bounded channels instead of a pool for tasks: each thread that works has a channel in
//! and a channel out, the one that feeds deals in turn, and the one that takes collects in the same turn. So
//! no more than a few items a thread are ever in memory.
//!
//! Invariant: what is taken comes in the order of what was fed, however many threads work.

use super::error::JobError;
use std::sync::mpsc::sync_channel;

/// Runs `feed` on a thread of its own, hands what it feeds to `threads` workers, and what they make to
/// `take`, which says whether it wants more. `feed` is told when nobody does. Gives what `feed` gave.
pub(super) fn in_turn<I: Send, O: Send, F: Send, W: FnMut(I) -> O>(
    threads: usize,
    feed: impl FnOnce(&mut dyn FnMut(I) -> bool) -> Result<F, JobError> + Send,
    worker: impl Fn() -> W + Sync,
    mut take: impl FnMut(O) -> Result<bool, JobError>,
) -> Result<F, JobError> {
    std::thread::scope(|scope| {
        let (mut hand_over, mut collect) = (Vec::new(), Vec::new());
        for _ in 0..threads.max(1) {
            let (items, receive) = sync_channel::<I>(1);
            let (done, results) = sync_channel::<O>(1);
            let worker = &worker;
            scope.spawn(move || {
                let mut work = worker();
                for item in receive {
                    if done.send(work(item)).is_err() {
                        return; // Nobody wants more.
                    }
                }
            });
            hand_over.push(items);
            collect.push(results);
        }
        let feeding = scope.spawn(move || {
            let (mut fed, mut turn) = (0, hand_over.iter().cycle());
            let mut next = |item| {
                let is_taken = turn.next().is_some_and(|to| to.send(item).is_ok());
                fed += usize::from(is_taken);
                is_taken
            };
            let ended = feed(&mut next);
            ended.map(|ended| (ended, fed))
        });
        let (mut taken, mut wants_more) = (0, true);
        let mut failure = None;
        for from in collect.iter().cycle() {
            let Ok(result) = from.recv() else { break };
            taken += 1;
            match take(result) {
                Ok(true) => {}
                Ok(false) => wants_more = false,
                Err(error) => failure = Some(error),
            }
            if failure.is_some() || !wants_more {
                break;
            }
        }
        drop(collect); // Whoever still works is told that nobody wants more.
        let fed = feeding.join().unwrap_or_else(|_| Err(broke("reading")));
        if let Some(failure) = failure {
            return Err(failure);
        }
        let (ended, fed) = fed?;
        // A thread that died would else end the output early.
        if wants_more && fed != taken {
            return Err(broke("deciding"));
        }
        Ok(ended)
    })
}

fn broke(doing: &str) -> JobError {
    JobError::Io { doing: doing.to_owned(), source: std::io::Error::other("a thread died") }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_their_items_and_stop_when_nobody_wants_more() {
        for (threads, most) in [(1, 1_000), (3, 1_000), (3, 10)] {
            let mut taken = Vec::new();
            let feed = |next: &mut dyn FnMut(u32) -> bool| {
                Ok((0..1_000).take_while(|item| next(*item)).count())
            };
            let double = || |item| item * 2;
            let fed = in_turn(threads, feed, double, |result| {
                taken.push(result);
                Ok(taken.len() < most)
            });
            assert_eq!(taken, (0..1_000).map(|item| item * 2).take(most).collect::<Vec<_>>());
            assert!(most <= fed.unwrap());
        }
    }

    #[test]
    fn a_failure_ends_it_on_either_side() {
        let broken = |_| Err::<bool, _>(broke("writing"));
        let feed = |next: &mut dyn FnMut(u32) -> bool| Ok((0..1_000).all(next));
        assert!(in_turn(2, feed, || |item| item, broken).is_err());
        let feed = |_: &mut dyn FnMut(u32) -> bool| Err::<(), _>(broke("reading"));
        assert!(in_turn(2, feed, || |item: u32| item, |_| Ok(true)).is_err());
    }
}
