//! The two people of the demonstration, and the file with their tokens: the server makes it, and the
//! command line finds it by itself.
//!
//! Invariants: the tokens are random, made at the first start of a demonstration, and readable by nobody but
//! its owner; they are sent to servers on this machine alone.

use super::audit::create_folder;
use super::exit::{Exit, Failure};
use crate::config::{self, Settings, StoreLocation};
use crate::domain::{Principal, PrincipalId, PrincipalKind, Role, Roles};
use rustix::rand::{GetRandomFlags, getrandom};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who vouches for them.
const ISSUER: &str = "demo";

/// The people, and what each may do.
const PEOPLE: [(&str, &[Role]); 2] = [
    (
        "ann",
        &[
            Role::Reader,
            Role::Caller,
            Role::Maker,
            Role::Checker,
            Role::BreakGlass,
            Role::Auditor,
            Role::Operator,
        ],
    ),
    (
        "ben",
        &[Role::Reader, Role::Caller, Role::Maker, Role::Checker, Role::Auditor, Role::Operator],
    ),
];

/// Whom the command line speaks for when nobody says.
pub(super) const USUAL: &str = "ann";

/// Where a server of the demonstration keeps them: where the command line looks, or beside its rules where
/// it does not know such a place.
pub(super) fn file(settings: &Settings) -> Result<PathBuf, Failure> {
    match (config::demo_people(), &settings.store) {
        (Ok(path), _) => Ok(path),
        (Err(_), StoreLocation::Embedded(store)) => Ok(store.with_file_name("people.tokens")),
        (Err(what), StoreLocation::Redis(_)) => Err(Failure::usage(what)),
    }
}

/// The people with their tokens, which are made if there are none.
pub(super) fn of_the_demo(settings: &Settings) -> Result<Vec<(String, Arc<Principal>)>, Failure> {
    let path = file(settings)?;
    if !path.exists() {
        create_folder(&path)?;
        create(&path)?;
    }
    let tokens = read(&path)?;
    PEOPLE
        .iter()
        .map(|(name, roles)| {
            let token = tokens.iter().find(|(known, _)| known == name);
            let (_, token) = token.ok_or_else(|| damaged(&path))?;
            let principal = Principal {
                id: PrincipalId { issuer: ISSUER.into(), subject: (*name).into() },
                name: (*name).into(),
                kind: PrincipalKind::Person,
                owner: None,
                roles: roles.iter().copied().collect::<Roles>(),
                lacks: None,
            };
            Ok((token.clone(), Arc::new(principal)))
        })
        .collect()
}

/// The token of one of them; `None` where no demonstration was ever started.
pub(super) fn token_of(name: &str) -> Result<Option<String>, Failure> {
    let Ok(path) = config::demo_people() else { return Ok(None) };
    if !path.exists() {
        return Ok(None);
    }
    let tokens = read(&path)?;
    let found = tokens.into_iter().find(|(known, _)| known == name);
    found.map(|(_, token)| Some(token)).ok_or_else(|| {
        let names = PEOPLE.map(|(name, _)| name).join(" and ");
        Failure::usage(format_args!("the demonstration has nobody called `{name}`"))
            .help(format_args!("its people are {names}"))
    })
}

/// Notes where the demonstration listens, so that nobody is taken for one of its people elsewhere.
pub(super) fn note_address(settings: &Settings, address: SocketAddr) -> Result<(), Failure> {
    let path = file(settings)?.with_extension("address");
    std::fs::write(&path, format!("{address}\n")).map_err(|error| {
        Failure::new(Exit::Failure, format_args!("`{}` cannot be written", path.display()))
            .because(error)
    })
}

/// Whether the demonstration that was last started here listens on this port.
pub(super) fn listens_on(port: u16) -> bool {
    let Ok(path) = config::demo_people() else { return false };
    let noted = std::fs::read_to_string(path.with_extension("address")).unwrap_or_default();
    noted.trim().parse::<SocketAddr>().is_ok_and(|address| address.port() == port)
}

fn create(path: &Path) -> Result<(), Failure> {
    let mut text = "# The people of the demonstration, and their tokens.\n".to_owned();
    for (name, _) in PEOPLE {
        let mut random = [0; 32];
        match getrandom(&mut random, GetRandomFlags::empty()) {
            Ok(32) => {}
            Ok(_) | Err(_) => {
                return Err(Failure::new(Exit::Failure, "there are no random bytes"));
            }
        }
        let _ = write!(text, "{name} demo-");
        random.iter().for_each(|byte| {
            let _ = write!(text, "{byte:02x}");
        });
        text.push('\n');
    }
    // Whole or not at all: a second server that starts beside this one must not read half of it.
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| match std::fs::hard_link(&new, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    let _ = std::fs::remove_file(&new);
    written.map_err(|error| {
        Failure::new(Exit::Failure, format_args!("`{}` cannot be made", path.display()))
            .because(error)
    })
}

fn read(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let unreadable = |error: io::Error| {
        Failure::new(Exit::Failure, format_args!("`{}` cannot be read", path.display()))
            .because(error)
    };
    let mode = std::fs::metadata(path).map_err(unreadable)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let what = format!("`{}` has mode {mode:04o}: others may use the tokens", path.display());
        return Err(Failure::new(Exit::Failure, what).help("remove it; a new one is made"));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| match line.split_once(' ') {
            Some((name, token)) if !token.is_empty() => Ok((name.to_owned(), token.to_owned())),
            Some(_) | None => Err(damaged(path)),
        })
        .collect()
}

fn damaged(path: &Path) -> Failure {
    Failure::new(Exit::Failure, format_args!("`{}` is no file of people", path.display()))
        .help("remove it; a new one is made when the demonstration is started")
}
