//! Writes made people as CSV, JSON lines or Parquet. All three say the same.

#[cfg(feature = "parquet")]
use super::super::parquet_write::{Encoder as Groups, Group};
#[cfg(feature = "parquet")]
use super::column::Kind;
use super::column::{Cell, Column};
use super::person::Person;
#[cfg(feature = "parquet")]
use arrow_array::{
    ArrayRef,
    builder::{ArrayBuilder, BooleanBuilder, StringBuilder, TimestampMillisecondBuilder},
};
#[cfg(feature = "parquet")]
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
#[cfg(feature = "parquet")]
use std::fmt::Write as _;
use std::io::Write as _;
#[cfg(feature = "parquet")]
use std::sync::Arc;

/// How rows are written.
pub(super) enum Encoder {
    Csv,
    Json,
    #[cfg(feature = "parquet")]
    Parquet(Groups),
}

/// Written rows.
pub(super) enum Body {
    Text(Vec<u8>),
    #[cfg(feature = "parquet")]
    Group(Group),
}

/// Rows in the making.
pub(super) enum Rows {
    Csv(Vec<u8>),
    Json(Vec<u8>),
    #[cfg(feature = "parquet")]
    Parquet(Vec<Builder>),
}

impl Encoder {
    #[cfg_attr(not(feature = "parquet"), expect(unused_variables, reason = "for Parquet"))]
    pub(super) fn rows(&self, columns: &[Column]) -> Rows {
        match self {
            Self::Csv => Rows::Csv(Vec::with_capacity(1 << 20)),
            Self::Json => Rows::Json(Vec::with_capacity(1 << 20)),
            #[cfg(feature = "parquet")]
            Self::Parquet(_) => {
                Rows::Parquet(columns.iter().map(|column| Builder::of(column.kind())).collect())
            }
        }
    }
}

impl Rows {
    pub(super) fn add(&mut self, person: &Person, columns: &[Column]) {
        let cells = columns.iter().map(|column| (column, column.cell(person)));
        match self {
            Self::Csv(bytes) => {
                for (place, (_, cell)) in cells.enumerate() {
                    if place != 0 {
                        bytes.push(b',');
                    }
                    csv_cell(bytes, cell);
                }
                bytes.push(b'\n');
            }
            Self::Json(bytes) => {
                bytes.push(b'{');
                for (column, cell) in cells.filter(|(_, cell)| *cell != Cell::Empty) {
                    if bytes.last() != Some(&b'{') {
                        bytes.push(b',');
                    }
                    // Writing to memory does not fail.
                    let _ = write!(bytes, "\"{}\":", column.name());
                    json_cell(bytes, cell);
                }
                bytes.extend_from_slice(b"}\n");
            }
            #[cfg(feature = "parquet")]
            Self::Parquet(builders) => {
                builders.iter_mut().zip(cells).for_each(|(builder, (_, cell))| builder.add(cell));
            }
        }
    }

    #[cfg_attr(not(feature = "parquet"), expect(unused_variables, reason = "for Parquet"))]
    pub(super) fn finish(self, encoder: &Encoder) -> Body {
        match self {
            Self::Csv(bytes) | Self::Json(bytes) => Body::Text(bytes),
            #[cfg(feature = "parquet")]
            Self::Parquet(builders) => {
                let arrays: Vec<ArrayRef> = builders.into_iter().map(Builder::finish).collect();
                match encoder {
                    Encoder::Parquet(groups) => Body::Group(groups.group(&arrays)),
                    Encoder::Csv | Encoder::Json => Body::Text(Vec::new()),
                }
            }
        }
    }
}

fn csv_cell(bytes: &mut Vec<u8>, cell: Cell<'_>) {
    // Writing to memory does not fail.
    let _ = match cell {
        Cell::Empty => Ok(()),
        Cell::Text(text) if text.bytes().any(|it| matches!(it, b',' | b'"')) => {
            write!(bytes, "\"{}\"", text.replace('"', "\"\""))
        }
        Cell::Text(text) => bytes.write_all(text.as_bytes()),
        Cell::Truth(truth) => bytes.write_all(if truth { b"true" } else { b"false" }),
        Cell::Day(day) => write!(bytes, "{day}"),
        Cell::Instant(instant) => write!(bytes, "{instant}"),
    };
}

fn json_cell(bytes: &mut Vec<u8>, cell: Cell<'_>) {
    let _ = match cell {
        Cell::Empty => bytes.write_all(b"null"),
        Cell::Text(text) => serde_json::to_writer(bytes, text).map_err(std::io::Error::from),
        Cell::Truth(truth) => bytes.write_all(if truth { b"true" } else { b"false" }),
        Cell::Day(day) => write!(bytes, "\"{day}\""),
        Cell::Instant(instant) => write!(bytes, "\"{instant}\""),
    };
}

/// A column of Parquet in the making.
#[cfg(feature = "parquet")]
pub(super) enum Builder {
    Text(StringBuilder),
    Truth(BooleanBuilder),
    Instant(TimestampMillisecondBuilder),
}

#[cfg(feature = "parquet")]
impl Builder {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Truth => Self::Truth(BooleanBuilder::new()),
            Kind::Instant => Self::Instant(TimestampMillisecondBuilder::new().with_timezone(ZONE)),
        }
    }

    fn add(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Text(builder), Cell::Day(day)) => {
                let _ = write!(builder, "{day}").map(|()| builder.append_value(""));
            }
            (Self::Truth(builder), Cell::Truth(truth)) => builder.append_value(truth),
            (Self::Instant(builder), Cell::Instant(instant)) => {
                builder.append_value(instant.as_millisecond());
            }
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Truth(builder), _) => builder.append_null(),
            (Self::Instant(builder), _) => builder.append_null(),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Truth(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Instant(mut builder) => ArrayBuilder::finish(&mut builder),
        }
    }
}

#[cfg(feature = "parquet")]
const ZONE: &str = "UTC";

/// The columns of a Parquet file.
#[cfg(feature = "parquet")]
pub(super) fn schema(columns: &[Column]) -> SchemaRef {
    let fields = columns.iter().map(|column| {
        let data_type = match column.kind() {
            Kind::Text => DataType::Utf8,
            Kind::Truth => DataType::Boolean,
            Kind::Instant => DataType::Timestamp(TimeUnit::Millisecond, Some(ZONE.into())),
        };
        Field::new(column.name(), data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
