//! `offergate watch`: prints every revision as it is made, in order and without a gap.
//!
//! Invariant: after a cut it goes on after the last revision that it printed, so that nothing is
//! missed and nothing comes twice.

use super::connection::{ServerArgs, failed};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::revision_view::RevisionView;
use crate::client::{Client, ClientError, ErrorKind};
use crate::wire::proto;
use std::time::Duration;

/// Print every revision as it is made, in order and without a gap
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It resumes by itself when the server goes away and comes back. -o json prints one value a line.

Example:
  offergate watch --after 0 -o jsonl")]
pub(super) struct Args {
    /// Start after this revision; without it only what is still to come is printed
    #[arg(long, value_name = "N")]
    after: Option<u64>,

    /// End after this many revisions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    #[command(flatten)]
    server: ServerArgs,
}

/// What has been printed.
struct Progress {
    after: Option<u64>,
    /// The token of that revision, once one was printed.
    token: String,
    printed: u64,
    most: u64,
}

/// First and longest pause before the server is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let mut progress = Progress {
        after: args.after,
        token: String::new(),
        printed: 0,
        most: args.count.unwrap_or(u64::MAX),
    };
    args.server.ask(output, async |client| {
        if progress.after.is_none() {
            let newest = client.get_revision(proto::GetRevisionRequest { number: None }).await;
            let newest = newest.map_err(failed("the newest revision"))?;
            progress.after = Some(newest.revision.map_or(0, |revision| revision.number));
        }
        let mut client = Some(client);
        let mut pause = PAUSES.0;
        loop {
            let printed = progress.printed;
            let cut = match client.take() {
                Some(client) => follow(&client, output, &mut progress).await?,
                None => match args.server.connect_as(args.server.credentials()?).await {
                    Ok(connected) => {
                        client = Some(connected);
                        continue;
                    }
                    Err(error) => Some(error.to_string()),
                },
            };
            let Some(why) = cut else { return Ok(Exit::Ok) };
            let after = progress.after.unwrap_or_default();
            output.note(format_args!("cut off: {why}; goes on after revision {after}"));
            tokio::time::sleep(pause).await;
            pause = if printed < progress.printed { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
        }
    })
}

/// Prints until enough was printed (`None`), or until the way to the server is cut (why). An error
/// that trying again cannot mend is a failure.
async fn follow(
    client: &Client,
    output: &Output,
    progress: &mut Progress,
) -> Result<Option<String>, Failure> {
    let request = proto::WatchRevisionsRequest {
        after_revision: progress.after,
        after_token: progress.token.clone(),
    };
    let mut stream = match client.watch_revisions(request).await {
        Ok(stream) => stream,
        Err(error) if error.kind == ErrorKind::Unreachable => return Ok(Some(error.to_string())),
        Err(error) => return Err(failed("watching")(error)),
    };
    loop {
        match stream.message().await {
            Ok(Some(message)) => {
                let Some(revision) = message.revision else { continue };
                let (number, token) = (revision.number, revision.token.clone());
                output.next(&RevisionView::of(revision)?, progress.printed == 0)?;
                (progress.after, progress.token) = (Some(number), token);
                progress.printed += 1;
                if progress.printed == progress.most {
                    return Ok(None);
                }
            }
            Ok(None) => return Ok(Some("the server ended the stream".to_owned())),
            Err(status) => {
                let error = ClientError::from(status);
                return match error.kind {
                    // A server that goes away in the middle shows as one or the other.
                    ErrorKind::Unreachable | ErrorKind::Other => Ok(Some(error.to_string())),
                    ErrorKind::NotFound
                    | ErrorKind::Conflict
                    | ErrorKind::Invalid
                    | ErrorKind::Unknown
                    | ErrorKind::NotAllowed => Err(failed("watching")(error)),
                };
            }
        }
    }
}
