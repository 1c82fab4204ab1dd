//! Remembers, in a small file beside the store's, that others may act by its rules on permits, and for how long
//! at most: `PATH.permits`, a number of milliseconds. It is there from before the first permit is given until
//! nobody can hold one any more, so that a run after a crash knows what it has to wait for.
//!
//! Invariant: the file is on disk, whole, before anybody is given a permit.

use super::file::{beside, folder_of};
use crate::store::StoreError;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SUFFIX: &str = ".permits";

pub(super) async fn note(store: PathBuf, longest: Option<Duration>) -> Result<(), StoreError> {
    const DOING: &str = "noting that permits may be held";
    let written = tokio::task::spawn_blocking(move || match longest {
        Some(longest) => write(&store, longest),
        None => remove(&store),
    });
    let not_written = |source| StoreError::NotWritten { doing: DOING, source };
    written
        .await
        .map_err(|error| not_written(error.into()))?
        .map_err(|error| not_written(error.into()))
}

pub(super) async fn noted(store: PathBuf) -> Result<Option<Duration>, StoreError> {
    let path = beside(&store, SUFFIX);
    let place = format!("`{}`", path.display());
    let read = tokio::task::spawn_blocking(move || fs::read_to_string(path));
    let doing = "looking whether permits may be held";
    let unavailable = |source| StoreError::Unavailable { doing, source };
    match read.await.map_err(|error| unavailable(error.into()))? {
        Ok(text) => match text.trim().parse() {
            Ok(millis) => Ok(Some(Duration::from_millis(millis))),
            Err(error) => Err(StoreError::Corrupt { place, source: Box::new(error) }),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unavailable(error.into())),
    }
}

fn write(store: &Path, longest: Duration) -> io::Result<()> {
    let (path, draft) = (beside(store, SUFFIX), beside(store, ".permits.part"));
    let mut file = File::create(&draft)?;
    writeln!(file, "{}", longest.as_millis())?;
    file.sync_all()?;
    fs::rename(&draft, &path)?;
    sync(store)
}

fn remove(store: &Path) -> io::Result<()> {
    match fs::remove_file(beside(store, SUFFIX)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync(store: &Path) -> io::Result<()> {
    File::open(folder_of(store))?.sync_all()
}
