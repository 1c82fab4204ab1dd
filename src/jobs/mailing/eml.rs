//! A dry run: each message becomes a file, `FOLDER/ab/abcdef....eml`, named by its recipient's tag.
//!
//! Invariant: a file is never replaced. A second one for the same recipient is a failure.

use crate::jobs::error::JobError;
use crate::jobs::mailing::carrier::{Carrier, Handed};
use crate::jobs::mailing::message::Letter;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Writes files into a folder.
pub(super) struct Eml {
    folder: PathBuf,
}

impl Eml {
    /// Makes the folder, and those in it.
    pub(super) fn open(folder: &Path) -> Result<Self, JobError> {
        for shard in 0..=u8::MAX {
            let inner = folder.join(format!("{shard:02x}"));
            fs::create_dir_all(&inner).map_err(|it| JobError::io("making", &inner, it))?;
        }
        Ok(Self { folder: folder.to_owned() })
    }
}

impl Carrier for Eml {
    fn hand_over(&mut self, letter: &Letter, may: &dyn Fn() -> bool) -> Handed {
        if !may() {
            return Handed::Stopped;
        }
        let name = letter.tag.to_string();
        let shard = name.get(..2).unwrap_or("00");
        let path = self.folder.join(shard).join(format!("{name}.eml"));
        let written = File::create_new(&path).and_then(|mut file| file.write_all(&letter.bytes));
        match written {
            Ok(()) => Handed::Taken,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Handed::Refused("FILE_EXISTS".to_owned())
            }
            Err(error) => Handed::Closed(format!("{} cannot be written: {error}", path.display())),
        }
    }
}
