//! Opens the decision log that the settings of `serve` ask for.

use super::audit;
use super::exit::{Exit, Failure};
use crate::audit::decisions::{CustomerIds, CustomerKey, read_keys};
use crate::clock::SystemClock;
use crate::config::{self, DecisionLogMode, Settings, WhenFull};
use crate::recorder::{Recorder, RecorderSettings, Seen, StartError};
use crate::telemetry::{DecisionLogSeen, Telemetry};
use std::path::Path;
use std::sync::Arc;

/// A share of all, in millionths.
const ALL: u32 = 1_000_000;

/// The recorder, if decisions are recorded at all.
pub(super) fn open(
    settings: &Settings,
    demo: bool,
    telemetry: &Telemetry,
) -> Result<Option<Arc<Recorder>>, Failure> {
    let log = &settings.decision_log;
    let (sample_millionths, implied) = match log.mode {
        DecisionLogMode::Off => return Ok(None),
        DecisionLogMode::Sampled => (log.sample_millionths, WhenFull::Gap),
        DecisionLogMode::Complete => (ALL, WhenFull::Refuse),
    };
    let folder = match &log.dir {
        Some(folder) => folder.clone(),
        None => config::default_decision_log(demo).map_err(Failure::usage)?,
    };
    let ids = match log.key_file.as_deref().filter(|_| log.keyed) {
        None => CustomerIds::Plain,
        Some(path) => {
            let newest = customer_keys(path)?.into_iter().next();
            newest.map_or(CustomerIds::Plain, |key| CustomerIds::Keyed(Box::new(key)))
        }
    };
    let server = match &settings.replica {
        Some(name) => name.clone(),
        None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    let recorder = Recorder::start(
        RecorderSettings {
            folder,
            server,
            workers: settings.workers,
            sample_millionths,
            refuse: log.when_full.unwrap_or(implied) == WhenFull::Refuse,
            ids,
            key: audit::key_of(settings, demo)?,
            keep_days: log.keep_days,
            keep_bytes: log.keep_mib.map(|mib| mib.saturating_mul(1024 * 1024)),
            lane_bytes: RecorderSettings::LANE_BYTES,
        },
        Arc::new(SystemClock),
    );
    let recorder = recorder.map_err(refused)?;
    let seen = Arc::clone(&recorder);
    telemetry.observe_decision_log(move || shown(seen.seen()));
    Ok(Some(recorder))
}

/// The keys of customers' names, newest first.
pub(super) fn customer_keys(path: &Path) -> Result<Vec<CustomerKey>, Failure> {
    let text = audit::secret_text(path)?;
    read_keys(&text).map_err(|error| {
        Failure::new(Exit::Failure, format_args!("`{}` holds no keys", path.display()))
            .because(error)
            .help("a line is `1 ` and the 64 digits that `openssl rand -hex 32` prints")
    })
}

fn refused(error: StartError) -> Failure {
    let (exit, help) = match &error {
        StartError::InUse { .. } => {
            (Exit::Conflict, "each server has a folder of its own: set --decision-log-dir")
        }
        StartError::Io { source, .. } => {
            (Exit::of_cause(source), "set --decision-log-dir to a folder that can be written to")
        }
        StartError::Damaged { .. } => (
            Exit::Failure,
            "keep the folder as evidence, run `offergate audit decisions verify` on it, and set \
             --decision-log-dir to a new one",
        ),
    };
    Failure::new(exit, "decisions cannot be recorded").because(error).help(help)
}

fn shown(seen: Seen) -> DecisionLogSeen {
    #[expect(clippy::cast_precision_loss, reason = "thousandths")]
    let fill = seen.fill as f64 / 1_000.0;
    DecisionLogSeen {
        records: vec![
            ("written", seen.written),
            ("sampled_out", seen.sampled_out),
            ("dropped", seen.dropped),
            ("refused", seen.refused),
        ],
        gaps: seen.gaps,
        fill,
        is_writable: !seen.is_failing,
    }
}
