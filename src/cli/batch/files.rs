//! Files of customers, as the command line names them.

use super::super::exit::Failure;
use super::super::request_args::read_text;
use super::failed;
use crate::jobs::mailing::{Source, sha256};
use crate::jobs::{Format, Mapping};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Largest mapping file.
const MOST_MAPPING: u64 = 1 << 20;

/// The form of a file, where its name does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
pub(super) enum FormatArg {
    Csv,
    Jsonl,
    Parquet,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Csv => Self::Csv,
            FormatArg::Jsonl => Self::Jsonl,
            FormatArg::Parquet => Self::Parquet,
        }
    }
}

/// A file of customers and the hash of its mapping file.
pub(super) fn source(
    path: &Path,
    stated: Option<FormatArg>,
    map: Option<&Path>,
) -> Result<(Source, Option<String>), Failure> {
    let format = Format::of(path, stated.map(Format::from)).map_err(failed)?;
    let text = map.map(|path| read_text(path, MOST_MAPPING)).transpose()?;
    let mapping = match &text {
        Some(text) => Mapping::read(text).map_err(failed)?,
        None => Mapping::default(),
    };
    let hash = text.map(|text| sha256(text.as_bytes()));
    Ok((Source::new(path.to_owned(), format, mapping), hash))
}
