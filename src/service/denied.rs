//! In how many decisions of this server's own log a suspension stood in the way.
//!
//! The log may be long, and the server has checks to answer: it is read on a thread that gives way to all
//! others, for a limited time, one reading at a time.
//!
//! Invariant: a number that may be too small says so, and says why.

use super::Service;
use crate::audit::decisions::Denied;
use crate::audit::decisions::folder::{SegmentFile, each_line, segments};
use crate::domain::{SuspensionId, Timestamp};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a log is read: less than a call may take.
const READING_LIMIT: Duration = Duration::from_secs(3);

/// How long another reading is waited for.
const TURN_LIMIT: Duration = Duration::from_secs(1);

/// After how many lines the time is looked at.
const LINES_A_LOOK: u32 = 4_096;

/// What the log says of a suspension.
#[derive(Debug)]
pub enum DenialCount {
    /// Decisions are not recorded here.
    NoLog,
    /// It was in force at no time, so that it can have denied nothing.
    NeverInForce,
    /// It was counted, as far as this goes.
    Counted(Box<Denials>),
    /// Somebody else reads the log: ask again.
    Busy,
    /// The log cannot be read.
    Unreadable,
}

/// What was counted.
#[derive(Debug)]
pub struct Denials {
    /// The numbers, and what is missing from them.
    pub found: Denied,
    /// When the log begins, if that is after the suspension was in force.
    pub log_begins: Option<Timestamp>,
    /// Up to when it was read, if time ran out.
    pub read_until: Option<Timestamp>,
}

impl Denials {
    /// Whether the log of this server holds every decision of its that the suspension denied.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.found.is_complete() && self.log_begins.is_none() && self.read_until.is_none()
    }
}

impl Service {
    /// Counts the decisions that a suspension took part in denying since it was in force.
    pub(super) async fn denied_by(
        &self,
        id: &SuspensionId,
        since: Option<Timestamp>,
    ) -> DenialCount {
        let Some(recorder) = self.recorder.get() else { return DenialCount::NoLog };
        let Some(since) = since else { return DenialCount::NeverInForce };
        let Ok(Ok(turn)) = tokio::time::timeout(TURN_LIMIT, self.readings.acquire()).await else {
            return DenialCount::Busy;
        };
        let (folder, found) = (recorder.folder().to_owned(), Denied::by(id, since));
        let (clock, began) = (Arc::clone(&self.clock), self.clock.boot());
        let is_over = move || READING_LIMIT < clock.boot().saturating_sub(began);
        let (answer, answered) = tokio::sync::oneshot::channel();
        let reading = std::thread::Builder::new().name("decision-reader".into()).spawn(move || {
            // On Linux this is the thread's own. One that may not step back is no reason to stop.
            let _ = rustix::process::nice(19);
            let _ = answer.send(count(&folder, found, since, is_over));
        });
        let counted = match reading {
            Ok(_) => answered.await.ok(),
            Err(error) => Some(Err(error)),
        };
        drop(turn);
        match counted {
            Some(Ok(denials)) => DenialCount::Counted(Box::new(denials)),
            Some(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "The decision log cannot be read for a suspension's history");
                DenialCount::Unreadable
            }
            None => DenialCount::Unreadable,
        }
    }
}

/// Reads what a log holds from `since` on, until time `is_over`.
///
/// # Errors
/// When a file cannot be read.
pub fn count(
    folder: &Path,
    mut found: Denied,
    since: Timestamp,
    is_over: impl Fn() -> bool,
) -> io::Result<Denials> {
    let all = segments(folder)?;
    let log_begins = all.first().map(|first| first.begun).filter(|begun| since < *begun);
    let mut read_until = None;
    for segment in from(&all, since) {
        let lines = match segment.open() {
            // It was deleted for its age since its name was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let mut lines_left = LINES_A_LOOK;
        each_line(lines, |line, is_whole| {
            // The torn end of an open segment is no line yet.
            if is_whole {
                found.take(line);
            }
            lines_left -= 1;
            if lines_left == 0 {
                lines_left = LINES_A_LOOK;
                if is_over() {
                    read_until = Some(segment.begun);
                }
            }
            Ok::<_, io::Error>(read_until.is_none())
        })?;
        if read_until.is_some() {
            break;
        }
    }
    Ok(Denials { found, log_begins, read_until })
}

/// The segments that may hold something from `since` on: one ends where the next one begins.
fn from(all: &[SegmentFile], since: Timestamp) -> &[SegmentFile] {
    // A name tells the second in which a segment was begun.
    let before = all.partition_point(|segment| segment.begun <= since);
    all.get(before.saturating_sub(1)..).unwrap_or_default()
}
