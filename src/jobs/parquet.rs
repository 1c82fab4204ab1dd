//! Reads Parquet: columns as arrays, the bank's own carried as they are, whatever their type.
//!
//! Invariant: a column that is read has a type that every value of it can be read from; any other is
//! refused before the first row.

use super::error::JobError;
use super::input::{Counters, Size, hex};
use super::memo::{ALONE, Column};
use super::row::Cell;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowDictionaryKeyType, ArrowPrimitiveType, Date32Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use jiff::Timestamp;
use jiff::civil::Date;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A Parquet file that is being read.
pub(super) struct Reading {
    path: PathBuf,
    file: File,
    schema: SchemaRef,
    batches: ParquetRecordBatchReader,
    counters: Arc<Counters>,
}

impl Reading {
    /// Opens a file; tells its columns.
    pub(super) fn open(
        path: &Path,
        size: Size,
        counters: &Arc<Counters>,
    ) -> Result<(Self, Vec<String>), JobError> {
        let io = |error| JobError::io("reading", path, error);
        let broken = |error: parquet::errors::ParquetError| JobError::Input {
            place: path.display().to_string(),
            what: error.to_string(),
        };
        let file = File::open(path).map_err(io)?;
        let again = file.try_clone().map_err(io)?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(again).map_err(broken)?;
        let rows = builder.metadata().file_metadata().num_rows();
        counters.total.store(u64::try_from(rows).unwrap_or_default(), Ordering::Relaxed);
        let schema = Arc::clone(builder.schema());
        let groups = builder.metadata().row_groups().iter();
        let bytes: i64 = groups.map(|group| group.total_byte_size()).sum();
        let batch = size.rows_of(bytes, rows);
        let batches = builder.with_batch_size(batch).build().map_err(broken)?;
        let columns = schema.fields().iter().map(|field| field.name().clone()).collect();
        let counters = Arc::clone(counters);
        Ok((Self { path: path.to_owned(), file, schema, batches, counters }, columns))
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The next rows.
    pub(super) fn next(&mut self, name: &str) -> Result<Option<RecordBatch>, JobError> {
        let batch = self
            .batches
            .next()
            .transpose()
            .map_err(|error| JobError::Input { place: name.to_owned(), what: error.to_string() })?;
        let rows = batch.as_ref().map_or(0, RecordBatch::num_rows);
        self.counters.read.fetch_add(rows as u64, Ordering::Relaxed);
        Ok(batch)
    }

    /// Hash and length of the whole file.
    pub(super) fn hash(mut self) -> Result<(String, u64), JobError> {
        let path = self.path;
        let io = |error| JobError::io("reading", &path, error);
        self.file.rewind().map_err(io)?;
        let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
        loop {
            match self.file.read(&mut buffer).map_err(io)? {
                0 => return Ok((hex(hash), bytes)),
                read => {
                    hash.update(buffer.get(..read).unwrap_or_default());
                    bytes += read as u64;
                }
            }
        }
    }
}

/// Whether values of this type can be read. A timestamp without a zone is no instant.
pub(super) fn is_readable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, zone) => zone.is_some(),
        DataType::Dictionary(_, values) => is_text(values),
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32 => true,
        other => is_text(other),
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// One value of a column whose type [`is_readable`].
pub(super) fn cell(array: &dyn Array, row: usize) -> Cell<'_> {
    if array.is_null(row) {
        return Cell::Absent;
    }
    match array.data_type() {
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).into()),
        DataType::LargeUtf8 => Cell::Text(array.as_string::<i64>().value(row).into()),
        DataType::Utf8View => Cell::Text(array.as_string_view().value(row).into()),
        DataType::Boolean => Cell::Bool(array.as_boolean().value(row)),
        DataType::Int8 => number::<Int8Type>(array, row),
        DataType::Int16 => number::<Int16Type>(array, row),
        DataType::Int32 => number::<Int32Type>(array, row),
        DataType::Int64 => number::<Int64Type>(array, row),
        DataType::UInt8 => number::<UInt8Type>(array, row),
        DataType::UInt16 => number::<UInt16Type>(array, row),
        DataType::UInt32 => number::<UInt32Type>(array, row),
        DataType::UInt64 => number::<UInt64Type>(array, row),
        DataType::Float32 => number::<Float32Type>(array, row),
        DataType::Float64 => number::<Float64Type>(array, row),
        DataType::Date32 => {
            let day = date(array.as_primitive::<Date32Type>().value(row));
            day.map_or(Cell::Other("date".into()), |day| Cell::Text(day.to_string().into()))
        }
        DataType::Timestamp(unit, _) => {
            let instant = instant(array, *unit, row);
            instant.map_or(Cell::Other("instant".into()), |it| Cell::Text(it.to_string().into()))
        }
        DataType::Dictionary(..) => match (array.as_any_dictionary_opt(), key(array, row)) {
            (Some(codes), Some(key)) => cell(codes.values().as_ref(), key),
            _ => Cell::Other("dictionary".into()),
        },
        _ => Cell::Other("value".into()),
    }
}

/// A day by its number.
fn date(days: i32) -> Option<Date> {
    let since = jiff::SignedDuration::from_hours(24 * i64::from(days));
    Date::constant(1970, 1, 1).checked_add(since).ok()
}

fn instant(array: &dyn Array, unit: TimeUnit, row: usize) -> Option<Timestamp> {
    let instant = match unit {
        TimeUnit::Second => {
            Timestamp::from_second(array.as_primitive::<TimestampSecondType>().value(row))
        }
        TimeUnit::Millisecond => {
            Timestamp::from_millisecond(array.as_primitive::<TimestampMillisecondType>().value(row))
        }
        TimeUnit::Microsecond => {
            Timestamp::from_microsecond(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        TimeUnit::Nanosecond => Timestamp::from_nanosecond(
            array.as_primitive::<TimestampNanosecondType>().value(row).into(),
        ),
    };
    instant.ok()
}

/// The place of a row's value among those of a dictionary, whose keys may have any of these types.
fn key(array: &dyn Array, row: usize) -> Option<usize> {
    fn of<K: ArrowDictionaryKeyType>(array: &dyn Array, row: usize) -> Option<usize> {
        array.as_dictionary_opt::<K>()?.key(row)
    }
    of::<Int32Type>(array, row)
        .or_else(|| of::<Int8Type>(array, row))
        .or_else(|| of::<Int16Type>(array, row))
        .or_else(|| of::<Int64Type>(array, row))
        .or_else(|| of::<UInt8Type>(array, row))
        .or_else(|| of::<UInt16Type>(array, row))
        .or_else(|| of::<UInt32Type>(array, row))
        .or_else(|| of::<UInt64Type>(array, row))
}

fn number<T>(array: &dyn Array, row: usize) -> Cell<'_>
where
    T: ArrowPrimitiveType,
    T::Native: std::fmt::Display,
{
    let spelled = array.as_primitive::<T>().value(row).to_string();
    Cell::Number(spelled.parse().unwrap_or(f64::NAN), spelled.into())
}

/// The number of each value of a column.
pub(super) fn numbers(array: &dyn Array, column: &mut Column<'_>) -> Vec<u32> {
    let absent = column.absent();
    let is_null = array.nulls();
    let rows = 0..array.len();
    let of = |row: usize, number: &mut dyn FnMut(usize) -> u32| match is_null {
        Some(nulls) if nulls.is_null(row) => absent,
        Some(_) | None => number(row),
    };
    macro_rules! each {
        ($number:expr) => {{
            let mut number = $number;
            rows.map(|row| of(row, &mut number)).collect()
        }};
    }
    match array.data_type() {
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            each!(|row: usize| column.text(texts.value(row).as_bytes()))
        }
        DataType::LargeUtf8 => {
            let texts = array.as_string::<i64>();
            each!(|row: usize| column.text(texts.value(row).as_bytes()))
        }
        DataType::Utf8View => {
            let texts = array.as_string_view();
            each!(|row: usize| column.text(texts.value(row).as_bytes()))
        }
        DataType::Boolean => {
            let truths = array.as_boolean();
            let [no, yes] = [false, true].map(|truth| column.truth(truth));
            each!(|row: usize| if truths.value(row) { yes } else { no })
        }
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>();
            each!(|row: usize| date(days.value(row)).map_or(ALONE, |day| column.day(day)))
        }
        DataType::Timestamp(unit, _) => {
            each!(|row: usize| instant(array, *unit, row).map_or(ALONE, |at| column.instant(at)))
        }
        DataType::Dictionary(..) => match array.as_any_dictionary_opt() {
            Some(dictionary) if !dictionary.values().is_empty() => {
                let values = numbers(dictionary.values().as_ref(), column);
                let keys = dictionary.normalized_keys();
                let number = |row: usize| keys.get(row).and_then(|key| values.get(*key)).copied();
                each!(|row: usize| number(row).unwrap_or(ALONE))
            }
            Some(_) | None => vec![absent; array.len()],
        },
        DataType::Null => vec![absent; array.len()],
        // Numbers: their spelling tells them apart.
        _ => rows
            .map(|row| match cell(array, row) {
                Cell::Number(_, spelled) => column.text(spelled.as_bytes()),
                Cell::Absent => absent,
                _ => ALONE,
            })
            .collect(),
    }
}
