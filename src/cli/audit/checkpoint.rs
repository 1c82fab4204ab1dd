//! `offergate audit checkpoint`: what the log is now, signed.

use crate::cli::connection::{ServerArgs, failed};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Answer, Output};
use crate::cli::text::Text;
use crate::wire::proto;
use serde::Serialize;

/// Print a signed checkpoint of the log, to be kept elsewhere
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The text is a C2SP checkpoint. `offergate audit verify --checkpoint FILE` shows later that the log still
begins with what it was.

Example:
  offergate audit checkpoint > 2026-11-23.checkpoint")]
pub(super) struct Args {
    /// Of the log of this many records instead of the newest
    #[arg(long, value_name = "N")]
    size: Option<u64>,

    #[command(flatten)]
    server: ServerArgs,
}

/// A checkpoint.
#[derive(Debug, Serialize)]
struct Signed {
    checkpoint: String,
    verifier_key: String,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let response = args.server.ask(output, async |client| {
        let request = proto::GetCheckpointRequest { size: args.size };
        client.get_checkpoint(request).await.map_err(failed("the checkpoint"))
    })?;
    let proto::GetCheckpointResponse { checkpoint, verifier_key } = response;
    output.answer(&Signed { checkpoint, verifier_key })?;
    Ok(Exit::Ok)
}

impl Answer for Signed {
    const COLUMNS: &'static [&'static str] = &["checkpoint", "verifier_key"];

    fn text(&self, text: &mut Text) {
        text.line(self.checkpoint.trim_end_matches('\n'));
    }
}
