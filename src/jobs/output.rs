//! The files that a job writes: the output and the rejects.

use super::decide::Body;
use super::error::JobError;
use super::format::Format;
#[cfg(feature = "parquet")]
use super::parquet_write::{File, broken};
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
    Parquet(Box<File>),
}

impl Output {
    /// The way to encode row groups of it, if they are wanted.
    #[cfg(feature = "parquet")]
    pub(super) fn encoder(&self) -> Option<super::parquet_write::Encoder> {
        match &self.body {
            Rows::Text(_) => None,
            Rows::Parquet(file) => Some(file.encoder()),
        }
    }

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
            let file = File::begin(target, schema, path)?;
            return Ok(Self { body: Rows::Parquet(Box::new(file)), rejects });
        }
        let written = target.write_all(header);
        written.map_err(|error| target.error(error))?;
        Ok(Self { body: Rows::Text(target), rejects })
    }

    /// Adds decided rows.
    #[cfg_attr(not(feature = "parquet"), expect(unused_variables, reason = "for its errors"))]
    pub(super) fn write(
        &mut self,
        rejects: &[(u64, String)],
        body: Body,
        path: &Path,
    ) -> Result<(), JobError> {
        for (line, reason) in rejects {
            let quoted = reason.replace('"', "\"\"").replace(['\r', '\n'], " ");
            let written = writeln!(self.rejects, "{line},\"{quoted}\"");
            written.map_err(|error| self.rejects.error(error))?;
        }
        match (&mut self.body, body) {
            (Rows::Text(target), Body::Text(bytes)) => {
                target.write_all(&bytes).map_err(|error| target.error(error))
            }
            #[cfg(feature = "parquet")]
            (Rows::Parquet(file), Body::Group(group)) => file.append(group, path),
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
            Rows::Parquet(file) => file.finish(path),
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
