//! Decides the rows of one chunk, each for every offer that was asked for.
//!
//! Pure but for memory: equal chunk and question give equal bytes, whichever thread does it.

use super::encode::{Carried, Text, Verdict};
use super::field::Field;
use super::format::Format;
use super::input::{Chunk, Rows};
use super::json::Members;
use super::mapping::Mapping;
use super::row::{Cell, Row};
use super::shard::Shard;
use super::summary::{OfferCounts, named};
use crate::decision::{Snapshot, decide};
use crate::domain::{Action, Attribute, CheckRequest, Timestamp};
use csv::ByteRecord;

/// What is asked of every row.
pub(super) struct Question<'q> {
    pub(super) snapshot: &'q Snapshot,
    /// The product of each offer; nothing for an offer that the rules do not know.
    pub(super) products: Vec<Option<&'q str>>,
    /// Whether `holding` can only mean one product.
    pub(super) is_of_one_product: bool,
    pub(super) as_of: Timestamp,
    pub(super) as_of_text: String,
    pub(super) action: Action,
    pub(super) offers: &'q [String],
    pub(super) mapping: &'q Mapping,
    pub(super) shard: Shard,
    pub(super) output: Format,
    /// The input's columns.
    pub(super) columns: &'q [String],
    #[cfg(feature = "parquet")]
    pub(super) schema: Option<arrow_schema::SchemaRef>,
}

/// A chunk, decided.
pub(super) struct Part {
    pub(super) body: Body,
    pub(super) rows: u64,
    pub(super) decided: u64,
    /// Line and reason of the rows that could not be read.
    pub(super) rejects: Vec<(u64, String)>,
    pub(super) counts: Vec<OfferCounts>,
}

/// The rows of an output.
pub(super) enum Body {
    Text(Vec<u8>),
    #[cfg(feature = "parquet")]
    Batch(Result<arrow_array::RecordBatch, arrow_schema::ArrowError>),
}

enum Encoder {
    Text(Text),
    #[cfg(feature = "parquet")]
    Parquet(Box<super::parquet::Rows>),
}

/// One chunk in the making.
struct Work<'w, 'q> {
    question: &'w Question<'q>,
    constants: &'w [(&'w str, Cell<'w>)],
    /// The places of the columns that the output carries.
    carried: Vec<usize>,
    encoder: Encoder,
    part: Part,
}

impl Question<'_> {
    /// The places of the columns that the output carries.
    pub(super) fn carried(&self) -> Vec<usize> {
        let kept =
            |(place, column): (usize, &String)| (!self.mapping.gives_way(column)).then_some(place);
        self.columns.iter().enumerate().filter_map(kept).collect()
    }

    /// Decides a chunk.
    pub(super) fn decide(&self, chunk: &Chunk) -> Part {
        let constants = self.mapping.constants();
        let mut work = Work {
            question: self,
            constants: &constants,
            carried: self.carried(),
            encoder: self.encoder(chunk),
            part: Part {
                body: Body::Text(Vec::new()),
                rows: 0,
                decided: 0,
                rejects: Vec::new(),
                counts: self.offers.iter().map(|offer| named(offer)).collect(),
            },
        };
        let mine = |place: &usize| self.shard.has(chunk.first + *place as u64);
        match &chunk.rows {
            Rows::Csv(rows) => {
                let rows = rows.iter().enumerate().filter(|(place, _)| mine(place));
                rows.for_each(|(place, (line, record))| {
                    let done = work.csv(record, place);
                    work.note(*line, done);
                });
            }
            Rows::Json(rows) => {
                let rows = rows.iter().enumerate().filter(|(place, _)| mine(place));
                rows.for_each(|(place, (line, text))| {
                    let done = match text {
                        Some(text) => work.json(text, place),
                        None => Err("is longer than 1 MiB".to_owned()),
                    };
                    work.note(*line, done);
                });
            }
            #[cfg(feature = "parquet")]
            Rows::Parquet(batch) => {
                (0..batch.num_rows()).filter(mine).for_each(|place| {
                    let cells = batch.columns().iter();
                    let cells: Vec<_> =
                        cells.map(|array| super::parquet::cell(array.as_ref(), place)).collect();
                    let done = work.table(&cells, place);
                    work.note(chunk.first + place as u64 + 1, done);
                });
            }
        }
        work.finish(chunk)
    }

    fn encoder(&self, chunk: &Chunk) -> Encoder {
        #[cfg(feature = "parquet")]
        if let Some(schema) = &self.schema {
            let takes = matches!(chunk.rows, Rows::Parquet(_));
            return Encoder::Parquet(Box::new(super::parquet::Rows::new(schema, takes)));
        }
        let _ = chunk;
        Encoder::Text(Text::new(self.output))
    }
}

impl Work<'_, '_> {
    fn csv(&mut self, record: &ByteRecord, place: usize) -> Result<(), String> {
        self.table(&cells(record, self.question.columns)?, place)
    }

    /// A row of a file that has columns.
    fn table(&mut self, cells: &[Cell<'_>], place: usize) -> Result<(), String> {
        let columns = self.question.columns;
        let given = columns.iter().map(String::as_str).zip(cells);
        let mapping = self.question.mapping;
        let named = given.filter_map(|(column, cell)| Some((mapping.name(column)?, cell)));
        let row = row(named, self.constants)?;
        self.answer(row, Carried::Columns(columns, cells), place)
    }

    fn json(&mut self, text: &[u8], place: usize) -> Result<(), String> {
        let members = Members::read(text)?;
        let flat = members.flat()?;
        let mapping = self.question.mapping;
        let taken = members.0.iter().find(|(name, _)| {
            super::mapping::ADDED.contains(&name.as_ref()) && !mapping.gives_way(name)
        });
        if let Some((name, _)) = taken {
            return Err(format!("has `{name}`, and so has the output"));
        }
        let named = flat.iter();
        let named = named.filter_map(|(name, cell)| Some((mapping.name(name)?, cell)));
        let row = row(named, self.constants)?;
        if self.question.output == Format::Jsonl {
            let kept = members.0.iter().filter(|(name, _)| !mapping.gives_way(name));
            let kept: Vec<_> = kept.cloned().collect();
            return self.answer(row, Carried::Members(&kept), place);
        }
        let columns = self.question.columns;
        if let Some((name, _)) = flat.iter().find(|(name, _)| !columns.contains(name)) {
            return Err(format!("has `{name}`, which the first row has not and so the output"));
        }
        let value = |column: &String| {
            let found = flat.iter().find(|(name, _)| name == column);
            found.map_or(Cell::Absent, |(_, cell)| cell.clone())
        };
        let cells: Vec<_> = columns.iter().map(value).collect();
        self.answer(row, Carried::Columns(columns, &cells), place)
    }

    #[cfg_attr(not(feature = "parquet"), expect(unused_variables, reason = "Parquet takes rows"))]
    fn answer(
        &mut self,
        mut row: Row<'_>,
        carried: Carried<'_>,
        place: usize,
    ) -> Result<(), String> {
        let question = self.question;
        let given = row.customer.holding;
        if given != Attribute::Missing && !question.is_of_one_product {
            return Err("gives `holding`, and the offers are of several products".to_owned());
        }
        let mut answers = Vec::with_capacity(question.offers.len());
        for (offer, product) in question.offers.iter().zip(&question.products) {
            row.customer.holding = match (given, product) {
                (Attribute::Missing, Some(product)) => {
                    let listed = row.customer.holding_of(product).copied();
                    listed.map_or(Attribute::Missing, Attribute::Known)
                }
                (given, _) => given,
            };
            let request = CheckRequest {
                customer: row.customer.shorter(),
                offer,
                action: question.action,
                channel: row.channel,
                device: row.device,
            };
            let decision = decide(&request, question.snapshot, question.as_of);
            answers.push(Verdict::of(offer, &decision, &question.as_of_text));
        }
        for (verdict, counts) in answers.iter().zip(&mut self.part.counts) {
            counts.count(verdict.outcome, &verdict.reasons);
            match &mut self.encoder {
                Encoder::Text(text) => text.add(carried, verdict, &self.carried),
                #[cfg(feature = "parquet")]
                Encoder::Parquet(rows) => rows.add(carried, &self.carried, place, verdict),
            }
        }
        Ok(())
    }

    fn note(&mut self, line: u64, done: Result<(), String>) {
        self.part.rows += 1;
        match done {
            Ok(()) => self.part.decided += 1,
            Err(reason) => self.part.rejects.push((line, reason)),
        }
    }

    #[cfg_attr(not(feature = "parquet"), expect(unused_variables, reason = "Parquet takes rows"))]
    fn finish(mut self, chunk: &Chunk) -> Part {
        self.part.body = match self.encoder {
            Encoder::Text(text) => Body::Text(text.finish()),
            #[cfg(feature = "parquet")]
            Encoder::Parquet(rows) => {
                let arrays = match &chunk.rows {
                    Rows::Parquet(batch) => {
                        let kept = self.carried.iter();
                        Some(
                            kept.filter_map(|place| batch.columns().get(*place).cloned()).collect(),
                        )
                    }
                    Rows::Csv(_) | Rows::Json(_) => None,
                };
                Body::Batch(rows.finish(arrays))
            }
        };
        self.part
    }
}

/// The cells of a row of CSV.
pub(super) fn cells<'r>(
    record: &'r ByteRecord,
    columns: &[String],
) -> Result<Vec<Cell<'r>>, String> {
    if record.len() != columns.len() {
        return Err(format!("has {} fields, and the header {}", record.len(), columns.len()));
    }
    let cells =
        record.iter().zip(columns).map(|(bytes, column)| match std::str::from_utf8(bytes) {
            Ok("") => Ok(Cell::Absent),
            Ok(text) => Ok(Cell::Plain(text.into())),
            Err(_) => Err(format!("`{column}` is not UTF-8")),
        });
    cells.collect()
}

/// Reads a row, with what the mapping says of every row.
pub(super) fn row<'r>(
    given: impl Iterator<Item = (&'r str, &'r Cell<'r>)>,
    constants: &'r [(&'r str, Cell<'r>)],
) -> Result<Row<'r>, String> {
    let mut row = Row::default();
    for (name, cell) in given.chain(constants.iter().map(|(name, cell)| (*name, cell))) {
        if let Some(field) = Field::of(name).map_err(|error| error.to_string())? {
            row.set(field, cell)?;
        }
    }
    row.finish()
}
