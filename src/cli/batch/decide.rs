//! `offergate batch decide`: one file of customers in, the same rows with decisions out.
//!
//! Invariant: before a file is published, the server is asked once more whether the rules moved. The
//! watch that runs beside the job only makes it stop sooner.

use super::super::connection::ServerArgs;
use super::super::exit::{Exit, Failure};
use super::super::instants::ZoneArgs;
use super::super::output::Output;
use super::super::request_args::read_text;
use super::interrupt::Interrupt;
use super::progress::{Progress, TICK};
use super::{FormatArg, cores, failed, form, merge};
use crate::client::Client;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::{Action, Timestamp};
use crate::jobs::{
    Counters, Finished, Job, JobError, Mapping, Pinned, Run, Shard, Summary, is_standard,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a job begins again because the rules moved. Rules that move more often than a job takes
/// would else keep it from ever ending.
const MOST_RESTARTS: usize = 3;

/// How long an interrupted job may take to notice.
const GRACE: Duration = Duration::from_secs(2);

/// Largest mapping file.
const MOST_MAPPING: u64 = 1 << 20;

/// Decide for every row of a file, by the rules of one revision
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Columns are named as the fields of a request: customer.id (or id), country, segment, holding.status,
holding.term_end, attributes.NAME and so on. All others are carried through unread, and so is every value.
The output adds offer, outcome, reasons, suspensions, exemptions, alternate, valid_until, revision, as_of.
Rows that cannot be read are listed with line and reason in the rejects file.

Examples:
  offergate batch decide --input people.csv --offer kis-12m --action OFFER --output decided.csv
  offergate batch decide --input people.parquet --offer kis-12m --action OFFER --output part-0.parquet \\
      --shard 0/4 --revision 7 --as-of 2026-12-02T00:00:00Z --summary part-0.json")]
pub(super) struct Args {
    /// The customers: .csv, .jsonl or .parquet; - for standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,

    /// Where the decisions go, written `--output FILE` or `--to FILE`; - for standard output
    #[arg(long, value_name = "FILE")]
    to: PathBuf,

    /// Offer to decide for; each row comes once for each
    #[arg(long, value_name = "ID", required = true, value_delimiter = ',')]
    offer: Vec<String>,

    /// OFFER, ACTIVATE, REACTIVATE, RENEW, UPDATE, USE or NOTIFY
    #[arg(long, value_name = "ACTION", value_parser = action)]
    action: Action,

    /// Form of the input, where its name does not tell
    #[arg(long, value_name = "FORMAT", value_enum)]
    input_format: Option<FormatArg>,

    /// Form of the output, where its name does not tell
    #[arg(long, value_name = "FORMAT", value_enum)]
    output_format: Option<FormatArg>,

    /// Which column is which field: YAML with `columns` and `constants`
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,

    /// Where rejected rows are listed; without it beside the output, as OUTPUT.rejects.csv
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,

    /// Fail, and write no output, when more rows than this are rejected
    #[arg(long, value_name = "N")]
    max_rejects: Option<u64>,

    /// Write the summary as JSON, too
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    /// Decide by this revision instead of the newest
    #[arg(long, value_name = "N")]
    revision: Option<u64>,

    /// Decide for this instant instead of the start of the job
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,

    #[command(flatten)]
    zone: ZoneArgs,

    /// What to do when the rules move meanwhile; `restart` without --revision, else `abort`
    #[arg(long, value_name = "POLICY", value_enum)]
    on_change: Option<OnChange>,

    /// Decide only the rows of this part, such as 0/4; needs --revision and --as-of
    #[arg(long, value_name = "I/N", requires = "revision", requires = "as_of")]
    shard: Option<Shard>,

    /// Decide OFFER_UNKNOWN for an offer that the rules do not know, instead of failing
    #[arg(long)]
    allow_unknown_offer: bool,

    /// How many threads decide; without it one a core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,

    /// Write the first row's answer for all, without a look at them: what deciding is measured against
    #[arg(long, hide = true)]
    copy_only: bool,

    #[command(flatten)]
    server: ServerArgs,
}

/// What happens when the rules move while the job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnChange {
    /// Begin again with the new revision.
    Restart,
    /// End with exit code 4, and write no output.
    Abort,
    /// Go on with the revision that the job began with, and say so.
    Finish,
}

fn action(text: &str) -> Result<Action, String> {
    Action::from_name(text).ok_or_else(|| {
        let names: Vec<_> = Action::ALL.iter().map(|action| action.name()).collect();
        format!("write one of {}", names.join(", "))
    })
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let job = Arc::new(args.job()?);
    let as_of = args.as_of.as_ref().map(|text| args.zone.read("--as-of", text)).transpose()?;
    let on_change = match (args.on_change, args.revision) {
        (Some(OnChange::Restart), Some(_)) => {
            return Err(Failure::usage(
                "--on-change restart would leave the --revision it is pinned to",
            )
            .help("abort or finish"));
        }
        (Some(stated), _) => stated,
        (None, Some(_)) => OnChange::Abort,
        (None, None) => OnChange::Restart,
    };
    let summary = args.server.ask(output, async |client| {
        let mut driver = Driver { args, job, as_of, on_change, output, client };
        driver.drive().await
    })?;
    if let Some(path) = &args.summary {
        crate::jobs::write_file(path, &merge::text(&summary)?).map_err(failed)?;
    }
    Ok(Exit::Ok)
}

impl Args {
    /// No file may be written that is read, or twice.
    fn check_files(&self, rejects: &Path) -> Result<(), Failure> {
        let files = [Some(self.input.as_path()), Some(&self.to), Some(rejects)];
        let mut seen: Vec<PathBuf> = Vec::new();
        let all = files.into_iter().chain([self.summary.as_deref(), self.map.as_deref()]).flatten();
        for path in all.filter(|path| !is_standard(path)) {
            let path = same(path);
            if seen.contains(&path) {
                return Err(Failure::usage(format_args!("{} is named twice", path.display())));
            }
            seen.push(path);
        }
        Ok(())
    }

    fn job(&self) -> Result<Job, Failure> {
        let rejects = match &self.rejects {
            Some(path) => path.clone(),
            None if is_standard(&self.to) => {
                return Err(Failure::usage("--rejects FILE is needed with standard output"));
            }
            None => {
                let mut path = self.to.clone().into_os_string();
                path.push(".rejects.csv");
                path.into()
            }
        };
        self.check_files(&rejects)?;
        let mut offers: Vec<String> = Vec::new();
        for offer in &self.offer {
            if offers.contains(offer) {
                return Err(Failure::usage(format_args!("offer `{offer}` is named twice")));
            }
            offers.push(offer.clone());
        }
        let mapping = match &self.map {
            Some(path) => Mapping::read(&read_text(path, MOST_MAPPING)?).map_err(failed)?,
            None => Mapping::default(),
        };
        Ok(Job {
            input: form(&self.input, self.input_format)?,
            output: form(&self.to, self.output_format)?,
            rejects,
            mapping,
            offers,
            action: self.action,
            shard: self.shard.unwrap_or(Shard::WHOLE),
            most_rejects: self.max_rejects,
            allows_unknown_offers: self.allow_unknown_offer,
            threads: self.threads.map_or_else(cores, usize::from),
            is_copy: self.copy_only,
        })
    }
}

/// One file under two spellings is one file.
fn same(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Runs a job until it ends, however often it begins.
struct Driver<'d> {
    args: &'d Args,
    job: Arc<Job>,
    as_of: Option<Timestamp>,
    on_change: OnChange,
    output: &'d Output,
    client: Client,
}

impl Driver<'_> {
    async fn drive(&mut self) -> Result<Summary, Failure> {
        let mut restarts = 0;
        loop {
            let pinned = Pinned::take(&self.client, self.args.revision).await.map_err(failed)?;
            let pinned = Arc::new(pinned);
            let (run, mut moved) = self.once(&pinned).await?;
            if moved.is_none() {
                moved = self.look(&pinned).await?;
            }
            let is_out = match &run {
                Run::Finished(finished) => finished.is_out(),
                Run::Stopped(is_out) => *is_out,
            };
            match (moved, self.on_change, run) {
                (None, _, Run::Finished(finished)) => return self.publish(*finished, None),
                (Some(to), OnChange::Finish, Run::Finished(finished)) => {
                    return self.publish(*finished, Some(to));
                }
                (Some(to), OnChange::Restart, _) if restarts < MOST_RESTARTS => {
                    if is_out || is_standard(&self.job.input.0) {
                        let failure = moved_to(&pinned, to);
                        return Err(failure.help(
                            "what was read from or written to a standard stream cannot be taken back: \
                             the job was not begun again, and what was written is to be thrown away",
                        ));
                    }
                    restarts += 1;
                    let from = pinned.revision;
                    self.output.note(format_args!(
                        "the rules moved from revision {from} to {to}: begins again"
                    ));
                }
                (moved, ..) => return Err(moved_to(&pinned, moved.unwrap_or_default())),
            }
        }
    }

    /// One run; the newer revision that was seen meanwhile, if one was.
    async fn once(&self, pinned: &Arc<Pinned>) -> Result<(Run, Option<u64>), Failure> {
        let mut interrupt = Interrupt::listen()?;
        let now = SystemClock.wall();
        // Nothing is decided for an instant before the rules were made, whatever this clock says.
        let start = pinned.made_at.map_or(now, |made_at| made_at.max(now));
        let as_of = self.as_of.unwrap_or(start);
        let revision = pinned.revision;
        self.output.note(format_args!("decides by revision {revision} as of {as_of}"));
        let (counters, stop) = (Arc::<Counters>::default(), Arc::new(AtomicBool::new(false)));
        let mut progress = Progress::begin(self.output);
        let mut work = tokio::task::spawn_blocking({
            let (job, pinned) = (Arc::clone(&self.job), Arc::clone(pinned));
            let (counters, stop) = (Arc::clone(&counters), Arc::clone(&stop));
            move || crate::jobs::run(&job, &pinned, as_of, &counters, &stop)
        });
        let mut moves = std::pin::pin!(pinned.moves(&self.client));
        let mut tick = tokio::time::interval(TICK);
        let mut moved = None;
        let ended = loop {
            tokio::select! {
                ended = &mut work => break ended,
                to = &mut moves, if moved.is_none() => {
                    moved = Some(to);
                    if self.on_change == OnChange::Finish {
                        self.output.note(format_args!(
                            "the rules moved to revision {to}: goes on by revision {revision}"
                        ));
                    } else {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                _ = tick.tick() => progress.tick(&counters),
                () = interrupt.heard() => {
                    stop.store(true, Ordering::Relaxed);
                    // Who reads from a pipe may wait for good, and is left to the end of the process.
                    let _ = tokio::time::timeout(GRACE, &mut work).await;
                    progress.end(0);
                    return Err(Failure::new(Exit::Interrupted, "interrupted; nothing was written"));
                }
            }
        };
        let rows = counters.rows.load(Ordering::Relaxed);
        let rate = progress.end(rows);
        self.output.detail(format_args!("{rows} rows, {rate:.0} rows/s"));
        let run =
            ended.map_err(|error| Failure::new(Exit::Failure, "the job died").because(error))?;
        Ok((run.map_err(failed)?, moved))
    }

    /// The last look at the rules. Who finishes whatever happens need not be able to look.
    async fn look(&self, pinned: &Pinned) -> Result<Option<u64>, Failure> {
        match pinned.moved_to(&self.client).await {
            Ok(moved) => Ok(moved),
            Err(error) if self.on_change == OnChange::Finish => {
                self.output.note(format_args!("whether the rules moved is not known: {error}"));
                Ok(None)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn publish(&self, finished: Finished, moved: Option<u64>) -> Result<Summary, Failure> {
        let mut summary = finished.publish().map_err(failed)?;
        summary.rules_moved_to = moved;
        self.tell(&summary);
        Ok(summary)
    }

    /// Tells the person what was done.
    fn tell(&self, summary: &Summary) {
        let Summary { decided, rejected, revision, .. } = summary;
        self.output.note(format_args!("decided {decided} rows by revision {revision}"));
        if !summary.unread.is_empty() {
            let unread = summary.unread.join(", ");
            self.output.note(format_args!(
                "not read, being no field of a request or about no product of the rules: {unread}"
            ));
        }
        for counts in &summary.offers {
            let rows = counts.outcomes.iter().map(|(name, count)| (format!("  {name}"), count));
            let reasons = counts.reasons.iter().map(|(name, count)| (format!("    {name}"), count));
            self.output.note(&counts.offer);
            for (name, count) in rows.chain(reasons) {
                self.output.note(format_args!("{name:<44} {count:>12}"));
            }
        }
        if *rejected != 0 {
            let rejects = self.job.rejects.display();
            self.output.note(format_args!("rejected rows: {rejected}, see {rejects}"));
        }
        if let Some(to) = summary.rules_moved_to {
            self.output.note(format_args!(
                "the rules moved to revision {to} meanwhile: these decisions are by {revision}"
            ));
        }
    }
}

fn moved_to(pinned: &Pinned, to: u64) -> Failure {
    failed(JobError::RulesMoved { from: pinned.revision.0, to }).help(
        "nothing was written; decide anew, or --on-change finish to decide by the older rules",
    )
}
