//! Writes Parquet: whole row groups are encoded by any thread, and put into the file in order by one.
//!
//! Invariant: a group is encoded from its own rows alone, so equal rows give equal bytes, whichever thread
//! encodes them.

use super::error::JobError;
use super::mapping::ADDED;
use super::target::Target;
use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use std::path::Path;
use std::sync::Arc;

/// An encoded row group.
pub(super) type Group = Result<Vec<ArrowColumnChunk>, ParquetError>;

/// Encodes row groups of one file.
#[derive(Clone)]
pub(super) struct Encoder {
    schema: SchemaRef,
    factory: Arc<ArrowRowGroupWriterFactory>,
}

impl Encoder {
    /// Encodes a row group: an array a column, all of one length.
    pub(super) fn group(&self, columns: &[ArrayRef]) -> Group {
        let mut writers = self.factory.create_column_writers(0)?.into_iter();
        let mut chunks = Vec::new();
        for (field, array) in self.schema.fields().iter().zip(columns) {
            for leaf in compute_leaves(field, array)? {
                let writer = writers.next().map(|mut writer| {
                    writer.write(&leaf)?;
                    writer.close()
                });
                chunks.extend(writer.transpose()?);
            }
        }
        match writers.next() {
            None => Ok(chunks),
            Some(_) => Err(ParquetError::General("a column has no rows".to_owned())),
        }
    }
}

/// A file in the making.
pub(super) struct File {
    to: SerializedFileWriter<Target>,
    encoder: Encoder,
}

impl File {
    pub(super) fn begin(target: Target, schema: &SchemaRef, path: &Path) -> Result<Self, JobError> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        // Every group has nearly all the answers there are, so that their bounds would tell nothing.
        let properties = ADDED.iter().fold(properties, |properties, name| {
            properties.set_column_statistics_enabled((*name).into(), EnabledStatistics::None)
        });
        let writer = ArrowWriter::try_new(target, Arc::clone(schema), Some(properties.build()));
        let parts = writer.and_then(ArrowWriter::into_serialized_writer);
        let (to, factory) = parts.map_err(|error| broken(path, error))?;
        let encoder = Encoder { schema: Arc::clone(schema), factory: Arc::new(factory) };
        Ok(Self { to, encoder })
    }

    pub(super) fn encoder(&self) -> Encoder {
        self.encoder.clone()
    }

    /// Puts the next group into the file.
    pub(super) fn append(&mut self, group: Group, path: &Path) -> Result<(), JobError> {
        self.put(group).map_err(|error| broken(path, error))
    }

    fn put(&mut self, group: Group) -> Result<(), ParquetError> {
        let group = group?;
        if group.is_empty() {
            return Ok(()); // No row of the chunk is in it.
        }
        let mut row_group = self.to.next_row_group()?;
        for chunk in group {
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close().map(drop)
    }

    /// Puts the file under its name.
    pub(super) fn finish(self, path: &Path) -> Result<(), JobError> {
        let target = self.to.into_inner().map_err(|error| broken(path, error))?;
        target.finish()
    }
}

/// What went wrong while a file was written.
pub(super) fn broken(path: &Path, error: impl ToString) -> JobError {
    JobError::io("writing", path, std::io::Error::other(error.to_string()))
}
