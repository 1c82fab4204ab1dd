//! The key that recipients are named under: a file beside the ledger, or beside whoever sends.
//!
//! A name is the first half of HMAC-SHA-256 over what it names. Whoever destroys the key has erased who the
//! recipients were: what is left is how many of each block ended how.
//!
//! Invariant: the key shows in no `Debug` and in no error.

use super::Tag;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The block of SHA-256, which HMAC pads its key to.
const BLOCK: usize = 64;

/// What is written over a key before its file goes.
const DESTROYED: u8 = b'-';

/// Marks what a key makes of a ledger's id, beside what it makes of recipients.
const LEDGER: u8 = 255;

/// The key, ready to name.
#[derive(Clone)]
pub struct LedgerKey {
    // After the padded key: each name goes on from here.
    inner: Sha256,
    outer: Sha256,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is gone: nobody can tell any more who the recipients were.
    #[error("{} is gone: who the recipients were cannot be told, and nobody can be written to", .0.display())]
    Destroyed(PathBuf),
    /// Somebody has begun to destroy it, and died over it.
    #[error("{} is half destroyed: nobody can be written to, and `batch erase` finishes it", .0.display())]
    HalfDestroyed(PathBuf),
    /// It is not 64 hexadecimal digits.
    #[error("{} holds no key of 64 hexadecimal digits", .0.display())]
    Malformed(PathBuf),
    /// It is the key of another ledger.
    #[error("{} is the key of another ledger: everybody would be written to again", .0.display())]
    Other(PathBuf),
    /// The system refuses.
    #[error("the key {} cannot be used", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Debug for LedgerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LedgerKey(..)")
    }
}

impl LedgerKey {
    /// Where the key of a ledger in a file is.
    #[must_use]
    pub fn path_of(ledger: &Path) -> PathBuf {
        let mut path = ledger.to_owned().into_os_string();
        path.push(".key");
        path.into()
    }

    /// A key of these bytes.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        let padded = |with: u8| {
            let mut block = [with; BLOCK];
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            Sha256::new().chain_update(block)
        };
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }

    /// The key of a ledger that is about to be made. A key without a ledger has named nobody: whoever made it died
    /// right after, and it is taken. So is the place of an empty one, whose maker died even before.
    ///
    /// # Errors
    /// When the system refuses, or something else is there.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyError> {
        let is_empty = || fs::metadata(path).is_ok_and(|it| it.is_file() && it.len() == 0);
        match Self::open(path) {
            Err(KeyError::Destroyed(_)) => Self::create(path),
            Err(KeyError::Malformed(_)) if is_empty() => {
                fs::remove_file(path)
                    .map_err(|source| KeyError::Io { path: path.to_owned(), source })?;
                Self::create(path)
            }
            opened => opened,
        }
    }

    /// Makes a key for a new ledger. It is on disk when this returns, and for its owner alone.
    ///
    /// # Errors
    /// When there is one already, or the system refuses.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        let mut key = [0; 32];
        rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| io(error.into()))?;
        let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file: File = file.map_err(io)?;
        writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(io)?;
        sync_folder(path).map_err(io)?;
        Ok(Self::new(&key))
    }

    /// The key of a ledger that is there.
    ///
    /// # Errors
    /// When it was destroyed, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::Destroyed(path.to_owned()));
            }
            Err(source) => return Err(KeyError::Io { path: path.to_owned(), source }),
        };
        let mut key = [0; 32];
        let text = text.trim();
        let digits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        // Zeros are what earlier versions wrote over a key that they were destroying.
        let is_of = |only: u8| text.len() == 64 && text.bytes().all(|byte| byte == only);
        if is_of(DESTROYED) || is_of(b'0') {
            return Err(KeyError::HalfDestroyed(path.to_owned()));
        }
        for (byte, place) in key.iter_mut().zip((0..64).step_by(2)) {
            let read = text.get(place..place + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
            match read {
                Some(value) if digits => *byte = value,
                _ => return Err(KeyError::Malformed(path.to_owned())),
            }
        }
        Ok(Self::new(&key))
    }

    /// Destroys the key of a ledger. False if it was gone already.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn destroy(path: &Path) -> Result<bool, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        // The bytes are written over first, by what is no key: whoever dies before the file is gone must not leave
        // one that gives everybody another name. Where a file system keeps old blocks, this is no proof.
        match OpenOptions::new().write(true).open(path) {
            Ok(mut file) => {
                file.write_all(&[DESTROYED; 64]).and_then(|()| file.sync_all()).map_err(io)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io(error)),
        }
        fs::remove_file(path).map_err(io)?;
        sync_folder(path).map_err(io)?;
        Ok(true)
    }

    /// What this key makes of a ledger's id: kept in the ledger, it tells this key from all others.
    pub(super) fn proof(&self, id: &str) -> String {
        self.name(LEDGER, &[id.as_bytes()]).to_string()
    }

    /// The name of something: what kind of thing it is, and its parts. Parts cannot run into each other.
    #[must_use]
    pub fn name(&self, kind: u8, parts: &[&[u8]]) -> Tag {
        let mut inner = self.inner.clone();
        inner.update([kind]);
        for part in parts {
            inner.update((part.len() as u64).to_be_bytes());
            inner.update(part);
        }
        let hash: [u8; 32] = self.outer.clone().chain_update(inner.finalize()).finalize().into();
        let mut tag = [0; 16];
        tag.iter_mut().zip(hash).for_each(|(byte, from)| *byte = from);
        Tag(tag)
    }
}

/// Has it on disk that a file is there, or gone.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|it| it.sync_all())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn names_differ_by_key_kind_and_parts_and_are_the_same_after_reading_the_key_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.db.key");
        let key = LedgerKey::create(&path).unwrap();
        let name = key.name(1, &[b"a", b"bc"]);
        assert_eq!(LedgerKey::open(&path).unwrap().name(1, &[b"a", b"bc"]), name);
        for other in [key.name(1, &[b"ab", b"c"]), key.name(2, &[b"a", b"bc"])] {
            assert_ne!(other, name);
        }
        assert_ne!(LedgerKey::new(&[7; 32]).name(1, &[b"a", b"bc"]), name);
        assert!(LedgerKey::create(&path).is_err(), "a key is never replaced");
        assert!(LedgerKey::destroy(&path).unwrap());
        assert!(!LedgerKey::destroy(&path).unwrap());
        assert!(matches!(LedgerKey::open(&path), Err(KeyError::Destroyed(_))));
    }

    #[test]
    fn a_key_whose_maker_died_is_taken_or_made_anew_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.db.key");
        fs::write(&path, "").unwrap();
        let key = LedgerKey::open_or_create(&path).unwrap();
        let name = |key: &LedgerKey| key.name(1, &[b"a"]);
        assert_eq!(name(&LedgerKey::open_or_create(&path).unwrap()), name(&key));
        fs::write(&path, "something else\n").unwrap();
        assert!(matches!(LedgerKey::open_or_create(&path), Err(KeyError::Malformed(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "something else\n");
    }

    #[test]
    fn a_key_that_was_half_destroyed_is_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let (path, kept) = (folder.path().join("l.db.key"), folder.path().join("kept"));
        LedgerKey::create(&path).unwrap();
        // What is in the file right before its name is gone.
        fs::hard_link(&path, &kept).unwrap();
        LedgerKey::destroy(&path).unwrap();
        assert!(matches!(LedgerKey::open(&kept), Err(KeyError::HalfDestroyed(_))));
        fs::write(&kept, format!("{}\n", "0".repeat(64))).unwrap();
        assert!(matches!(LedgerKey::open(&kept), Err(KeyError::HalfDestroyed(_))));
        assert!(LedgerKey::destroy(&kept).unwrap(), "it can be finished");
    }
}
