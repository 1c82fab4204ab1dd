//! Decides the rows of one chunk, each for every offer that was asked for.
//!
//! Pure but for memory: equal chunk and question give equal bytes, whichever thread does it, and whatever it
//! remembers of other chunks.

use super::answer::Answers;
use super::csv_blocks::{Block, Record, Records};
use super::encode::{csv_field, json_columns, json_members, table_text};
use super::format::Format;
use super::input::{Chunk, Rows};
use super::json::Members;
use super::memo::{Column, Kind, Memo};
#[cfg(feature = "parquet")]
use super::parquet_rows::Groups;
use super::question::{Question, row};
use super::row::Cell;
use super::summary::{OfferCounts, named};

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
    Group(super::parquet_write::Group),
}

/// One thread's work.
pub(super) struct Worker<'q> {
    question: &'q Question<'q>,
    constants: Vec<(&'q str, Cell<'q>)>,
    /// The places of the columns that the output carries.
    carried: Vec<usize>,
    /// The columns that are read; none for a copy, whose rows are then all of one kind.
    columns: Vec<Column<'q>>,
    memo: Memo,
    answers: Answers,
    kind: Kind,
    /// The rows of the chunk as text.
    text: Vec<u8>,
    /// The rows of the chunk as a row group.
    #[cfg(feature = "parquet")]
    groups: Option<Groups>,
    part: Part,
}

impl Part {
    fn new(question: &Question<'_>) -> Self {
        Self {
            body: Body::Text(Vec::new()),
            rows: 0,
            decided: 0,
            rejects: Vec::new(),
            counts: question.offers.iter().map(|offer| named(offer)).collect(),
        }
    }
}

impl<'q> Worker<'q> {
    pub(super) fn new(
        question: &'q Question<'q>,
        #[cfg(feature = "parquet")] groups: Option<Groups>,
    ) -> Self {
        let columns = if question.is_copy { Vec::new() } else { question.read() };
        Self {
            question,
            constants: question.mapping.constants(),
            carried: question.carried(),
            kind: Kind::of(&columns),
            columns,
            memo: Memo::default(),
            answers: Answers::default(),
            text: Vec::new(),
            #[cfg(feature = "parquet")]
            groups,
            part: Part::new(question),
        }
    }

    /// Decides a chunk.
    pub(super) fn decide(&mut self, chunk: &Chunk) -> Part {
        let shard = self.question.shard;
        let is_mine = |place: &u64| shard.has(chunk.first + place);
        match &chunk.rows {
            Rows::Csv(block) => self.block(block, is_mine),
            Rows::Json(rows) => {
                let rows = (0..).zip(rows).filter(|(place, _)| is_mine(place));
                rows.for_each(|(_, (line, text))| {
                    let done = match text {
                        Some(text) => self.json(text),
                        None => Err("is longer than 1 MiB".to_owned()),
                    };
                    self.note(*line, done);
                });
            }
            #[cfg(feature = "parquet")]
            Rows::Parquet(batch) => self.batch(batch, chunk.first, is_mine),
        }
        self.finish(chunk)
    }

    fn block(&mut self, block: &Block, is_mine: impl Fn(&u64) -> bool) {
        let is_utf8 = str::from_utf8(&block.bytes).is_ok();
        let mut records = Records::of(block);
        let mut place = 0;
        while let Some((line, record)) = records.next() {
            if is_mine(&place) {
                let done = self.csv(&record, is_utf8);
                self.note(line, done);
            }
            place += 1;
        }
    }

    #[cfg_attr(
        not(feature = "parquet"),
        expect(unused_variables, reason = "Parquet counts offers")
    )]
    fn csv(&mut self, record: &Record<'_>, is_utf8: bool) -> Result<(), String> {
        let columns = self.question.columns;
        if record.len() != columns.len() {
            return Err(format!("has {} fields, and the header {}", record.len(), columns.len()));
        }
        if !is_utf8 {
            let is_broken = |place: usize| str::from_utf8(record.field(place)).is_err();
            let broken = columns.iter().enumerate().find(|(place, _)| is_broken(*place));
            if let Some((_, column)) = broken {
                return Err(format!("`{column}` is not UTF-8"));
            }
        }
        self.kind.clear();
        for column in &mut self.columns {
            let number = match record.field_in(column.place) {
                (_, 0) => column.absent(),
                (bytes, length) => column.text_in(bytes, length),
            };
            self.kind.add(column, number);
        }
        let cell = |place| match str::from_utf8(record.field(place)) {
            Ok("") | Err(_) => Cell::Absent,
            Ok(text) => Cell::Plain(text.into()),
        };
        let place = self.looked_up(cell)?;
        let Some(answer) = self.answers.hit(place) else { return Ok(()) };
        for (offer, ready) in answer.verdicts.iter().enumerate() {
            match self.question.output {
                Format::Csv => {
                    csv_columns(&mut self.text, record, &self.carried);
                    if !self.carried.is_empty() {
                        self.text.push(b',');
                    }
                    self.text.extend_from_slice(&ready.tail);
                }
                Format::Jsonl => {
                    let cells: Vec<_> = (0..columns.len()).map(cell).collect();
                    json_start(&mut self.text, columns, &cells, &self.carried);
                    self.text.extend_from_slice(&ready.tail);
                }
                #[cfg(feature = "parquet")]
                Format::Parquet => {
                    let Some(groups) = &mut self.groups else { continue };
                    let texts = self.carried.iter().map(|place| {
                        str::from_utf8(record.field(*place)).ok().filter(|text| !text.is_empty())
                    });
                    groups.add_texts(texts);
                    groups.add(place, offer);
                }
                #[cfg(not(feature = "parquet"))]
                Format::Parquet => {}
            }
        }
        Ok(())
    }

    #[cfg(feature = "parquet")]
    fn batch(
        &mut self,
        batch: &arrow_array::RecordBatch,
        first: u64,
        is_mine: impl Fn(&u64) -> bool,
    ) {
        let arrays = batch.columns();
        let numbers = self.columns.iter_mut().map(|column| match arrays.get(column.place) {
            Some(array) => super::parquet::numbers(array.as_ref(), column),
            None => Vec::new(),
        });
        let numbers: Vec<Vec<u32>> = numbers.collect();
        for row in 0..batch.num_rows() {
            if !is_mine(&(row as u64)) {
                continue;
            }
            self.kind.clear();
            for (column, of_column) in self.columns.iter().zip(&numbers) {
                self.kind.add(column, of_column.get(row).copied().unwrap_or(super::memo::ALONE));
            }
            let cell = |place: usize| match arrays.get(place) {
                Some(array) => super::parquet::cell(array.as_ref(), row),
                None => Cell::Absent,
            };
            let done = match self.looked_up(cell) {
                Ok(place) => {
                    self.table_row(place, cell, row);
                    Ok(())
                }
                Err(reason) => Err(reason),
            };
            self.note(first + row as u64 + 1, done);
        }
    }

    /// Adds a row of a table to the output, for each offer.
    #[cfg(feature = "parquet")]
    fn table_row<'c>(&mut self, place: u32, cell: impl Fn(usize) -> Cell<'c>, row: usize) {
        let columns = self.question.columns;
        let Some(answer) = self.answers.hit(place) else { return };
        for (offer, ready) in answer.verdicts.iter().enumerate() {
            if let Some(groups) = &mut self.groups {
                groups.take(row);
                groups.add(place, offer);
                continue;
            }
            let cells: Vec<_> = (0..columns.len()).map(&cell).collect();
            text_start(&mut self.text, self.question.output, columns, &cells, &self.carried);
            self.text.extend_from_slice(&ready.tail);
        }
    }

    fn json(&mut self, text: &[u8]) -> Result<(), String> {
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
        let row = row(named, &self.constants)?;
        let columns = self.question.columns;
        let is_table = self.question.output != Format::Jsonl;
        let stranger = flat.iter().find(|(name, _)| is_table && !columns.contains(name));
        if let Some((name, _)) = stranger {
            return Err(format!("has `{name}`, which the first row has not and so the output"));
        }
        let place = self.answers.add(self.question.answer(row)?);
        let Some(answer) = self.answers.hit(place) else { return Ok(()) };
        let value = |column: &String| {
            let found = flat.iter().find(|(name, _)| name == column);
            found.map_or(Cell::Absent, |(_, cell)| cell.clone())
        };
        let cells: Vec<_> = if is_table { columns.iter().map(value).collect() } else { Vec::new() };
        for (offer, ready) in answer.verdicts.iter().enumerate() {
            #[cfg(feature = "parquet")]
            if let Some(groups) = &mut self.groups {
                let cells: Vec<_> = self.carried.iter().map(|place| cells.get(*place)).collect();
                let texts: Vec<_> = cells.iter().map(|cell| table_text((*cell)?)).collect();
                groups.add_texts(texts.iter().map(|text| text.as_deref()));
                groups.add(place, offer);
                continue;
            }
            let _ = offer;
            if is_table {
                text_start(&mut self.text, Format::Csv, columns, &cells, &self.carried);
            } else {
                let kept = members.0.iter().filter(|(name, _)| !mapping.gives_way(name));
                self.text.push(b'{');
                json_members(&mut self.text, kept);
            }
            self.text.extend_from_slice(&ready.tail);
        }
        Ok(())
    }

    /// The place of the answer for a row of a table whose numbers are known.
    fn looked_up<'c>(&mut self, cell: impl Fn(usize) -> Cell<'c>) -> Result<u32, String> {
        if !self.kind.is_alone()
            && let Some(place) = self.memo.answer(&self.kind)
        {
            return Ok(place);
        }
        let columns = self.question.columns;
        let cells: Vec<_> = (0..columns.len()).map(cell).collect();
        let given = columns.iter().map(String::as_str).zip(&cells);
        let mapping = self.question.mapping;
        let named = given.filter_map(|(column, cell)| Some((mapping.name(column)?, cell)));
        let row = row(named, &self.constants)?;
        let answer = self.question.answer(row)?;
        if self.kind.is_alone() && self.question.output != Format::Parquet {
            return Ok(self.answers.once(answer));
        }
        let place = self.answers.add(answer);
        if !self.kind.is_alone() && Answers::is_kept(place) {
            self.memo.remember(&self.kind, place);
        }
        Ok(place)
    }

    fn note(&mut self, line: u64, done: Result<(), String>) {
        self.part.rows += 1;
        match done {
            Ok(()) => self.part.decided += 1,
            Err(reason) => self.part.rejects.push((line, reason)),
        }
    }

    #[cfg_attr(not(feature = "parquet"), expect(unused_variables, reason = "Parquet takes rows"))]
    fn finish(&mut self, chunk: &Chunk) -> Part {
        let mut part = std::mem::replace(&mut self.part, Part::new(self.question));
        let length = self.text.len();
        part.body = Body::Text(std::mem::replace(&mut self.text, Vec::with_capacity(length)));
        #[cfg(feature = "parquet")]
        if let Some(groups) = &mut self.groups {
            let from = match &chunk.rows {
                Rows::Parquet(batch) => Some(batch),
                Rows::Csv(_) | Rows::Json(_) => None,
            };
            part.body = Body::Group(groups.finish(from, &self.carried, &self.answers));
        }
        self.answers.end(&mut part.counts);
        part
    }
}

/// The carried columns of a record, without the line's end.
fn csv_columns(line: &mut Vec<u8>, record: &Record<'_>, carried: &[usize]) {
    if record.is_plain() && carried.len() == record.len() {
        return line.extend_from_slice(record.raw);
    }
    for (nth, place) in carried.iter().enumerate() {
        if nth != 0 {
            line.push(b',');
        }
        csv_field(line, record.field(*place));
    }
}

fn json_start(line: &mut Vec<u8>, columns: &[String], cells: &[Cell<'_>], carried: &[usize]) {
    line.push(b'{');
    let kept = carried.iter();
    let kept = kept.filter_map(|place| Some((columns.get(*place)?, cells.get(*place)?)));
    json_columns(line, kept);
}

/// The carried columns of a row as text, before what is added to them.
fn text_start(
    line: &mut Vec<u8>,
    format: Format,
    columns: &[String],
    cells: &[Cell<'_>],
    carried: &[usize],
) {
    if format == Format::Jsonl {
        return json_start(line, columns, cells, carried);
    }
    for cell in carried.iter().filter_map(|place| cells.get(*place)) {
        csv_field(line, table_text(cell).unwrap_or_default().as_bytes());
        line.push(b',');
    }
}
