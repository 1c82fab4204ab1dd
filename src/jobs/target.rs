//! A file that stands under its name whole, or not at all.
//!
//! It is written under another name in the same folder, forced to disk, and renamed. Whatever ends the
//! process before, a kill included, leaves nothing under the name itself; a run that is dropped removes
//! what it wrote.

use super::error::JobError;
use super::format::is_standard;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file in the making, or standard output.
pub(super) struct Target {
    to: BufWriter<Box<dyn Write + Send>>,
    path: PathBuf,
    /// The file under its other name, to force it to disk; nothing for standard output.
    temporary: Option<(PathBuf, File)>,
    written: u64,
}

impl Target {
    /// Begins a file.
    pub(super) fn create(path: &Path) -> Result<Self, JobError> {
        if is_standard(path) {
            let to = BufWriter::new(Box::new(io::stdout()) as Box<dyn Write + Send>);
            return Ok(Self { to, path: path.to_owned(), temporary: None, written: 0 });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let other = path.with_file_name(format!(".{name}.{}.part", uuid::Uuid::new_v4()));
        let error = |error| JobError::io("writing", &other, error);
        let file = File::create_new(&other).map_err(error)?;
        let same = file.try_clone().map_err(error)?;
        let to = BufWriter::with_capacity(1 << 20, Box::new(same) as Box<dyn Write + Send>);
        Ok(Self { to, path: path.to_owned(), temporary: Some((other, file)), written: 0 })
    }

    /// Whether something has left that cannot be taken back.
    pub(super) fn is_out(&self) -> bool {
        self.temporary.is_none() && self.written != 0
    }

    /// What a file path error is about.
    pub(super) fn error(&self, error: io::Error) -> JobError {
        JobError::io("writing", &self.path, error)
    }

    /// Puts the file under its name, where it then stands whole and on disk.
    pub(super) fn finish(mut self) -> Result<(), JobError> {
        let flushed = self.to.flush();
        flushed.map_err(|error| self.error(error))?;
        let Some((other, file)) = self.temporary.take() else { return Ok(()) };
        let placed = file.sync_all().and_then(|()| std::fs::rename(&other, &self.path));
        if placed.is_err() {
            let _ = std::fs::remove_file(&other);
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        placed.and_then(|()| File::open(folder)?.sync_all()).map_err(|error| self.error(error))
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
        if let Some((other, _)) = &self.temporary {
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
