//! The forms that a batch file can have.

use super::error::JobError;
use std::path::Path;

/// The form of a batch file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Parquet.
    Parquet,
}

impl Format {
    /// The form that a file's name tells, where nobody said otherwise.
    ///
    /// # Errors
    /// For an extension that tells none, and for Parquet on a standard stream, which has no end to
    /// start reading at.
    pub fn of(path: &Path, stated: Option<Self>) -> Result<Self, JobError> {
        let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
        let told = match extension.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "parquet" => Some(Self::Parquet),
            _ => None,
        };
        let format = stated.or(told).ok_or_else(|| {
            let path = path.display();
            JobError::Usage(format!(
                "`{path}` does not tell its form by .csv, .jsonl or .parquet; say --input-format or \
                 --output-format"
            ))
        })?;
        if format == Self::Parquet && is_standard(path) {
            return Err(JobError::Usage("Parquet needs a file and no standard stream".to_owned()));
        }
        if format == Self::Parquet && cfg!(not(feature = "parquet")) {
            return Err(JobError::Usage("this program was built without Parquet".to_owned()));
        }
        Ok(format)
    }
}

/// Whether a path stands for a standard stream.
#[must_use]
pub fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}
