//! The audience: who a file names, in the order of its rows.
//!
//! Rows become recipients on a thread of their own, which is ahead of the sending by a few chunks. A row that
//! cannot be read is a recipient, too: one that is not written to.
//!
//! Invariant: the same file and key give the same recipients, at the same places. An audience is used only
//! if it is the very file that was signed.

use crate::jobs::csv_blocks::{Record, Records};
use crate::jobs::error::JobError;
use crate::jobs::format::Format;
use crate::jobs::input::{Chunk, Counters, Input, Rows, Size};
use crate::jobs::json::Members;
use crate::jobs::mailing::plan::{Audience, Once, Plan};
use crate::jobs::mailing::template::is;
use crate::jobs::mapping::Mapping;
use crate::jobs::question::row;
use crate::jobs::row::{Cell, Row};
use crate::ledger::{LedgerKey, PROOFS, Place, Tag};
use lettre::Address;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// How many rows of the audience are a block of the ledger.
pub(super) const BLOCK: u64 = 4096;

/// What the key names, so that no two things have one name.
const RECIPIENT: u8 = 1;
const PERSON: u8 = 2;
const PROOF: u8 = 3;
const HOUSEHOLD: u8 = 4;

/// A file of customers, and how it is read.
#[derive(Debug)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Its form.
    pub format: Format,
    /// Which column is which field.
    pub mapping: Mapping,
    /// What the file was like when it was hashed.
    frozen: Option<Likeness>,
}

/// What a file is known by without reading it. Whoever writes to it changes one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Likeness {
    inode: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Likeness {
    fn of(path: &Path) -> Result<Self, JobError> {
        let it = std::fs::metadata(path).map_err(|error| JobError::io("reading", path, error))?;
        Ok(Self {
            inode: (it.dev(), it.ino()),
            bytes: it.len(),
            modified: (it.mtime(), it.mtime_nsec()),
            changed: (it.ctime(), it.ctime_nsec()),
        })
    }
}

/// One row's values, by the names of their columns.
#[derive(Debug)]
pub(super) struct Values {
    names: Names,
    cells: Vec<Cell<'static>>,
}

#[derive(Debug)]
enum Names {
    Table(Arc<[String]>),
    Own(Vec<String>),
}

/// Somebody to write to, or not.
#[derive(Debug)]
pub(super) struct Recipient {
    pub(super) place: Place,
    /// Line of the file, or row of Parquet.
    pub(super) line: u64,
    /// The customer's id; empty where the row has none.
    pub(super) id: String,
    /// The address, in the form that duplicates and suppressions are found by.
    pub(super) address: String,
    /// Where mail goes.
    pub(super) to: Result<Address, &'static str>,
    /// What nobody else of this mailing may have, once it was handed over.
    pub(super) claim: Option<Tag>,
    /// What the row says; else why it cannot be read.
    pub(super) values: Result<Values, String>,
    /// How often it was refused for now.
    pub(super) attempts: u32,
}

impl Values {
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, &Cell<'static>)> {
        let names: &[String] = match &self.names {
            Names::Table(names) => names,
            Names::Own(names) => names,
        };
        names.iter().map(String::as_str).zip(&self.cells)
    }

    /// A column's value, by its name or a template's.
    pub(super) fn get(&self, name: &str) -> Option<&Cell<'static>> {
        let exact = self.named().find(|(column, _)| *column == name);
        exact.or_else(|| self.named().find(|(column, _)| is(column, name))).map(|(_, cell)| cell)
    }

    /// The row as a request's customer.
    pub(super) fn row<'r>(
        &'r self,
        mapping: &'r Mapping,
        constants: &'r [(&'r str, Cell<'r>)],
    ) -> Result<Row<'r>, String> {
        row(self.named().filter_map(|(name, cell)| Some((mapping.name(name)?, cell))), constants)
    }

    /// A column as a template has it. What is not said is empty.
    pub(super) fn value(&self, name: &str) -> Option<minijinja::Value> {
        Some(match self.get(name)? {
            Cell::Absent | Cell::Null => "".into(),
            Cell::Bool(value) => (*value).into(),
            Cell::Plain(text) | Cell::Text(text) | Cell::Other(text) | Cell::Number(_, text) => {
                text.as_ref().into()
            }
        })
    }
}

impl Recipient {
    /// The domain of the address.
    pub(super) fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    pub(super) fn is_proof(&self) -> bool {
        self.place.block == PROOFS
    }
}

impl Source {
    /// A file that nobody has read yet.
    #[must_use]
    pub fn new(path: PathBuf, format: Format, mapping: Mapping) -> Self {
        Self { path, format, mapping, frozen: None }
    }

    /// The columns of the file; of JSON lines those of the first row.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn columns(&self) -> Result<Vec<String>, JobError> {
        let columns =
            Input::open(&self.path, self.format, true, Size::OF_TEXT, &Arc::default())?.columns;
        self.mapping.check_fields(&columns)?;
        Ok(columns)
    }

    /// Hash, length and rows of the file, after reading all of it. It may not change from then on.
    ///
    /// # Errors
    /// When it cannot be read, or changes meanwhile.
    pub fn freeze(&mut self, counters: &Arc<Counters>) -> Result<Audience, JobError> {
        if crate::jobs::format::is_standard(&self.path) {
            return Err(JobError::Usage("an audience is a file, which is read again".to_owned()));
        }
        self.frozen = Some(Likeness::of(&self.path)?);
        let mut input = Input::open(&self.path, self.format, false, Size::OF_TEXT, counters)?;
        while input.next()?.is_some() {}
        let facts = input.facts()?;
        self.is_as_frozen()?;
        Ok(Audience { sha256: facts.sha256, bytes: facts.bytes, rows: facts.rows })
    }

    /// Refuses to go on with a file that is not as it was when it was hashed.
    fn is_as_frozen(&self) -> Result<(), JobError> {
        match self.frozen {
            Some(frozen) if Likeness::of(&self.path)? != frozen => Err(JobError::Changed(format!(
                "{} changed after it was compared with what was signed: nobody else in it is written to",
                self.path.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Reads recipients into a channel, some rows at a time, until all are read or nobody wants more. Tells
    /// what was read, which must be what was signed.
    pub(super) fn read(
        &self,
        naming: &Naming<'_>,
        to: &SyncSender<Vec<Recipient>>,
    ) -> Result<Option<Audience>, JobError> {
        let mut input =
            Input::open(&self.path, self.format, false, Size::OF_TEXT, &Arc::default())?;
        let columns: Arc<[String]> = input.columns.clone().into();
        while let Some(chunk) = input.next()? {
            // After it was read: what comes later changes nothing of it.
            self.is_as_frozen()?;
            if to.send(naming.recipients(chunk, &columns)).is_err() {
                return Ok(None);
            }
        }
        let facts = input.facts()?;
        Ok(Some(Audience { sha256: facts.sha256, bytes: facts.bytes, rows: facts.rows }))
    }
}

/// How rows get their names and places.
pub(super) struct Naming<'n> {
    pub(super) key: &'n LedgerKey,
    pub(super) plan: &'n Plan,
    pub(super) mapping: &'n Mapping,
    /// For proofs, which are no customers.
    pub(super) is_proof: bool,
}

impl Naming<'_> {
    fn recipients(&self, chunk: Chunk, columns: &Arc<[String]>) -> Vec<Recipient> {
        let first = chunk.first;
        let table =
            |cells: Vec<Cell<'static>>| Values { names: Names::Table(Arc::clone(columns)), cells };
        let owned = |cells: Vec<Cell<'_>>| cells.into_iter().map(Cell::into_owned).collect();
        let rows: Vec<(u64, Result<Values, String>)> = match &chunk.rows {
            Rows::Csv(block) => {
                let (mut rows, mut records) = (Vec::new(), Records::of(block));
                while let Some((line, record)) = records.next() {
                    rows.push((line, cells(&record, columns).map(|cells| table(owned(cells)))));
                }
                rows
            }
            Rows::Json(rows) => {
                let read = |text: &Option<Vec<u8>>| {
                    let text = text.as_ref().ok_or_else(|| "is longer than 1 MiB".to_owned())?;
                    let (names, cells) =
                        Members::read(text)?.flat()?.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
                    Ok(Values { names: Names::Own(names), cells: owned(cells) })
                };
                rows.iter().map(|(line, text)| (*line, read(text))).collect()
            }
            #[cfg(feature = "parquet")]
            Rows::Parquet(batch) => {
                let read = |place: usize| {
                    let arrays = batch.columns().iter();
                    let cell = |array: &arrow_array::ArrayRef| {
                        crate::jobs::parquet::cell(array.as_ref(), place).into_owned()
                    };
                    Ok(table(arrays.map(cell).collect()))
                };
                (0..batch.num_rows()).map(|at| (first + at as u64 + 1, read(at))).collect()
            }
        };
        let named = rows.into_iter().zip(first..);
        named.map(|((line, values), position)| self.recipient(position, line, values)).collect()
    }

    fn recipient(&self, position: u64, line: u64, values: Result<Values, String>) -> Recipient {
        let text = |name: &str| {
            let values = values.as_ref().ok()?;
            values.get(name)?.text().map(str::trim).filter(|text| !text.is_empty())
        };
        let id = values.as_ref().ok().and_then(|values| {
            let mut named = values.named();
            let is_id = |name: &str| self.mapping.name(name).is_some_and(|name| is(name, "id"));
            named.find(|(name, _)| is_id(name)).and_then(|(_, cell)| cell.text())
        });
        let id = id.unwrap_or_default().to_owned();
        let written = text(&self.plan.address_column);
        let to = match written {
            None => Err("ADDRESS_MISSING"),
            Some(address) => address.parse::<Address>().map_err(|_| "ADDRESS_INVALID"),
        };
        let spelled = written.unwrap_or_default().to_lowercase();
        let address = same_form(&spelled);
        let (kind, claimed) = match self.plan.once_per {
            _ if self.is_proof => (PERSON, ""),
            Once::Address => (PERSON, address.as_str()),
            Once::Person => (PERSON, id.as_str()),
            Once::Household => match self.plan.household_column.as_deref().and_then(text) {
                Some(household) => (HOUSEHOLD, household),
                // Who is in no household is one of their own.
                None => (PERSON, id.as_str()),
            },
        };
        let claim = (!claimed.is_empty()).then(|| self.key.name(kind, &[claimed.as_bytes()]));
        let block = match self.is_proof {
            true => PROOFS,
            false => i64::try_from(position / BLOCK).unwrap_or(i64::MAX),
        };
        let parts: [&[u8]; 3] = [&position.to_be_bytes(), id.as_bytes(), spelled.as_bytes()];
        let kind = if self.is_proof { PROOF } else { RECIPIENT };
        let place = Place { block, tag: self.key.name(kind, &parts) };
        Recipient { place, line, id, address, to, claim, values, attempts: 0 }
    }
}

/// An address in the form that duplicates and suppressions are found by: in small letters, its domain as DNS has it.
pub(super) fn same_form(address: &str) -> String {
    let address = address.to_lowercase();
    match address.rsplit_once('@') {
        Some((user, domain)) if !domain.is_ascii() => match idna::domain_to_ascii(domain) {
            Ok(domain) => format!("{user}@{domain}"),
            Err(_) => address,
        },
        _ => address,
    }
}

/// The cells of a row of CSV.
fn cells<'r>(record: &Record<'r>, columns: &[String]) -> Result<Vec<Cell<'r>>, String> {
    if record.len() != columns.len() {
        return Err(format!("has {} fields, and the header {}", record.len(), columns.len()));
    }
    let cells = columns.iter().enumerate().map(|(place, column)| {
        match std::str::from_utf8(record.field(place)) {
            Ok("") => Ok(Cell::Absent),
            Ok(text) => Ok(Cell::Plain(text.into())),
            Err(_) => Err(format!("`{column}` is not UTF-8")),
        }
    });
    cells.collect()
}

/// Whether a file has a column; the columns otherwise.
pub(super) fn has_column(path: &Path, columns: &[String], name: &str) -> Result<(), JobError> {
    if columns.iter().any(|column| is(column, name)) {
        return Ok(());
    }
    Err(JobError::Usage(format!(
        "{} has no column `{name}`; it has {}",
        path.display(),
        columns.join(", ")
    )))
}
