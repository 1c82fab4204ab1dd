//! Decided rows as a row group: the columns that are carried, then those that are added.
//!
//! The added columns have few values, and stay numbers until they are encoded.

use super::answer::Answers;
use super::mapping::ADDED;
use super::parquet_write::{Encoder, Group};
use arrow_array::builder::StringBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array as _, ArrayRef, BooleanArray, DictionaryArray, Int32Array, Int64Array, RecordBatch,
    StringArray, UInt32Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::filter::FilterBuilder;
use parquet::errors::ParquetError;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The columns of an output: those that are carried, then those that are added.
pub(super) fn output_schema(carried: impl IntoIterator<Item = Arc<Field>>) -> SchemaRef {
    let added = ADDED.map(|name| match name {
        "revision" => Field::new(name, DataType::Int64, false),
        "offer" | "outcome" | "reasons" | "as_of" => Field::new(name, DataType::Utf8, false),
        _ => Field::new(name, DataType::Utf8, true),
    });
    let fields: Vec<Arc<Field>> = carried.into_iter().chain(added.map(Arc::new)).collect();
    Arc::new(Schema::new(fields))
}

/// Row groups in the making, one after the other.
pub(super) struct Groups {
    encoder: Encoder,
    revision: i64,
    /// The carried columns, where they are texts.
    texts: Vec<StringBuilder>,
    /// Else which rows of the input's batch they come from.
    taken: Vec<u32>,
    /// The place of each row's answer, and of its offer.
    rows: Vec<(u32, usize)>,
}

impl Groups {
    pub(super) fn new(encoder: Encoder, carried: usize, revision: u64) -> Self {
        Self {
            encoder,
            revision: i64::try_from(revision).unwrap_or(i64::MAX),
            texts: (0..carried).map(|_| StringBuilder::new()).collect(),
            taken: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Carries texts.
    pub(super) fn add_texts<'t>(&mut self, texts: impl Iterator<Item = Option<&'t str>>) {
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.append_option(text));
    }

    /// Carries a row of the input's batch.
    pub(super) fn take(&mut self, row: usize) {
        self.taken.push(u32::try_from(row).unwrap_or(u32::MAX));
    }

    /// Adds what was decided for the row that was carried last.
    pub(super) fn add(&mut self, answer: u32, offer: usize) {
        self.rows.push((answer, offer));
    }

    /// Encodes the rows, and begins anew.
    pub(super) fn finish(
        &mut self,
        from: Option<&RecordBatch>,
        carried: &[usize],
        answers: &Answers,
    ) -> Group {
        let rows = std::mem::take(&mut self.rows);
        let mut columns = self.carried(from, carried)?;
        columns.extend(self.added(&rows, answers)?);
        self.rows = rows;
        self.rows.clear();
        match columns.first().is_some_and(|column| column.is_empty()) {
            true => Ok(Vec::new()),
            false => self.encoder.group(&columns),
        }
    }

    fn carried(
        &mut self,
        from: Option<&RecordBatch>,
        carried: &[usize],
    ) -> Result<Vec<ArrayRef>, ParquetError> {
        let Some(batch) = from else {
            return Ok(self.texts.iter_mut().map(|it| Arc::new(it.finish()) as ArrayRef).collect());
        };
        let arrays = kept(batch, carried);
        let taken = std::mem::take(&mut self.taken);
        let is_all = taken.len() == batch.num_rows() && (0..).zip(&taken).all(|(n, row)| n == *row);
        if is_all {
            return Ok(arrays);
        }
        if !taken.is_sorted_by(|one, next| one < next) {
            return Ok(arrow_select::take::take_arrays(&arrays, &UInt32Array::from(taken), None)?);
        }
        // Most rows, each once: long stretches of them are copied as they are.
        let filter = FilterBuilder::new(&mask(&taken, batch.num_rows())).optimize().build();
        let kept = arrays.iter().map(|array| filter.filter(array));
        Ok(kept.collect::<Result<_, _>>()?)
    }

    fn added(
        &self,
        rows: &[(u32, usize)],
        answers: &Answers,
    ) -> Result<Vec<ArrayRef>, ParquetError> {
        let (mut numbers, mut values) = (FxHashMap::default(), Vec::new());
        for (place, answer) in answers.used() {
            numbers.insert(place, values.len());
            values.extend(answer.verdicts.iter().map(|ready| &ready.cells));
        }
        let number = |(answer, offer): &(u32, usize)| {
            let number = numbers.get(answer).map(|first| first + offer);
            number.and_then(|number| i32::try_from(number).ok())
        };
        let keys = Int32Array::from_iter(rows.iter().map(number));
        let column = |nth: usize| {
            let texts = values.iter().map(|cells| cells.get(nth).and_then(|cell| cell.as_deref()));
            let texts: StringArray = texts.collect();
            let column = DictionaryArray::<Int32Type>::try_new(keys.clone(), Arc::new(texts))?;
            Ok(Arc::new(column) as ArrayRef)
        };
        let mut columns = (0..8).map(column).collect::<Result<Vec<_>, ParquetError>>()?;
        let as_of = columns.pop();
        columns.push(Arc::new(Int64Array::from_value(self.revision, rows.len())));
        columns.extend(as_of);
        Ok(columns)
    }
}

/// Which of so many rows are taken, in rising order.
fn mask(taken: &[u32], rows: usize) -> BooleanArray {
    let mut next = taken.iter().peekable();
    let is_taken = |row: usize| next.next_if(|taken| **taken as usize == row).is_some();
    BooleanArray::new((0..rows).map(is_taken).collect(), None)
}

fn kept(batch: &RecordBatch, carried: &[usize]) -> Vec<ArrayRef> {
    carried.iter().filter_map(|place| batch.columns().get(*place).cloned()).collect()
}
