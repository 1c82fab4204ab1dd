//! `offergate audit watch`: a witness. It remembers the newest checkpoint that it verified, and refuses
//! everything that does not continue it.
//!
//! Invariants: what is in the file was signed with the key, and follows from what was in it before. The
//! file is replaced whole. A checkpoint that contradicts it never takes its place; it is kept beside it,
//! signed as it is: nobody can deny having signed both.

use super::key_file;
use crate::audit::{Checkpoint, TreeHash, VerifierKey, verify_consistency};
use crate::cli::connection::{ServerArgs, failed};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Answer, Output};
use crate::cli::text::Text;
use crate::client::{Client, ErrorKind};
use crate::config;
use crate::wire::proto;
use serde::Serialize;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Keep the newest verified checkpoint in a file, and refuse a log that goes back behind it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Run it on a machine that the bank's operators cannot write to. The first checkpoint is believed as it is,
if the key signed it. Exit code 1 when the log does not continue what was seen before: the checkpoint that
contradicts it is then in FILE.refused.

Examples:
  offergate audit watch --key audit.pub --checkpoint-file witness.checkpoint
  offergate audit watch --key audit.pub --checkpoint-file witness.checkpoint --once")]
pub(super) struct Args {
    /// The verifier key, or a file that holds it
    #[arg(long)]
    key: String,

    /// The file that keeps the newest checkpoint
    #[arg(long, value_name = "FILE")]
    checkpoint_file: PathBuf,

    /// How long to wait before looking again
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = interval)]
    interval: Duration,

    /// How long a size below the known one may be a replica that lags
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = lag)]
    lag: Duration,

    /// Look once, and end
    #[arg(long)]
    once: bool,

    #[command(flatten)]
    server: ServerArgs,
}

fn interval(text: &str) -> Result<Duration, String> {
    config::duration(text, Duration::from_secs(1), Duration::from_secs(24 * 60 * 60))
}

fn lag(text: &str) -> Result<Duration, String> {
    config::duration(text, Duration::ZERO, Duration::from_secs(60 * 60))
}

/// How soon a server that seems to lag is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What a look came to.
#[derive(Debug, Serialize)]
struct Seen {
    lineage: String,
    size: u64,
    root: String,
    /// The size that was known before; nothing at the first look.
    after: Option<u64>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let key = key_file::verifier(&args.key)?;
    let mut first = true;
    loop {
        // A server that is away is no evidence of anything; one that contradicts itself ends this.
        match args.server.ask(output, async |client| look(&client, args, &key).await) {
            Ok(Some(seen)) => {
                output.next(&seen, first)?;
                first = false;
            }
            Ok(None) => output.detail("nothing new"),
            Err(failure) if args.once || failure.exit() != Exit::Unreachable => {
                return Err(failure);
            }
            Err(failure) => failure.report(),
        }
        if args.once {
            return Ok(Exit::Ok);
        }
        std::thread::sleep(args.interval);
    }
}

/// Looks once; `None` when the log is what it was.
async fn look(client: &Client, args: &Args, key: &VerifierKey) -> Result<Option<Seen>, Failure> {
    let path = &args.checkpoint_file;
    let known = known(path, key)?;
    let (mut note, mut new) = newest(client, key).await?;
    // One replica of several may not have heard of all that another one signed.
    let mut left = args.lag;
    while known.as_ref().is_some_and(|known| new.size < known.size) && !left.is_zero() {
        tokio::time::sleep(ASK_AGAIN.min(left)).await;
        left = left.saturating_sub(ASK_AGAIN);
        (note, new) = newest(client, key).await?;
    }
    if known.as_ref() == Some(&new) {
        return Ok(None);
    }
    if let Some(known) = &known
        && let Err(why) = continues(client, known, &new).await?
    {
        let refused = beside(path, ".refused");
        replace(&refused, &note)?;
        return Err(Failure::new(Exit::Failure, format_args!("the log does not continue: {why}"))
            .help(format_args!(
                "the server signed both `{}` and `{}`: keep the two, and find out who changed the log",
                path.display(),
                refused.display()
            )));
    }
    replace(path, &note)?;
    Ok(Some(Seen {
        lineage: new.lineage.to_string(),
        size: new.size.0,
        root: new.root.to_string(),
        after: known.map(|known| known.size.0),
    }))
}

/// The newest checkpoint of the server: the note, and what it says.
async fn newest(client: &Client, key: &VerifierKey) -> Result<(String, Checkpoint), Failure> {
    let response = client.get_checkpoint(proto::GetCheckpointRequest { size: None }).await;
    let note = response.map_err(failed("the checkpoint"))?.checkpoint;
    let checkpoint = Checkpoint::open(&note, key).map_err(|error| {
        Failure::new(Exit::Failure, "the server's checkpoint cannot be relied on").because(error)
    })?;
    Ok((note, checkpoint))
}

/// Whether a new checkpoint continues the known one; if not, why not.
async fn continues(
    client: &Client,
    known: &Checkpoint,
    new: &Checkpoint,
) -> Result<Result<(), String>, Failure> {
    if known.lineage != new.lineage {
        return Ok(Err(format!("it is of history {}, and was of {}", new.lineage, known.lineage)));
    }
    if new.size < known.size {
        return Ok(Err(format!("it went back from size {} to {}", known.size, new.size)));
    }
    if new.size == known.size {
        return Ok(Err(format!("it has two roots or chains at size {}", new.size)));
    }
    let (from, to) = (known.size.0, new.size.0);
    let request = proto::GetConsistencyProofRequest { from_size: from, to_size: Some(to) };
    let proof = match client.get_consistency_proof(request).await {
        Ok(proof) => proof.hashes,
        // A log that shrank between two calls is looked at again.
        Err(error) if error.kind == ErrorKind::Unreachable => {
            return Err(failed("the consistency proof")(error));
        }
        Err(error) => return Ok(Err(format!("it gave no proof from {from} to {to}: {error}"))),
    };
    let hash = |bytes: &Vec<u8>| bytes.as_slice().try_into().ok().map(TreeHash);
    let Some(proof) = proof.iter().map(hash).collect::<Option<Vec<_>>>() else {
        return Ok(Err("its proof is not made of hashes".to_owned()));
    };
    let proven = verify_consistency(from, to, known.root, new.root, &proof);
    Ok(proven.map_err(|error| format!("size {to} does not begin with size {from}: {error}")))
}

/// What the file holds; `None` if there is no file yet.
fn known(path: &Path, key: &VerifierKey) -> Result<Option<Checkpoint>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    let text = key_file::text_of(path)?;
    Checkpoint::open(&text, key).map(Some).map_err(|error| {
        Failure::new(Exit::Failure, format_args!("`{}` cannot be relied on", path.display()))
            .because(error)
            .help("restore the file from where the witness keeps copies; nothing was changed")
    })
}

/// Puts a text in the place of a file, whole or not at all.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let draft = beside(path, ".new");
    let written = File::create(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path))
        .and_then(|()| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        });
    written.map_err(|error| key_file::failed(path, "cannot be written", error))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Answer for Seen {
    const COLUMNS: &'static [&'static str] = &["lineage", "size", "root", "after"];

    fn text(&self, text: &mut Text) {
        match self.after {
            Some(after) => {
                text.line(format_args!("size {} continues size {after}  {}", self.size, self.root));
            }
            None => text.line(format_args!("size {} is the first seen  {}", self.size, self.root)),
        }
    }
}
