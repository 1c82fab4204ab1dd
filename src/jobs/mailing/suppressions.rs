//! Who must not be written to: addresses that bounce, and people who unsubscribed.
//!
//! A file has an address or a customer id a line; what has an `@` is an address, in any case of letters, and may be
//! an id as well. An address that bounces gets nothing; who unsubscribed gets service messages.
//!
//! Invariant: a line that cannot keep anybody from it is refused: it was meant to.

use crate::domain::CustomerId;
use crate::jobs::error::JobError;
use crate::jobs::mailing::audience::same_form;
use crate::jobs::mailing::plan::{Kind, sha256};
use lettre::Address;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Who is kept from a mailing.
#[derive(Default)]
pub struct Suppressions {
    bounced: HashSet<Box<str>>,
    unsubscribed: HashSet<Box<str>>,
    /// The files, each with its hash and how many it names.
    pub files: Vec<(PathBuf, String, usize)>,
}

impl Suppressions {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or has a line that is neither an address nor an id.
    pub fn read(bounced: &[PathBuf], unsubscribed: &[PathBuf]) -> Result<Self, JobError> {
        let mut all = Self::default();
        for path in bounced {
            let (named, facts) = read(path)?;
            all.bounced.extend(named);
            all.files.push(facts);
        }
        for path in unsubscribed {
            let (named, facts) = read(path)?;
            all.unsubscribed.extend(named);
            all.files.push(facts);
        }
        Ok(all)
    }

    /// Why somebody is not written to; `None` for who may be.
    pub(super) fn reason(&self, address: &str, id: &str, kind: Kind) -> Option<&'static str> {
        let names = |set: &HashSet<Box<str>>| set.contains(address) || set.contains(id);
        match kind {
            _ if names(&self.bounced) => Some("BOUNCED"),
            Kind::Offer if names(&self.unsubscribed) => Some("UNSUBSCRIBED"),
            Kind::Offer | Kind::Notify => None,
        }
    }
}

/// Addresses and ids of one file, and its path, hash and length.
type Named = (Vec<Box<str>>, (PathBuf, String, usize));

fn read(path: &Path) -> Result<Named, JobError> {
    let bytes = std::fs::read(path).map_err(|error| JobError::io("reading", path, error))?;
    let wrong = |place: String, what: &str| JobError::Input { place, what: what.to_owned() };
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| wrong(path.display().to_string(), "is not UTF-8"))?;
    let (mut named, mut count) = (Vec::new(), 0);
    for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = || format!("{}:{number}", path.display());
        if line.contains('@') {
            if line.parse::<Address>().is_err() {
                return Err(wrong(place(), "is no address alone, so nobody would be kept from it"));
            }
            named.push(same_form(line).into());
        } else if !is_id(line) {
            return Err(wrong(place(), "is neither an address nor an id alone"));
        }
        // An id may look like an address, and is compared letter by letter.
        named.push(line.into());
        count += 1;
    }
    Ok((named, (path.to_owned(), sha256(&bytes), count)))
}

/// Whether a line is one customer's id, and not what a table or a list makes of it.
fn is_id(line: &str) -> bool {
    let of_a_list = |character: char| {
        character.is_whitespace() || [',', ';', '"', '\'', '<', '>'].contains(&character)
    };
    CustomerId::allows(line) && !line.contains(of_a_list)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Suppressions, String> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("left");
        std::fs::write(&path, text).unwrap();
        Suppressions::read(&[], &[path]).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_are_found_however_they_are_spelled_and_ids_as_they_are() {
        let text = "\u{feff}# who left\n\nAnn@X.example\nb@xn--bcher-kva.example\nc-1\nBob@Crm\n";
        let left = read_text(text).unwrap();
        assert_eq!(left.files.iter().map(|(.., many)| *many).sum::<usize>(), 4);
        for (address, id, is_kept) in [
            ("ann@x.EXAMPLE", "c-9", true),
            ("b@BÜCHER.example", "c-9", true),
            ("other@x.example", "c-1", true),
            ("other@x.example", "Bob@Crm", true),
            ("other@x.example", "C-1", false),
        ] {
            let reason = left.reason(&same_form(address), id, Kind::Offer);
            assert_eq!(reason.is_some(), is_kept, "{address} {id}");
        }
    }

    #[test]
    fn a_line_that_would_keep_nobody_from_it_is_refused() {
        for line in [
            "ann@x.example,2026-01-01",
            "\"ann@x.example\"",
            "Ann <ann@x.example>",
            "ann@x.example; bob@x.example",
            "ann@",
            "c-1,2026-01-01",
            "\"c-1\"",
            "c-1 c-2",
        ] {
            let told = read_text(&format!("bob@x.example\n{line}\n")).err().unwrap_or_default();
            assert!(told.contains("left:2"), "{line}: {told}");
        }
    }
}
