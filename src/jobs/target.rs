//! A file that stands under its name whole, or not at all.
//!
//! It is written without a name where the system can do that, so that it is gone with the process, however
//! that ends; it gets its name when all of it is on disk. Elsewhere, as on a network's file system, it is
//! written under another name in the same folder, and locked: what a dead process left there is removed by
//! the next one that writes the same file, and what a living one holds is left alone.
//!
//! Invariant: until [`Target::finish`] nothing under the name itself is touched.

use super::error::JobError;
use super::format::is_standard;
use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file in the making, or standard output.
pub(super) struct Target {
    to: BufWriter<Box<dyn Write + Send>>,
    path: PathBuf,
    draft: Draft,
    written: u64,
}

/// Where the bytes are until the file is whole.
enum Draft {
    /// On standard output: they have left.
    Gone,
    /// In a file without a name.
    Unnamed(File),
    /// In a file of another name.
    Named(PathBuf, File),
}

impl Target {
    /// Begins a file.
    pub(super) fn create(path: &Path) -> Result<Self, JobError> {
        if is_standard(path) {
            let to = BufWriter::new(Box::new(io::stdout()) as Box<dyn Write + Send>);
            return Ok(Self { to, path: path.to_owned(), draft: Draft::Gone, written: 0 });
        }
        sweep(path);
        let error = |error| JobError::io("writing", path, error);
        let (file, draft) = match unnamed(path) {
            Some(file) => (file.try_clone().map_err(error)?, Draft::Unnamed(file)),
            None => named(path).map_err(error)?,
        };
        let to = BufWriter::with_capacity(1 << 20, Box::new(file) as Box<dyn Write + Send>);
        Ok(Self { to, path: path.to_owned(), draft, written: 0 })
    }

    /// Whether something has left that cannot be taken back.
    pub(super) fn is_out(&self) -> bool {
        matches!(self.draft, Draft::Gone) && self.written != 0
    }

    /// What a file path error is about.
    pub(super) fn error(&self, error: io::Error) -> JobError {
        JobError::io("writing", &self.path, error)
    }

    /// Puts the file under its name, where it then stands whole and on disk.
    pub(super) fn finish(mut self) -> Result<(), JobError> {
        let placed = self.to.flush().and_then(|()| self.place());
        placed.map_err(|error| self.error(error))
    }

    fn place(&mut self) -> io::Result<()> {
        match &self.draft {
            Draft::Gone => return Ok(()),
            Draft::Unnamed(file) => {
                file.sync_all()?;
                if !linked(file, &self.path)? {
                    // Something stands there. A link replaces nothing; a rename does.
                    let other = other_name(&self.path);
                    // Under that name nobody sweeps it away, where files can be locked.
                    let _ = file.try_lock();
                    linked(file, &other)?;
                    let renamed = std::fs::rename(&other, &self.path);
                    renamed.inspect_err(|_| drop(std::fs::remove_file(&other)))?;
                }
            }
            Draft::Named(other, file) => {
                file.sync_all()?;
                std::fs::rename(other, &self.path)?;
            }
        }
        self.draft = Draft::Gone;
        File::open(folder(&self.path))?.sync_all()
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Draft::Named(other, _) = &self.draft {
            let _ = std::fs::remove_file(other);
        }
    }
}

/// Writes a small file in the same way.
///
/// # Errors
/// When the system refuses.
pub fn write_file(path: &Path, text: &str) -> Result<(), JobError> {
    let mut target = Target::create(path)?;
    let written = target.write_all(text.as_bytes());
    written.map_err(|error| target.error(error))?;
    target.finish()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file without a name in the folder of this one, if there can be one.
#[cfg(target_os = "linux")]
fn unnamed(path: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    // Its way to a name leads through there.
    if !Path::new(OWN_FILES).exists() {
        return None;
    }
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    rustix::fs::open(folder(path), flags, Mode::from_raw_mode(0o666)).ok().map(File::from)
}

#[cfg(target_os = "linux")]
const OWN_FILES: &str = "/proc/self/fd";

/// Gives a file without a name this one; tells whether nothing else had it.
#[cfg(target_os = "linux")]
fn linked(file: &File, name: &Path) -> io::Result<bool> {
    use rustix::fs::{AtFlags, CWD};
    use std::os::fd::AsRawFd as _;
    let own = format!("{OWN_FILES}/{}", file.as_raw_fd());
    match rustix::fs::linkat(CWD, own, CWD, name, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
fn linked(_: &File, _: &Path) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A file of another name, which nobody sweeps away while this process lives.
fn named(path: &Path) -> io::Result<(File, Draft)> {
    loop {
        let other = other_name(path);
        let file = File::create_new(&other)?;
        // Where files cannot be locked nobody else gets a lock either, and so sweeps nothing.
        let is_held = !matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        if is_held && other.exists() {
            return Ok((file.try_clone()?, Draft::Named(other, file)));
        }
        // Another process swept it away before it was locked.
    }
}

/// The name of a file in the making: hidden, beside the one that it becomes, and no other's.
fn other_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}{ENDING}", uuid::Uuid::new_v4()))
}

const ENDING: &str = ".part";

/// Removes what processes left of this file that are dead: what is named as one in the making, and locked by
/// nobody. What cannot be removed stays, and harms nothing.
fn sweep(path: &Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Ok(entries) = std::fs::read_dir(folder(path)) else { return };
    for entry in entries.flatten() {
        let found = entry.file_name();
        let middle = found.to_str().and_then(|found| {
            found.strip_prefix('.')?.strip_prefix(name.as_ref())?.strip_prefix('.')
        });
        let id = middle.and_then(|middle| middle.strip_suffix(ENDING));
        if id.is_none_or(|id| uuid::Uuid::try_parse(id).is_err()) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else { continue };
        if file.try_lock().is_ok() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_the_dead_left_is_swept_away_and_what_the_living_hold_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let dead = folder.path().join(format!(".out.csv.{}.part", uuid::Uuid::new_v4()));
        let strange = folder.path().join(".out.csv.mine.part");
        std::fs::write(&dead, "left").unwrap();
        std::fs::write(&strange, "no file of ours").unwrap();
        let (_, held) = named(&path).unwrap();
        let Draft::Named(other, _) = &held else { unreachable!() };
        write_file(&path, "whole").unwrap();
        let other = other.file_name().unwrap().to_str().unwrap().to_owned();
        let mut expected = vec![other, ".out.csv.mine.part".to_owned(), "out.csv".to_owned()];
        expected.sort();
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn a_file_replaces_an_older_one_whichever_way_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        for text in ["first", "second"] {
            write_file(&path, text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let (mut file, draft) = named(&path).unwrap();
        file.write_all(b"third").unwrap();
        let to = BufWriter::new(Box::new(file) as Box<dyn Write + Send>);
        Target { to, path: path.clone(), draft, written: 0 }.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "third");
        assert_eq!(names(folder.path()), ["out.csv"]);
    }

    #[test]
    fn a_file_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let mut target = Target::create(&path).unwrap();
        target.write_all(b"half").unwrap();
        drop(target);
        drop(named(&path).map(|(file, draft)| {
            let to = BufWriter::new(Box::new(file) as Box<dyn Write + Send>);
            Target { to, path: path.clone(), draft, written: 0 }
        }));
        assert_eq!(names(folder.path()), [""; 0]);
    }
}
