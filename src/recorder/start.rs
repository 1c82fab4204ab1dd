//! Takes the folder of a decision log, and mends what a process left there that ended abruptly.
//!
//! Invariant: nothing is thrown away. What cannot be read at the end of a segment is moved into a file
//! beside it, `SEGMENT.torn`, and the segment says so in a gap record before it is closed.

use super::book::Book;
use super::keeper::{self, Keep};
use super::segment::{OpenSegment, sync_folder};
use super::writer::Writer;
use super::{Recorder, RecorderSettings, Shared};
use crate::audit::AuditKey;
use crate::audit::decisions::Recorded;
use crate::audit::decisions::folder::{SegmentFile, each_line, segments};
use crate::audit::decisions::segment::{Chained, Footer, Gap, Line, Missing, Parts};
use crate::clock::Clock;
use crate::domain::{ChainHash, Timestamp};
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Why decisions cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process writes there.
    #[error("another process writes to the decision log in `{}`", folder.display())]
    InUse {
        /// Where.
        folder: PathBuf,
    },
    /// The folder or a file in it is not to be had.
    #[error("decision log in `{}` cannot be opened", folder.display())]
    Io {
        /// Where.
        folder: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The last segment is not what was written.
    #[error("segment `{}` of the decision log is damaged", segment.display())]
    Damaged {
        /// Which.
        segment: PathBuf,
    },
}

/// Where a log stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) next_seq: u64,
    pub(super) chain: ChainHash,
}

pub(super) fn start(
    settings: RecorderSettings,
    clock: Arc<dyn Clock>,
) -> Result<Arc<Recorder>, StartError> {
    let folder = settings.folder.clone();
    let io = |source| StartError::Io { folder: folder.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(io)?;
    let lock = lock(&folder)?;
    let found = segments(&folder).map_err(io)?;
    let (place, was_mended) = mend(&folder, &found, settings.key.as_ref(), &*clock)?;
    let book = Book::new(place.next_seq, place.chain);
    let shared = Arc::new(Shared::new(settings.workers, settings.lane_bytes, book));
    if was_mended {
        shared.gaps.fetch_add(1, Ordering::Relaxed);
    }
    let keep = Keep { days: settings.keep_days, bytes: settings.keep_bytes };
    let keeper = keeper::start(folder.clone(), keep, Arc::clone(&clock), Arc::clone(&shared));
    let (closed, keeper) = keeper.map_err(io)?;
    for left in found.into_iter().filter(|it| !it.is_compressed && it.path.exists()) {
        // Nobody receives only when the thread died, and then the next start finds them again.
        let _ = closed.send(left.path);
    }
    let recorder_of = |writer: JoinHandle<()>| Recorder {
        shared: Arc::clone(&shared),
        threshold: super::threshold(settings.sample_millionths),
        ids: settings.ids.clone(),
        refuse: settings.refuse,
        folder: folder.clone(),
        waker: writer.thread().clone(),
        threads: Mutex::new(vec![writer, keeper]),
        _lock: lock,
    };
    let mut writer = Writer::new(Arc::clone(&shared), &settings, place.segment, closed, clock);
    // What stands in the way of the first segment is told before anybody is served.
    writer.begin().map_err(io)?;
    let thread = std::thread::Builder::new().name("decision-writer".into());
    let thread = thread.spawn(move || writer.run()).map_err(io)?;
    Ok(Arc::new(recorder_of(thread)))
}

fn lock(folder: &Path) -> Result<File, StartError> {
    let io = |source| StartError::Io { folder: folder.to_owned(), source };
    let path = folder.join("lock");
    let options = File::options().write(true).create(true).truncate(false).mode(0o600).open(path);
    let lock = options.map_err(io)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// What the end of a segment says.
struct End {
    place: Place,
    is_closed: bool,
    records: u64,
    dropped: u64,
    /// The bytes of its good lines.
    length: u64,
    /// The instant of its last record, or of its header.
    last: Option<Timestamp>,
}

/// Where the log stands once its last segment is closed, and whether a gap was put into it for that.
fn mend(
    folder: &Path,
    found: &[SegmentFile],
    key: Option<&AuditKey>,
    clock: &dyn Clock,
) -> Result<(Place, bool), StartError> {
    let Some(last) = found.last() else {
        return Ok((Place { segment: 0, next_seq: 1, chain: ChainHash::ZERO }, false));
    };
    let io = |source| StartError::Io { folder: folder.to_owned(), source };
    let Some(end) = end_of(last).map_err(io)? else {
        // Not even its header was written: it never was, but for its name.
        let (_, before) = found.split_last().unwrap_or((last, &[]));
        put_aside(&last.path, 0).map_err(io)?;
        std::fs::remove_file(&last.path).map_err(io)?;
        return mend(folder, before, key, clock);
    };
    if end.is_closed {
        return Ok((end.place, false));
    }
    if last.is_compressed {
        return Err(StartError::Damaged { segment: last.path.clone() });
    }
    close(last, &end, key, clock).map(|place| (place, true)).map_err(io)
}

fn end_of(segment: &SegmentFile) -> io::Result<Option<End>> {
    let mut end: Option<End> = None;
    each_line(segment.open()?, |line, is_whole| {
        let parts = Parts::of(line).filter(|_| is_whole);
        let Some(parts) = parts else { return Ok::<_, io::Error>(false) };
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX).saturating_add(1);
        match (&mut end, &parts.line) {
            (None, Line::Header(header)) if header.segment == segment.number => {
                let previous = ChainHash::parse(&header.previous).unwrap_or_default();
                let place = Place {
                    segment: segment.number,
                    next_seq: header.next_seq,
                    chain: parts.chain,
                };
                let last = Some(header.begun);
                if parts.follows(previous) {
                    let (is_closed, records, dropped) = (false, 0, 0);
                    end = Some(End { place, is_closed, records, dropped, length, last });
                }
                Ok(end.is_some())
            }
            (Some(end), _) if parts.follows(end.place.chain) && !end.is_closed => {
                match &parts.line {
                    Line::Record(seq) => {
                        end.records += 1;
                        end.place.next_seq = seq + 1;
                        let read = std::str::from_utf8(line).ok().map(Recorded::read);
                        end.last = read.and_then(Result::ok).map(|it| it.at).or(end.last);
                    }
                    Line::Gap(gap) => {
                        end.dropped += gap.count.unwrap_or_default();
                        end.place.next_seq = gap.to_seq.map_or(end.place.next_seq, |to| to + 1);
                    }
                    Line::Footer(..) => end.is_closed = true,
                    Line::Header(_) => return Ok(false),
                }
                end.place.chain = parts.chain;
                end.length += length;
                Ok(true)
            }
            _ => Ok(false),
        }
    })?;
    Ok(end)
}

/// Closes a segment that a process left open: moves aside what does not read at its end, and says so.
fn close(
    segment: &SegmentFile,
    end: &End,
    key: Option<&AuditKey>,
    clock: &dyn Clock,
) -> io::Result<Place> {
    let cut_bytes = put_aside(&segment.path, end.length)?;
    let now = clock.wall();
    let mut chained = Chained { chain: end.place.chain };
    let mut lines = Vec::new();
    let gap = Gap {
        why: Missing::EndedAbruptly,
        count: None,
        from_seq: None,
        to_seq: None,
        after: end.last,
        at: now,
        cut_bytes,
    };
    chained.gap(&gap, &mut lines);
    let footer = Footer {
        segment: segment.number,
        records: end.records,
        dropped: end.dropped,
        sampled_out: 0,
        next_seq: end.place.next_seq,
        ended: now,
    };
    chained.footer(&footer, key, &mut lines);
    let (path, number) = (segment.path.clone(), segment.number);
    let file = File::options().write(true).open(&path)?;
    let mut open = OpenSegment::over(file, path, number, end.length, clock);
    open.append(&lines)?;
    open.sync(clock.boot())?;
    tracing::warn!(
        cut_bytes,
        "The decision log was not closed when its server ended: what was decided in its last moments \
         may be missing, and a gap record in segment {number} says so"
    );
    Ok(Place { chain: chained.chain, ..end.place })
}

/// Copies what stands after a place in a file into a file beside it; returns how much that is.
fn put_aside(path: &Path, from: u64) -> io::Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    if rest.is_empty() {
        return Ok(0);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".torn");
    let mut beside =
        File::options().append(true).create(true).mode(0o600).open(PathBuf::from(name))?;
    beside.write_all(&rest)?;
    beside.sync_all()?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))?;
    Ok(u64::try_from(rest.len()).unwrap_or(u64::MAX))
}
