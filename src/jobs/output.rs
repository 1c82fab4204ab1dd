//! The files that a job writes: the output and the rejects.

use super::decide::{Body, Part};
use super::error::JobError;
use super::format::Format;
use super::target::Target;
use std::io::Write as _;
use std::path::Path;

/// Both files in the making. Dropped, neither stands under its name.
pub(super) struct Output {
    body: Rows,
    rejects: Target,
}

enum Rows {
    Text(Target),
    #[cfg(feature = "parquet")]
    Parquet(Box<parquet::arrow::ArrowWriter<Target>>),
}

impl Output {
    /// Begins both files.
    pub(super) fn create(
        path: &Path,
        rejects: &Path,
        header: &[u8],
        #[cfg(feature = "parquet")] schema: Option<&arrow_schema::SchemaRef>,
    ) -> Result<Self, JobError> {
        let mut rejects = Target::create(rejects)?;
        let written = rejects.write_all(b"line,reason\n");
        written.map_err(|error| rejects.error(error))?;
        let mut target = Target::create(path)?;
        #[cfg(feature = "parquet")]
        if let Some(schema) = schema {
            let properties = parquet::file::properties::WriterProperties::builder()
                .set_compression(parquet::basic::Compression::SNAPPY)
                .set_max_row_group_row_count(Some(1 << 18))
                .build();
            let writer = parquet::arrow::ArrowWriter::try_new(
                target,
                std::sync::Arc::clone(schema),
                Some(properties),
            );
            let writer = writer.map_err(|error| broken(path, error))?;
            return Ok(Self { body: Rows::Parquet(Box::new(writer)), rejects });
        }
        let written = target.write_all(header);
        written.map_err(|error| target.error(error))?;
        Ok(Self { body: Rows::Text(target), rejects })
    }

    /// Adds decided rows.
    #[cfg_attr(not(feature = "parquet"), expect(unused_variables, reason = "for its errors"))]
    pub(super) fn write(&mut self, part: &Part, path: &Path) -> Result<(), JobError> {
        for (line, reason) in &part.rejects {
            let quoted = reason.replace('"', "\"\"").replace(['\r', '\n'], " ");
            let written = writeln!(self.rejects, "{line},\"{quoted}\"");
            written.map_err(|error| self.rejects.error(error))?;
        }
        match (&mut self.body, &part.body) {
            (Rows::Text(target), Body::Text(bytes)) => {
                target.write_all(bytes).map_err(|error| target.error(error))
            }
            #[cfg(feature = "parquet")]
            (Rows::Parquet(writer), Body::Batch(batch)) => match batch {
                Ok(batch) => writer.write(batch).map_err(|error| broken(path, error)),
                Err(error) => Err(broken(path, error)),
            },
            #[cfg(feature = "parquet")]
            _ => Err(broken(path, "rows of another form")),
        }
    }

    /// Whether something has left that cannot be taken back.
    pub(super) fn is_out(&self) -> bool {
        match &self.body {
            Rows::Text(target) => target.is_out(),
            #[cfg(feature = "parquet")]
            Rows::Parquet(_) => false,
        }
    }

    /// Puts both files under their names: the rejects first, so that who finds the output finds them too.
    #[cfg_attr(not(feature = "parquet"), expect(unused_variables, reason = "for its errors"))]
    pub(super) fn finish(self, path: &Path) -> Result<(), JobError> {
        self.rejects.finish()?;
        match self.body {
            Rows::Text(target) => target.finish(),
            #[cfg(feature = "parquet")]
            Rows::Parquet(writer) => {
                let target = writer.into_inner().map_err(|error| broken(path, error))?;
                target.finish()
            }
        }
    }

    /// Keeps the list of rejects, and nothing else.
    pub(super) fn give_up(self) -> Result<(), JobError> {
        self.rejects.finish()
    }
}

/// Whether a table of this form has one set of columns, and so a header of its own.
pub(super) fn is_table(format: Format) -> bool {
    format != Format::Jsonl
}

#[cfg(feature = "parquet")]
fn broken(path: &Path, error: impl ToString) -> JobError {
    let source = std::io::Error::other(error.to_string());
    JobError::io("writing", path, source)
}
