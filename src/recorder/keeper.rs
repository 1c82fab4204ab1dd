//! Compresses segments that are closed, and deletes those that are too old or too many.
//!
//! Runs on a thread that gives way to all others. What it does not come to is found at the next start.
//!
//! Invariants: a compressed segment appears whole, and forced to disk, before the plain one goes. Only
//! closed segments are deleted, and always the oldest first, so that what is left is one stretch.

use super::Shared;
use super::segment::sync_folder;
use crate::audit::decisions::folder::{compressed, segments};
use crate::clock::Clock;
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Fast, and already a tenth of the size.
const LEVEL: i32 = 1;

/// How much is compressed at once.
const CHUNK: usize = 64 * 1024;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    pub(super) days: Option<u32>,
    pub(super) bytes: Option<u64>,
}

/// Starts the thread. It ends when nobody can send it closed segments any more, or with the segment that
/// it is at when the recorder stops: whoever takes the folder next must not meet with it.
pub(super) fn start(
    folder: PathBuf,
    keep: Keep,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
) -> io::Result<(Sender<PathBuf>, JoinHandle<()>)> {
    let (closed, received) = channel::<PathBuf>();
    let thread = std::thread::Builder::new().name("decision-keeper".into()).spawn(move || {
        // On Linux this is the thread's own. One that may not step back is no reason to stop.
        let _ = rustix::process::nice(19);
        for path in received {
            if shared.is_stopping.load(Ordering::Acquire) {
                return;
            }
            if let Err(error) = compress(&path) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "A segment of the decision log stays uncompressed");
            }
            if let Err(error) = delete_old(&folder, keep, &*clock) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "Old segments of the decision log cannot be deleted");
            }
        }
    })?;
    Ok((closed, thread))
}

fn compress(plain: &Path) -> io::Result<()> {
    let target = compressed(plain);
    let mut draft = target.as_os_str().to_owned();
    draft.push(".part");
    let draft = PathBuf::from(draft);
    let source = File::open(plain)?;
    let file = private(&draft)?;
    let mut encoder = zstd::stream::write::Encoder::new(BufWriter::new(file), LEVEL)?;
    encoder.include_checksum(true)?;
    let copied = copy(source, &mut encoder)
        .and_then(|()| encoder.finish())
        .and_then(|writer| writer.into_inner().map_err(io::IntoInnerError::into_error))
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(&draft, &target));
    if let Err(error) = copied {
        let _ = std::fs::remove_file(&draft);
        return Err(error);
    }
    sync_folder(target.parent().unwrap_or(Path::new(".")))?;
    std::fs::remove_file(plain)
}

/// Copies in chunks, and gives way after each: a thread that comes after all others keeps a core for milliseconds
/// once it has it. What was read is let go of at once, since it takes long to forget a whole segment.
fn copy(mut from: File, to: &mut impl Write) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let length = from.read(&mut chunk)?;
        let Some(read) = NonZeroU64::new(length as u64) else { return Ok(()) };
        to.write_all(chunk.get(..length).unwrap_or_default())?;
        forget(&from, at, read);
        at += read.get();
        std::thread::yield_now();
    }
}

/// Lets the system's cache go of part of a file; where it cannot be told so, nothing is lost.
#[cfg(target_os = "linux")]
fn forget(file: &File, from: u64, length: NonZeroU64) {
    use rustix::fs::{Advice, fadvise};
    let _ = fadvise(file, from, Some(length), Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
fn forget(_: &File, _: u64, _: NonZeroU64) {}

fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn delete_old(folder: &Path, keep: Keep, clock: &dyn Clock) -> io::Result<()> {
    let mut kept = segments(folder)?;
    // The last one is open.
    kept.pop();
    let oldest = keep.days.and_then(|days| clock.wall().checked_sub(DAY * days).ok());
    let sizes: Vec<u64> =
        kept.iter().map(|it| it.path.metadata().map_or(0, |found| found.len())).collect();
    let mut bytes: u64 = sizes.iter().sum();
    for (place, (segment, size)) in kept.iter().zip(&sizes).enumerate() {
        // A segment ends where the next one begins.
        let ended = kept.get(place + 1).map_or(segment.begun, |next| next.begun);
        let is_old = oldest.is_some_and(|oldest| ended < oldest);
        if !is_old && keep.bytes.is_none_or(|most| bytes <= most) {
            break;
        }
        std::fs::remove_file(&segment.path)?;
        bytes -= size;
        tracing::info!(
            "Deleted segment {} of the decision log, as the settings say",
            segment.number
        );
    }
    Ok(())
}
