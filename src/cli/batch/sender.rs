//! The process that sends a mailing: from a ledger that is open, to its end or to a signal.
//!
//! Invariants: nothing is sent that is not signed, or differs from what was. Marketing is sent under a permit
//! alone; a service message needs the server only to see who signed it, and to hear that it was taken back. For as
//! long as a mailing is sent it is asked for that, and looked for when it is away.

use super::super::connection::{ServerArgs, failed as server_failed};
use super::super::exit::{Exit, Failure};
use super::super::output::Output;
use super::approval::{Verdict, verdict};
use super::binding::Binding;
use super::failed;
use super::ledger::LedgerPlace;
use super::propose::signed_part;
use super::settings::Settings;
use crate::client::{Client, ErrorKind};
use crate::clock::{Clock as _, SystemClock};
use crate::jobs::mailing::{
    Began, Doing, Ending, Gate, Kind, Lists, Mailer, OpenGate, Order, Out, PermitGate, Plan,
    Progress, Report, Rules, Signed, Source, Suppressions, Template, Wanted, give, lists, read,
};
use crate::jobs::{Counters, JobError, Permit, Pinned};
use crate::ledger::{Fact, Ledger, LedgerKey, State};
use crate::wire::{proto, time};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// How often it is asked whether the mailing is still approved: so long, mail still leaves after it is not.
const ASK: Duration = Duration::from_secs(1);

/// Threads for what waits beside the sending: the permit, the signals.
const THREADS: usize = 1;

/// A process that is about to send.
pub(super) struct Sender<'s> {
    pub(super) place: LedgerPlace,
    pub(super) ledger: Box<dyn Ledger>,
    pub(super) key: LedgerKey,
    pub(super) settings: Settings,
    pub(super) files: Files,
    pub(super) signed: Signed,
    /// Whom the server is told that it is by.
    pub(super) author: String,
    pub(super) server: &'s ServerArgs,
    pub(super) output: &'s Output,
}

/// Whether people have ended it: whoever is left is written to by nobody.
pub(super) fn is_cancelled(ledger: &dyn Ledger) -> Result<bool, Failure> {
    let order: Option<Order> = read(ledger, Fact::Order).map_err(failed)?;
    Ok(order.is_some_and(|order| order.wanted == Wanted::Cancel))
}

/// A runtime for what goes on beside the sending.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failure, "no runtime can be made").because(error))
}

/// Who signed a mailing; refused unless it is approved, and the very same.
pub(super) async fn signature(client: &Client, plan: &Plan) -> Result<Signed, Failure> {
    let plan_sha256 = plan.digest().map_err(failed)?;
    let by_name = proto::get_mailing_request::Mailing::Id(plan.name.clone());
    let request = proto::GetMailingRequest { mailing: Some(by_name) };
    let found = client.get_mailing(request).await.map_err(server_failed("the mailing"))?;
    let name = &plan.name;
    if found.state() != proto::ChangeState::Approved {
        let state = found.state().as_str_name().trim_start_matches("CHANGE_STATE_").to_lowercase();
        let number = found.number;
        let failure =
            Failure::new(Exit::Conflict, format_args!("mailing `{name}` is {state}, not approved"));
        return Err(
            failure.help(format_args!("another person approves it: offergate approve {number}"))
        );
    }
    if found.mailing.as_ref() != Some(&signed_part(plan, &plan_sha256)) {
        return Err(Failure::new(
            Exit::Conflict,
            format_args!("mailing `{name}` is not what was signed as change {}", found.number),
        )
        .help("send what `batch propose` wrote, or propose anew"));
    }
    let approved_at = found.decide_time.as_ref().and_then(time::read);
    Ok(Signed {
        plan: plan.clone(),
        plan_sha256,
        number: found.number,
        author: found.author,
        approver: found.approver,
        approved_at: approved_at.map(|at| at.to_string()).unwrap_or_default(),
        digest: found.digest,
    })
}

/// What a mailing is sent from, as it was signed.
pub(super) struct Files {
    source: Source,
    /// Nothing where the mailing was cancelled.
    template: Option<Template>,
}

/// The files that were signed. What is sent is what was hashed here; no file is read again by its name. Of a
/// mailing that was cancelled nobody needs the template.
pub(super) fn signed_files(
    settings: &Settings,
    plan: &Plan,
    is_cancelled: bool,
) -> Result<Files, Failure> {
    let (mut source, mapping_sha256) = settings.source()?;
    let template = (!is_cancelled).then(|| settings.template()).transpose()?;
    let audience = source.freeze(&Arc::<Counters>::default()).map_err(failed)?;
    let mapping = |hash: &Option<String>| hash.clone().unwrap_or_else(|| "none".to_owned());
    for (what, signed, given) in [
        ("audience", plan.audience.sha256.clone(), Some(audience.sha256)),
        (
            "template",
            plan.template_sha256.clone(),
            template.as_ref().map(|template| template.sha256.clone()),
        ),
        ("mapping file", mapping(&plan.mapping_sha256), Some(mapping(&mapping_sha256))),
    ] {
        if let Some(given) = given.filter(|given| *given != signed) {
            return Err(Failure::new(
                Exit::Conflict,
                format_args!("the {what} is not the one that was signed: {given}, not {signed}"),
            )
            .help("find the file that was signed, or propose a new mailing"));
        }
    }
    Ok(Files { source, template })
}

impl Sender<'_> {
    /// Sends until it is over, or the process is to end.
    pub(super) fn run(
        mut self,
        client: Option<&Client>,
        runtime: &Runtime,
    ) -> Result<Exit, Failure> {
        let is_cancelled = is_cancelled(&*self.ledger)?;
        let client = client.filter(|_| !is_cancelled);
        let began: Option<Began> = read(&*self.ledger, Fact::Began).map_err(failed)?;
        let (plan, output) = (self.signed.plan.clone(), self.output);
        let start = match (client, &began) {
            (None, _) => None,
            (Some(_), Some(Began { revision: None, .. })) => None,
            (Some(client), began) => {
                let revision = began.as_ref().and_then(|began| began.revision);
                match runtime.block_on(Pinned::take(client, revision)) {
                    Ok(pinned) => Some(Arc::new(Rules::of(&pinned))),
                    // A service message needs none.
                    Err(_) if plan.kind == Kind::Notify => None,
                    Err(error) => return Err(failed(error)),
                }
            }
        };
        let stop = Arc::new(AtomicBool::new(false));
        runtime.spawn(listen(Arc::clone(&stop)));
        let signed = signed_part(&plan, &self.signed.plan_sha256);
        let (number, place) = (self.signed.number, self.place.clone());
        if !is_cancelled {
            runtime.spawn(watch(self.server.clone(), client.cloned(), number, signed, place));
        }
        let permit = match (plan.kind, client) {
            (Kind::Offer, Some(client)) => {
                let held = Permit::hold(client.clone(), &plan.name, Arc::new(SystemClock));
                Some(PermitGate::new(runtime.block_on(held).map_err(failed)?))
            }
            _ => None,
        };
        let open = OpenGate(start.clone());
        let gate: &dyn Gate = match &permit {
            Some(permit) => permit,
            None => &open,
        };
        let (out, proofs, suppressions) = match is_cancelled {
            true => (Out::Nobody, None, Suppressions::default()),
            false => (self.settings.out()?, self.settings.proofs()?, self.settings.suppressions()?),
        };
        let binding = match &out {
            Out::Smtp(..) => {
                let (place, author) = (self.place.clone(), self.author.clone());
                let (number, runtime) = (self.signed.number, runtime.handle().clone());
                let ledger = &mut *self.ledger;
                let stop = Arc::clone(&stop);
                Some(Binding::of(ledger, place, number, author, client, runtime, stop)?)
            }
            Out::Folder(..) | Out::Nobody => None,
        };
        if plan.kind == Kind::Offer && !is_cancelled {
            output.note(leak_bound(&plan, gate.reach(), &out));
        }
        for (path, sha256, named) in &suppressions.files {
            output.note(format_args!("{named} are kept from it by {} ({sha256})", path.display()));
        }
        let teller = Teller { output, last: std::sync::Mutex::default() };
        let mailer = Mailer {
            plan: &plan,
            source: &self.files.source,
            proofs: proofs.as_ref(),
            template: self.files.template.as_ref(),
            suppressions: &suppressions,
            gate,
            start,
            clock: &SystemClock,
            out: &out,
            bind: &|| binding.as_ref().map_or(Ok(()), Binding::bind),
            retries: self.settings.retries(),
            patience: self.settings.patience(),
            stop: &stop,
            watch: &|progress| teller.tell(progress),
        };
        let ending = mailer.send(&mut *self.ledger, &self.key).map_err(failed)?;
        if let Some(permit) = permit {
            runtime.block_on(permit.leave());
        }
        binding.as_ref().map_or(Ok(()), Binding::is_held)?;
        self.end(ending)
    }

    /// Tells what was done, and writes the lists beside the ledger.
    fn end(self, ending: Ending) -> Result<Exit, Failure> {
        let report = Report::read(&*self.ledger).map_err(failed)?;
        let output = self.output;
        let tally = &report.recipients;
        output.note(format_args!(
            "{} recipients: {} sent, {} not sent, {} failed, {} in doubt, {} pending",
            tally.audience, tally.sent, tally.not_sent, tally.failed, tally.in_doubt, tally.pending
        ));
        for line in report.lines.iter().filter(|line| !line.reason.is_empty()) {
            let name = format!("  {} {}", line.outcome, line.reason);
            output.note(format_args!("{name:<52} {:>10}", line.recipients));
        }
        if self.signed.plan.kind == Kind::Offer {
            output.note(format_args!("leaked while the rules moved: {}", report.leaks()));
        }
        if ending == Ending::Interrupted {
            let ledger = self.place.arguments();
            output.note(format_args!("paused; go on with: offergate batch resume {ledger}"));
            return Ok(Exit::Interrupted);
        }
        let (source, _) = self.settings.source()?;
        let lists = lists(&source, &self.signed.plan, &*self.ledger, &self.key).map_err(failed)?;
        write_lists(self.place.lists(), &lists, output)?;
        let doing = report.standing.as_ref().map_or(Doing::Finished, |standing| standing.doing);
        let why = report.standing.map(|standing| standing.why).unwrap_or_default();
        match doing {
            Doing::StoppedByRule => {
                output.note(format_args!("STOPPED_BY_RULE: {why}"));
                Ok(Exit::Conflict)
            }
            Doing::Cancelled => {
                output.note(format_args!("CANCELLED: {why}"));
                Ok(Exit::Conflict)
            }
            Doing::Finished | Doing::Sending | Doing::Waiting | Doing::Paused => Ok(Exit::Ok),
        }
    }
}

/// The lists that stand beside a ledger and name its recipients by their rows.
const LISTS: [&str; 2] = ["in-doubt", "rejects"];

fn list_path(ledger: &Path, name: &str) -> PathBuf {
    let mut path = ledger.as_os_str().to_owned();
    path.push(format!(".{name}.csv"));
    path.into()
}

/// Where the lists are.
pub(super) fn list_paths(ledger: &Path) -> [PathBuf; 2] {
    LISTS.map(|name| list_path(ledger, name))
}

/// Removes the lists.
pub(super) fn remove_lists(ledger: &Path) -> Result<(), Failure> {
    for path in list_paths(ledger) {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let what = format_args!("{} cannot be removed", path.display());
                return Err(Failure::new(Exit::Failure, what).because(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Writes who is in doubt and who was rejected, where there is anybody.
pub(super) fn write_lists(ledger: &Path, lists: &Lists, output: &Output) -> Result<(), Failure> {
    let whats = ["in doubt", "cannot be written to"];
    for ((name, what), text) in LISTS.iter().zip(whats).zip([&lists.in_doubt, &lists.rejects]) {
        let many = text.lines().count().saturating_sub(1);
        let path = list_path(ledger, name);
        if many == 0 {
            // One of before names people who have an outcome by now.
            let _ = std::fs::remove_file(&path);
            continue;
        }
        crate::jobs::write_file(&path, text).map_err(failed)?;
        output.note(format_args!("{many} {what}, see {}", path.display()));
    }
    if lists.proofs_in_doubt != 0 {
        output.note(format_args!("{} proofs are in doubt", lists.proofs_in_doubt));
    }
    Ok(())
}

/// How many can leave by rules that have just changed.
fn leak_bound(plan: &Plan, reach: Duration, out: &Out) -> String {
    let queue = match out {
        Out::Smtp(_, connections) => u64::from(*connections),
        Out::Folder(_, threads) => u64::from(*threads),
        Out::Nobody => 0,
    };
    let rate = u64::from(plan.schedule.per_second.unwrap_or(u32::MAX));
    let seconds = reach.as_secs() + u64::from(reach.subsec_nanos() != 0);
    let most = rate.saturating_mul(seconds) + queue;
    format!(
        "at most {rate} a second x {seconds} s + {queue} in hand = {most} can leave after a suspension is made \
         and before it is enforced; none begins after"
    )
}

/// Two signals: the first pauses in order, the second ends at once.
async fn listen(stop: Arc<AtomicBool>) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(Exit::Interrupted as u8));
        }
    }
}

/// Cancels a mailing whose approval was taken back, and lets one stand still of which the server will not speak.
async fn watch(
    server: ServerArgs,
    mut known: Option<Client>,
    number: u64,
    signed: proto::Mailing,
    place: LedgerPlace,
) {
    let mut is_new = false;
    // The first question is asked at once.
    let mut pauses = tokio::time::interval(ASK);
    pauses.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pauses.tick().await;
        let Some(client) = &known else {
            // Who may ask may be told otherwise by now: a token is read anew.
            let Ok(credentials) = server.credentials() else { continue };
            known = server.connect_as(credentials).await.ok();
            is_new = true;
            continue;
        };
        let by_number = proto::get_mailing_request::Mailing::Number(number);
        let request = proto::GetMailingRequest { mailing: Some(by_number) };
        let answer = client.get_mailing(request).await;
        let order = match verdict(number, &signed, answer, SystemClock.wall()) {
            Verdict::GoOn => None,
            Verdict::Ended(order) => Some(order),
            Verdict::Refused(order) => {
                known = None;
                Some(order).filter(|_| is_new)
            }
        };
        is_new = false;
        if let Some(order) = order {
            // What cannot be written now is tried again with the next answer. A ledger that is away may take long
            // to say so, and signals and the permit do not wait for it.
            let place = place.clone();
            let giving = tokio::task::spawn_blocking(move || {
                let looked = place.look().map_err(JobError::from);
                looked.and_then(|mut ledger| give(&mut *ledger, order))
            });
            let _ = giving.await;
        }
    }
}

/// Tells people how far it is: each time what it does changes, and every ten seconds.
struct Teller<'t> {
    output: &'t Output,
    last: std::sync::Mutex<(String, Duration)>,
}

impl Teller<'_> {
    fn tell(&self, progress: &Progress) {
        let standing = &progress.standing;
        let mut what = standing.doing.words().to_owned();
        if !standing.why.is_empty() {
            what = format!("{what}: {}", standing.why);
        }
        let now = SystemClock.boot();
        let Ok(mut last) = self.last.lock() else { return };
        if last.0 == what && now < last.1 + Duration::from_secs(10) {
            return;
        }
        let count = |wanted| {
            let mut states = progress.by_state.iter();
            states.find(|(state, _)| *state == wanted).map_or(0, |(_, many)| *many)
        };
        let done: u64 = progress.by_state.iter().map(|(_, many)| many).sum();
        self.output.note(format_args!(
            "{what} ({} of {}: {} sent, {} not sent)",
            done - count(State::Begun),
            progress.of,
            count(State::Sent),
            count(State::NotSent)
        ));
        *last = (what, now);
    }
}

/// Connects; nothing where nobody answers.
pub(super) fn connect(
    server: &ServerArgs,
    runtime: &Runtime,
) -> Result<Result<Client, Failure>, Failure> {
    let credentials = server.credentials()?;
    match runtime.block_on(server.connect_as(credentials)) {
        Ok(client) => Ok(Ok(client)),
        Err(error) if error.kind == ErrorKind::Unreachable => {
            Ok(Err(server_failed("connecting")(error)))
        }
        Err(error) => Err(server_failed("connecting")(error)),
    }
}
