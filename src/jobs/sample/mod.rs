//! `batch sample`: an audience like a bank's, of people who do not exist.
//!
//! `person` makes a row from a seed and its number, by what `draw` draws, what `flaws` spoils and the lists in
//! `words`; `column` and `encode` write it; `counts` tells what was written.
//!
//! Invariants: the same seed, day and columns give the same bytes on any machine, however many threads make
//! them; a longer file begins as a shorter one does. No address can belong to anybody.

mod column;
mod counts;
mod draw;
mod encode;
mod flaws;
mod person;
mod words;

pub use counts::SampleSummary;

use super::error::JobError;
use super::format::Format;
#[cfg(feature = "parquet")]
use super::parquet_write::File as ParquetFile;
use super::target::Target;
use super::turns::in_turn;
use crate::domain::Date;
use column::Column;
use encode::{Body, Encoder};
use flaws::Said;
use jiff::tz::TimeZone;
use person::People;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Rows that one thread makes at a time.
const TEXT_ROWS: u64 = 8_192;

/// Rows of a row group of Parquet.
const GROUP_ROWS: u64 = 1 << 17;

/// What a person asked for.
#[derive(Debug)]
pub struct Sample {
    /// How many rows.
    pub customers: u64,
    /// What they follow from.
    pub seed: u64,
    /// The day that the file is of: ages and holdings are as on this day.
    pub day: Date,
    /// The columns, by name; all of them if none is named.
    pub columns: Vec<String>,
    /// Where the rows go, and in which form.
    pub output: (PathBuf, Format),
    /// Where the addresses go that want no marketing, one a line.
    pub unsubscribed: Option<PathBuf>,
    /// How many threads make rows.
    pub threads: usize,
}

/// Rows that are made.
struct Part {
    body: Body,
    unsubscribed: Vec<u8>,
    counts: SampleSummary,
}

/// How often what is missing, malformed or doubled, for people.
#[must_use]
pub fn rates() -> String {
    use flaws::rate as r;
    format!(
        "In 100,000 rows: id missing in {} and malformed in {} (those are rejected); country {}/{}, segment \
         {}/{}, date_of_birth {}/{}, holdings.kis.status {}/{}, email {}/{}; missing only: relationship {}, \
         us_person {}, vulnerable {}, online_banking {}. The same person stands twice about {} times; a quarter \
         of those who live with another customer share that one's address; {} want no marketing.",
        r::NO_ID,
        r::BAD_ID,
        r::NO_COUNTRY,
        r::BAD_COUNTRY,
        r::NO_SEGMENT,
        r::BAD_SEGMENT,
        r::NO_BIRTH,
        r::BAD_BIRTH,
        r::NO_STATUS,
        r::BAD_STATUS,
        r::NO_EMAIL,
        r::BAD_EMAIL,
        r::NO_RELATIONSHIP,
        r::NO_US_PERSON,
        r::NO_VULNERABLE,
        r::NO_BANKING,
        r::TWICE * 21 / 100,
        r::UNSUBSCRIBED,
    )
}

/// Where made rows are written.
enum Output {
    Text(Target),
    #[cfg(feature = "parquet")]
    Parquet(Box<ParquetFile>),
}

/// Writes a sample.
///
/// # Errors
/// For a column that there is not, and when the system refuses.
pub fn run(sample: &Sample) -> Result<SampleSummary, JobError> {
    let columns = columns(&sample.columns)?;
    let midnight = sample.day.to_zoned_datetime(TimeZone::UTC);
    let midnight = midnight.map_err(|_| usage(format!("no day {}", sample.day)))?;
    let people =
        People { seed: sample.seed, day: sample.day, midnight: midnight.timestamp().as_second() };
    let (path, format) = &sample.output;
    let mut unsubscribed = sample.unsubscribed.as_deref().map(Target::create).transpose()?;
    let target = Target::create(path)?;
    let (mut output, encoder) = begin(target, *format, &columns, path)?;
    let mut summary = SampleSummary {
        seed: sample.seed,
        day: sample.day.to_string(),
        ..SampleSummary::default()
    };
    let rows = if *format == Format::Parquet { GROUP_ROWS } else { TEXT_ROWS };
    let (people, columns, encoder) = (&people, &columns[..], &encoder);
    in_turn(
        sample.threads,
        |feed| {
            let mut first = 0;
            while first < sample.customers {
                let next = sample.customers.min(first + rows);
                if !feed(first..next) {
                    break;
                }
                first = next;
            }
            Ok(())
        },
        || move |numbers| make(people, columns, encoder, numbers),
        |part: Part| {
            output.write(part.body, path)?;
            if let Some(target) = &mut unsubscribed {
                let written = target.write_all(&part.unsubscribed);
                written.map_err(|error| target.error(error))?;
            }
            summary.add(&part.counts);
            Ok(true)
        },
    )?;
    if let Some(target) = unsubscribed {
        target.finish()?;
    }
    output.finish(path)?;
    Ok(summary)
}

/// Makes some rows.
fn make(people: &People, columns: &[Column], encoder: &Encoder, numbers: Range<u64>) -> Part {
    let mut counts = SampleSummary::default();
    let mut unsubscribed = Vec::new();
    let mut rows = encoder.rows(columns);
    for number in numbers {
        let person = people.row(number);
        counts.count(&person, columns);
        if let Said::Value(address) = &person.email
            && person.is_listed()
        {
            unsubscribed.extend_from_slice(address.as_bytes());
            unsubscribed.push(b'\n');
        }
        rows.add(&person, columns);
    }
    Part { body: rows.finish(encoder), unsubscribed, counts }
}

fn begin(
    mut target: Target,
    format: Format,
    columns: &[Column],
    path: &Path,
) -> Result<(Output, Encoder), JobError> {
    let encoder = match format {
        Format::Csv => Encoder::Csv,
        Format::Jsonl => Encoder::Json,
        #[cfg(feature = "parquet")]
        Format::Parquet => {
            let schema = encode::schema(columns);
            let file = ParquetFile::begin(target, &schema, path)?;
            let groups = file.encoder();
            return Ok((Output::Parquet(Box::new(file)), Encoder::Parquet(groups)));
        }
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => return Err(usage("built without Parquet".to_owned())),
    };
    if format == Format::Csv {
        let names: Vec<_> = columns.iter().map(|column| column.name()).collect();
        let written = writeln!(target, "{}", names.join(","));
        written.map_err(|error| target.error(error))?;
    }
    let _ = path;
    Ok((Output::Text(target), encoder))
}

/// The columns of these names, in the order of the file.
fn columns(names: &[String]) -> Result<Vec<Column>, JobError> {
    let is_named = |name: &str| names.is_empty() || names.iter().any(|named| named == name);
    let unknown = names.iter().find(|name| !Column::ALL.iter().any(|it| it.name() == **name));
    match unknown {
        Some(unknown) => {
            let all: Vec<_> = Column::ALL.iter().map(|column| column.name()).collect();
            Err(usage(format!("`{unknown}` is none of the columns {}", all.join(", "))))
        }
        None => Ok(Column::ALL.into_iter().filter(|column| is_named(column.name())).collect()),
    }
}

fn usage(what: String) -> JobError {
    JobError::Usage(what)
}

impl Output {
    #[cfg_attr(not(feature = "parquet"), expect(unused_variables, reason = "for its errors"))]
    fn write(&mut self, body: Body, path: &Path) -> Result<(), JobError> {
        match (self, body) {
            (Self::Text(target), Body::Text(bytes)) => {
                target.write_all(&bytes).map_err(|error| target.error(error))
            }
            #[cfg(feature = "parquet")]
            (Self::Parquet(file), Body::Group(group)) => file.append(group, path),
            #[cfg(feature = "parquet")]
            _ => Err(usage("rows of another form".to_owned())),
        }
    }

    #[cfg_attr(not(feature = "parquet"), expect(unused_variables, reason = "for its errors"))]
    fn finish(self, path: &Path) -> Result<(), JobError> {
        match self {
            Self::Text(target) => target.finish(),
            #[cfg(feature = "parquet")]
            Self::Parquet(file) => file.finish(path),
        }
    }
}
