//! `offergate audit checkpoint`: what the log is now, signed.

use crate::audit::{Checkpoint, InvalidCheckpoint, NotCosigned, VerifierKey};
use crate::cli::connection::{ServerArgs, address, failed};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Answer, Output};
use crate::cli::text::Text;
use crate::wire::proto;
use serde::Serialize;
use std::time::Duration;

/// What a server says that has not heard of so many records yet.
const AHEAD: &str = "REVISION_AHEAD";

/// How often such a server is asked, and after which pause.
const MOST_ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Print a signed checkpoint of the log, to be kept elsewhere
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The text is a C2SP checkpoint. `offergate audit verify --checkpoint FILE` shows later that the log still
begins with what it was. With --cosigner another replica of the same store signs it too, each with a key of
its own: a replica signs nothing but what it followed itself, record by record, so whoever wants to show
another history has to have them all.

Examples:
  offergate audit checkpoint > 2026-11-23.checkpoint
  offergate audit checkpoint --cosigner http://r2:7443 --cosigner http://r3:7443")]
pub(super) struct Args {
    /// Of the log of this many records instead of the newest
    #[arg(long, value_name = "N")]
    size: Option<u64>,

    /// Address of a server that is to sign it too; may be given several times
    #[arg(long, value_name = "URL", value_parser = address)]
    cosigner: Vec<String>,

    #[command(flatten)]
    server: ServerArgs,
}

/// A checkpoint.
#[derive(Debug, Serialize)]
struct Signed {
    checkpoint: String,
    verifier_key: String,
    /// The keys of those who signed it too.
    cosigner_keys: Vec<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let first = signed_by(&args.server, args.size, output)?;
    let key = key_of(&first)?;
    let size = Checkpoint::open(&first.checkpoint, &key).map_err(unreliable(&"the checkpoint"))?;
    let (checkpoint, verifier_key) = (first.checkpoint, first.verifier_key);
    let mut signed = Signed { checkpoint, verifier_key, cosigner_keys: Vec::new() };
    for url in &args.cosigner {
        let other = signed_by(&args.server.at(url), Some(size.size.0), output)?;
        let other_key = key_of(&other)?;
        let both = Checkpoint::cosign((&signed.checkpoint, &key), (&other.checkpoint, &other_key));
        signed.checkpoint = both.map_err(|error| match error {
            NotCosigned::Different => {
                // Evidence goes where answers go, so that it is not lost.
                output.note(format_args!("{}\n{}", signed.checkpoint, other.checkpoint));
                let what = format!("`{url}` has signed another history of the same size");
                Failure::new(Exit::Failure, what)
                    .because(error)
                    .help("keep both checkpoints, which were shown, and find out who was deceived")
            }
            NotCosigned::Invalid(error) => unreliable(&format_args!("what `{url}` signed"))(error),
        })?;
        signed.cosigner_keys.push(other.verifier_key);
    }
    output.answer(&signed)?;
    Ok(Exit::Ok)
}

/// What a server signs of the log. One that has not heard of the last records yet is asked again.
fn signed_by(
    server: &ServerArgs,
    size: Option<u64>,
    output: &Output,
) -> Result<proto::GetCheckpointResponse, Failure> {
    server.ask(output, async |client| {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match client.get_checkpoint(proto::GetCheckpointRequest { size }).await {
                Err(error)
                    if attempts < MOST_ATTEMPTS && error.reason.as_deref() == Some(AHEAD) =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return answer.map_err(failed("the checkpoint")),
            }
        }
    })
}

fn key_of(response: &proto::GetCheckpointResponse) -> Result<VerifierKey, Failure> {
    VerifierKey::parse(&response.verifier_key).map_err(|error| {
        Failure::new(Exit::Failure, "the server's verifier key does not read").because(error)
    })
}

fn unreliable(what: &dyn std::fmt::Display) -> impl Fn(InvalidCheckpoint) -> Failure {
    let what = format!("{what} cannot be relied on");
    move |error| Failure::new(Exit::Failure, &what).because(error)
}

impl Answer for Signed {
    const COLUMNS: &'static [&'static str] = &["checkpoint", "verifier_key", "cosigner_keys"];

    fn text(&self, text: &mut Text) {
        text.line(self.checkpoint.trim_end_matches('\n'));
    }
}
