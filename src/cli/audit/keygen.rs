//! `offergate audit keygen`: makes the key that a server signs its log with.

use super::key_file;
use crate::audit::KeyName;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Answer, Output};
use crate::cli::text::Text;
use serde::Serialize;
use std::path::PathBuf;

/// Make a key that signs checkpoints, and print what verifies them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Give the verifier key to your auditors some other way than through the server: who can replace both
the log and the key can replace everything.

Example:
  offergate audit keygen --key-file audit.key > audit.pub
  offergate serve --audit-key-file audit.key")]
pub(super) struct Args {
    /// The new file for the private key
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,

    /// The name that it signs under
    #[arg(long, default_value = "offergate", value_parser = name)]
    name: KeyName,
}

fn name(text: &str) -> Result<KeyName, String> {
    KeyName::parse(text).ok_or_else(|| "1 to 128 printable ASCII characters, no `+`".to_owned())
}

/// The public half.
#[derive(Debug, Serialize)]
struct Made {
    verifier_key: String,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let key = key_file::random(args.name.clone())?;
    key_file::create(&args.key_file, &key)?;
    let path = args.key_file.display();
    output.note(format_args!("the private key is in {path}; keep it, and show it to nobody"));
    output.answer(&Made { verifier_key: key.verifier().to_string() })?;
    Ok(Exit::Ok)
}

impl Answer for Made {
    const COLUMNS: &'static [&'static str] = &["verifier_key"];

    fn text(&self, text: &mut Text) {
        text.line(&self.verifier_key);
    }
}
