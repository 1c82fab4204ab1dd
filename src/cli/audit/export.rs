//! `offergate audit export`: the log as JSON lines, with the checkpoint that signs it.

use super::source::{CheckpointLine, Line, newest_signed, pages};
use crate::audit::{Checkpoint, VerifierKey};
use crate::cli::connection::ServerArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Format, Output};
use crate::client::Client;
use crate::domain::Revision;
use crate::wire::proto;
use serde::Serialize;
use serde_json::value::RawValue;

/// Write the log of changes as JSON lines, for `audit verify` and for your own tools
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The first line is a signed checkpoint, if the server has a key; then comes a line a record, oldest first,
up to what was signed.
An entry stands in it byte for byte as it was hashed.

Examples:
  offergate audit export > log.jsonl
  offergate audit export | jq -r 'select(.entry).entry | [.at, .author, .kind, .reason] | @tsv'")]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

/// Lines go out when there are so many bytes of them.
const AT_ONCE: usize = 256 * 1024;

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    match output.format() {
        None | Some(Format::Jsonl) => {}
        Some(_) => {
            return Err(Failure::usage("`audit export` writes -o jsonl alone")
                .help("an entry must keep its bytes, which other forms do not promise"));
        }
    }
    args.server.ask(output, async |client| export(&client, output).await)?;
    Ok(Exit::Ok)
}

async fn export(client: &Client, output: &Output) -> Result<(), Failure> {
    let mut lines = String::new();
    let mut signed = None;
    match newest_signed(client).await? {
        Some(response) => {
            signed = Some(size_of(&response)?);
            add(&mut lines, &CheckpointLine { checkpoint: response.checkpoint })?;
        }
        None => output.note("nothing is signed: the server has no `audit_key_file`"),
    }
    let mut records = 0_u64;
    pages(client, |record| {
        // What came since then is not signed, and belongs to the next export.
        if signed.is_some_and(|size| size.0 < record.revision) {
            return Ok(false);
        }
        let entry: &RawValue = serde_json::from_str(&record.entry).map_err(|error| {
            let what = format!("the entry of record {} is no JSON", record.revision);
            Failure::new(Exit::Failure, what).because(error)
        })?;
        if entry.get() != record.entry || record.entry.contains('\n') {
            let what = format!("the entry of record {} is not one line", record.revision);
            return Err(Failure::new(Exit::Failure, what));
        }
        add(&mut lines, &Line { revision: record.revision, chain: &record.chain, entry })?;
        records += 1;
        if AT_ONCE <= lines.len() {
            output.raw(&lines)?;
            lines.clear();
        }
        Ok(true)
    })
    .await?;
    output.raw(&lines)?;
    output.detail(format_args!("{records} records"));
    Ok(())
}

/// The size of a checkpoint, by the server's own account: whoever verifies has the key from elsewhere.
fn size_of(response: &proto::GetCheckpointResponse) -> Result<Revision, Failure> {
    let broken = || Failure::new(Exit::Failure, "the server's checkpoint does not read");
    let key =
        VerifierKey::parse(&response.verifier_key).map_err(|error| broken().because(error))?;
    let checkpoint = Checkpoint::open(&response.checkpoint, &key);
    checkpoint.map(|checkpoint| checkpoint.size).map_err(|error| broken().because(error))
}

fn add<T: Serialize>(lines: &mut String, line: &T) -> Result<(), Failure> {
    let text = serde_json::to_string(line).map_err(|error| {
        Failure::new(Exit::Failure, "a record cannot be printed as JSON").because(error)
    })?;
    lines.push_str(&text);
    lines.push('\n');
    Ok(())
}
