//! A value that is read from files, and read again when they change.
//!
//! Invariant: a version that cannot be used changes nothing: the one that is held stays, and the log says
//! once what is wrong with the new one.

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How soon a change of a file is seen.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// More than any file of certificates, revocations or principals needs.
const MOST_BYTES: u64 = 8 << 20;

/// A file that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Which.
    pub path: PathBuf,
    /// What is wrong with it, and what is allowed; may begin with a line and a column.
    pub what: String,
}

impl Unusable {
    pub(super) fn new(path: &Path, what: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), what: what.to_string() }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap =
            if self.what.starts_with(|first: char| first.is_ascii_digit()) { "" } else { " " };
        write!(f, "{}:{gap}{}", self.path.display(), self.what)
    }
}

impl std::error::Error for Unusable {}

/// A file as it was read.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    /// Who may do what with it.
    pub(super) mode: u32,
    /// Whose it is.
    pub(super) owner: u32,
}

/// Whether somebody else could read or replace a file of this mode and owner. Nobody but its owner may have
/// access; of a file that root owns and we do not, we are told by its group or an access list, which shows as
/// the group: so Kubernetes and systemd hand out secrets, and nobody but root decides who is in there.
#[must_use]
pub fn is_open_to_others(mode: u32, owner: u32) -> bool {
    is_open(mode, owner, rustix::process::geteuid().as_raw())
}

fn is_open(mode: u32, owner: u32, we: u32) -> bool {
    let given_by_root = owner == 0 && we != 0;
    mode & if given_by_root { 0o037 } else { 0o077 } != 0
}

impl Content {
    fn read(path: &Path) -> Result<Self, Unusable> {
        let unreadable = |error: io::Error| Unusable::new(path, error);
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if MOST_BYTES < u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
            return Err(Unusable::new(path, format_args!("has more than {MOST_BYTES} bytes")));
        }
        Ok(Self { path: path.to_owned(), bytes, mode, owner })
    }

    pub(super) fn text(&self) -> Result<&str, Unusable> {
        std::str::from_utf8(&self.bytes).map_err(|_| Unusable::new(&self.path, "is no UTF-8"))
    }
}

type ReadAll<T> = Box<dyn Fn(&[Content]) -> Result<T, Unusable> + Send + Sync>;

/// A value, and the files that it came from.
pub(super) struct Reloaded<T> {
    /// What it is, for the log.
    what: &'static str,
    paths: Vec<PathBuf>,
    read: ReadAll<T>,
    value: ArcSwap<T>,
    /// What was last tried, good or bad, so that the same files are not told of twice.
    tried: Mutex<[u8; 32]>,
}

impl<T> fmt::Debug for Reloaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded").field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl<T: Send + Sync> Reloaded<T> {
    /// A value that no file says anything about.
    pub(super) fn fixed(value: T) -> Self {
        let read: ReadAll<T> = Box::new(|_| Err(Unusable::new(Path::new(""), "is not read")));
        let (what, paths) = ("", Vec::new());
        Self { what, paths, read, value: ArcSwap::from_pointee(value), tried: Mutex::default() }
    }

    /// Reads it for the first time.
    pub(super) fn open(
        what: &'static str,
        paths: Vec<PathBuf>,
        read: impl Fn(&[Content]) -> Result<T, Unusable> + Send + Sync + 'static,
    ) -> Result<Self, Unusable> {
        let contents = read_all(&paths)?;
        let tried = Mutex::new(fingerprint(&Ok(&contents)));
        let value = ArcSwap::from_pointee(read(&contents)?);
        Ok(Self { what, paths, read: Box::new(read), value, tried })
    }

    /// What is held.
    pub(super) fn get(&self) -> arc_swap::Guard<Arc<T>> {
        self.value.load()
    }

    /// Looks at the files, and takes what they say now if that is new and can be used. Whether it was.
    pub(super) fn refresh(&self) -> bool {
        if self.paths.is_empty() {
            return false;
        }
        let contents = read_all(&self.paths);
        let now = fingerprint(&contents.as_ref());
        {
            let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
            if *tried == now {
                return false;
            }
            *tried = now;
        }
        match contents.and_then(|contents| (self.read)(&contents)) {
            Ok(value) => {
                self.value.store(Arc::new(value));
                tracing::info!(what = self.what, "Read {} anew", self.what);
                true
            }
            Err(error) => {
                tracing::error!(
                    what = self.what,
                    error = %error,
                    "The new version of {} cannot be used, and the old one stays",
                    self.what
                );
                false
            }
        }
    }
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<Content>, Unusable> {
    paths.iter().map(|path| Content::read(path)).collect()
}

/// Tells one version of the files from another.
fn fingerprint(contents: &Result<&Vec<Content>, &Unusable>) -> [u8; 32] {
    let mut hash = Sha256::new();
    match contents {
        Ok(contents) => {
            for content in *contents {
                hash.update(u64::try_from(content.bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
                hash.update(content.mode.to_be_bytes());
                hash.update(content.owner.to_be_bytes());
                hash.update(&content.bytes);
            }
        }
        Err(unusable) => hash.update(unusable.to_string()),
    }
    hash.finalize().into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_its_owners_alone_unless_root_hands_it_to_a_group_to_read() {
        const ROOT: u32 = 0;
        const US: u32 = 65_532;
        const SOMEBODY: u32 = 1_000;
        for (mode, owner, we, open, why) in [
            (0o600, US, US, false, "ours alone"),
            (0o400, ROOT, ROOT, false, "root's own"),
            (0o640, US, US, true, "our group could read it"),
            (0o640, ROOT, ROOT, true, "root is no exception to itself"),
            (0o440, ROOT, US, false, "a volume of secrets, or a credential of systemd"),
            (0o640, ROOT, US, false, "the same, which root may write"),
            (0o440, SOMEBODY, US, true, "somebody else's, who decides on the group"),
            (0o460, ROOT, US, true, "the group could replace it"),
            (0o450, ROOT, US, true, "nothing to run"),
            (0o444, ROOT, US, true, "everybody could read it"),
        ] {
            assert_eq!(is_open(mode, owner, we), open, "{mode:o} of {owner}: {why}");
        }
    }

    #[test]
    fn a_new_version_that_cannot_be_used_leaves_the_old_one_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        std::fs::write(&path, "1").unwrap();
        let read = |contents: &[Content]| {
            let content = contents.first().unwrap();
            let number = content.text()?.parse::<u32>();
            number.map_err(|error| Unusable::new(&content.path, error))
        };
        let number = Reloaded::open("the number", vec![path.clone()], read).unwrap();
        for (text, taken, held) in
            [("1", false, 1), ("2", true, 2), ("two", false, 2), ("two", false, 2), ("3", true, 3)]
        {
            std::fs::write(&path, text).unwrap();
            assert_eq!((number.refresh(), **number.get()), (taken, held), "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!((number.refresh(), **number.get()), (false, 3), "gone");
    }
}
