//! Files with keys: the private one that a server signs with, and the public one that auditors hold.
//!
//! Invariants: a private key that anybody but its owner could read or replace is refused; one that is
//! there is never written over.

use crate::audit::{AuditKey, KeyName, VerifierKey};
use crate::cli::exit::{Exit, Failure};
use crate::config::{self, Settings, StoreLocation};
use crate::identity::is_open_to_others;
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Longest file of a key that is read.
const LONGEST: u64 = 16 * 1024;

/// The key that a server signs with. The demonstration makes itself one.
pub(in crate::cli) fn key_of(settings: &Settings, demo: bool) -> Result<Option<AuditKey>, Failure> {
    if let Some(path) = &settings.audit_key_file {
        return read(path).map(Some);
    }
    if !demo {
        return Ok(None);
    }
    let path = demo_key(settings)?;
    if !path.exists() {
        create(&path, &random(KeyName::default())?)?;
    }
    read(&path).map(Some)
}

/// Where the demonstration keeps its key: beside its rules.
fn demo_key(settings: &Settings) -> Result<PathBuf, Failure> {
    let beside = match &settings.store {
        StoreLocation::Embedded(path) => path.clone(),
        StoreLocation::Redis(_) => config::default_journal(true).map_err(Failure::usage)?,
    };
    let path = beside.with_file_name("audit.key");
    create_folder(&path)?;
    Ok(path)
}

/// Makes the folder of a file that only its owner may read.
pub(in crate::cli) fn create_folder(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| failed(folder, "cannot be made", error))
}

/// A key that never was before.
pub(super) fn random(name: KeyName) -> Result<AuditKey, Failure> {
    let mut seed = [0; 32];
    match getrandom(&mut seed, GetRandomFlags::empty()) {
        Ok(32) => Ok(AuditKey::from_seed(name, &seed)),
        Ok(_) | Err(_) => Err(Failure::new(Exit::Failure, "there are no random bytes")),
    }
}

/// Writes a private key to a new file, for its owner alone.
pub(super) fn create(path: &Path, key: &AuditKey) -> Result<(), Failure> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(
        |error| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::new(
                Exit::Conflict,
                format_args!("`{}` exists already, and is left as it is", path.display()),
            )
            .help("name another file: what an older key signed is verified with that key"),
            _ => failed(path, "cannot be made", error),
        },
    )?;
    let written = file
        .write_all(key.to_secret_text().as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a key is none, and nobody has seen it yet.
        let _ = std::fs::remove_file(path);
        failed(path, "cannot be written", error)
    })
}

/// Reads a private key, if nobody else can.
pub(super) fn read(path: &Path) -> Result<AuditKey, Failure> {
    AuditKey::parse(&secret_text(path)?).map_err(|error| {
        Failure::new(Exit::Failure, format_args!("`{}` holds no key", path.display()))
            .because(error)
            .help("`offergate audit keygen --key-file FILE` makes one")
    })
}

/// Reads a short file that nobody but its owner has access to.
pub(in crate::cli) fn secret_text(path: &Path) -> Result<String, Failure> {
    let file = File::open(path).map_err(|error| failed(path, "cannot be read", error))?;
    let metadata = file.metadata().map_err(|error| failed(path, "cannot be read", error))?;
    let mode = metadata.mode() & 0o777;
    if !metadata.is_file() {
        return Err(Failure::usage(format_args!("`{}` is no file", path.display())));
    }
    if is_open_to_others(mode, metadata.uid()) {
        let what = format!("`{}` has mode {mode:04o}: others may read the key", path.display());
        return Err(Failure::new(Exit::Failure, what).help(format_args!(
            "chmod 600 {}; if others had access to it, make a new one",
            path.display()
        )));
    }
    let mut text = String::new();
    let read = file.take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| failed(path, "cannot be read", error))?;
    Ok(text)
}

/// Reads a public key: itself, or the name of a file that holds it.
pub(super) fn verifier(given: &str) -> Result<VerifierKey, Failure> {
    let error = match VerifierKey::parse(given) {
        Ok(key) => return Ok(key),
        Err(error) => error,
    };
    let path = Path::new(given);
    if !path.exists() {
        let what = format!("`{given}` is neither a verifier key nor a file");
        return Err(Failure::usage(what).because(error));
    }
    let text = text_of(path)?;
    VerifierKey::parse(&text).map_err(|error| {
        Failure::new(Exit::Failure, format_args!("`{}` holds no verifier key", path.display()))
            .because(error)
    })
}

/// A short file as text.
pub(super) fn text_of(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
        .map_err(|error| failed(path, "cannot be read", error))?;
    Ok(text)
}

pub(super) fn failed(path: &Path, how: &str, error: io::Error) -> Failure {
    Failure::new(Exit::of_cause(&error), format_args!("`{}` {how}", path.display())).because(error)
}
