//! How far a change has got, as the command line prints it.
//!
//! Invariant: what is not known to be enforced never reads as if it were.

use super::decision_view::bare;
use super::exit::{Exit, Failure};
use super::output::Answer;
use super::text::Text;
use crate::wire::proto;
use serde::Serialize;
use std::time::Duration;

const ENFORCED: &str = "ENFORCED";
const CONFIRMED: &str = "CONFIRMED";
const EXPIRED: &str = "EXPIRED";

/// How far a change has got.
#[derive(Debug, Clone, Serialize)]
pub(super) struct EnforcementView {
    /// `ENFORCED` or `PENDING`.
    pub(super) state: String,
    /// How far it has got for certain.
    reached: String,
    revision: u64,
    pub(super) token: String,
    replicas: Vec<ProgressView>,
    /// Store nodes that have it on disk, of those that must.
    copies: u32,
    nodes: u32,
    pub(super) shortfalls: Vec<ShortfallView>,
    /// Since the change was sent, or the wait began.
    pub(super) elapsed_ms: u64,
    /// Why the server could not be asked the last time.
    pub(super) trouble: Option<String>,
    /// The command that goes on waiting.
    #[serde(skip)]
    pub(super) command: String,
}

/// How far one replica is.
#[derive(Debug, Clone, Serialize)]
struct ProgressView {
    name: String,
    progress: String,
    /// Since the server began to wait.
    after_ms: Option<u64>,
    /// Whether it is a mailer that acts by a server's rules, and answers no checks.
    holds_permit: bool,
}

/// A setting of the store that takes something away from the promise.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ShortfallView {
    setting: String,
    found: String,
    wanted: String,
    cost: String,
}

impl ShortfallView {
    pub(super) fn all(shortfalls: Vec<proto::StoreShortfall>) -> Vec<Self> {
        let view = |shortfall| {
            let proto::StoreShortfall { setting, found, wanted, cost } = shortfall;
            Self { setting, found, wanted, cost }
        };
        shortfalls.into_iter().map(view).collect()
    }

    /// Such as: the store's `appendfsync` is `everysec` and not `always`: a server that ...
    pub(super) fn sentence(&self) -> String {
        let Self { setting, found, wanted, cost } = self;
        format!("the store's `{setting}` is `{found}` and not `{wanted}`: {cost}")
    }
}

impl EnforcementView {
    pub(super) fn of(answer: proto::AwaitEnforcementResponse) -> Result<Self, Failure> {
        let progress = |replica: proto::ReplicaEnforcement| ProgressView {
            progress: bare(replica.progress().as_str_name(), "REPLICA_PROGRESS_"),
            after_ms: replica.after.and_then(millis),
            holds_permit: replica.holds_permit,
            name: replica.name,
        };
        let elapsed_ms = answer.elapsed.and_then(millis).ok_or_else(|| {
            Failure::new(Exit::Failure, "the server answered without saying how long it waited")
        })?;
        Ok(Self {
            state: bare(answer.state().as_str_name(), "ENFORCEMENT_STATE_"),
            reached: bare(answer.reached().as_str_name(), "ENFORCEMENT_STATE_"),
            revision: answer.revision,
            token: answer.token,
            replicas: answer.replicas.into_iter().map(progress).collect(),
            copies: answer.copies,
            nodes: answer.nodes,
            shortfalls: ShortfallView::all(answer.shortfalls),
            elapsed_ms,
            trouble: None,
            command: String::new(),
        })
    }

    /// Nothing was heard of the change yet.
    pub(super) fn unheard() -> Self {
        Self {
            state: "PENDING".to_owned(),
            reached: String::new(),
            revision: 0,
            token: String::new(),
            replicas: Vec::new(),
            copies: 0,
            nodes: 0,
            shortfalls: Vec::new(),
            elapsed_ms: 0,
            trouble: None,
            command: String::new(),
        }
    }

    pub(super) fn is_enforced(&self) -> bool {
        self.state == ENFORCED
    }

    /// How far it is, in one line.
    pub(super) fn sentence(&self) -> String {
        let took = took(self.elapsed_ms);
        if !self.is_enforced() {
            return format!("not known to be enforced after {took}: {}", self.missing().join("; "));
        }
        let all = self.replicas.iter().filter(|it| !it.holds_permit).count();
        if all == 0 {
            return format!("enforced on this server in {took}{}", self.mailers());
        }
        let confirmed = self.those(CONFIRMED).count();
        let slowest = self.those(CONFIRMED).max_by_key(|replica| replica.after_ms);
        let slowest = slowest.map_or_else(String::new, |it| format!(" (slowest: {})", it.name));
        let expired: Vec<&str> = self.those(EXPIRED).map(|replica| replica.name.as_str()).collect();
        let expired = match expired.is_empty() {
            true => String::new(),
            false => format!(
                "; no word from {}, whose proof has run out: nothing is answered ELIGIBLE there",
                expired.join(", ")
            ),
        };
        let mailers = self.mailers();
        format!("enforced on {confirmed} of {all} replicas in {took}{slowest}{expired}{mailers}")
    }

    /// How it went with those who act elsewhere by a server's rules, if there are any.
    fn mailers(&self) -> String {
        let (obey, expired) = (self.mailers_with(CONFIRMED), self.mailers_with(EXPIRED));
        let mut said = String::new();
        if !obey.is_empty() {
            said += &format!("; obeyed by mailer {}", obey.join(", "));
        }
        if !expired.is_empty() {
            said +=
                &format!("; no word from mailer {}, whose permit has run out", expired.join(", "));
        }
        said
    }

    fn mailers_with(&self, progress: &str) -> Vec<&str> {
        let mailers = self.replicas.iter().filter(|it| it.holds_permit && it.progress == progress);
        mailers.map(|mailer| mailer.name.as_str()).collect()
    }

    /// What stands between the change and being enforced.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.copies < self.nodes {
            missing.push(format!("{} of {} store nodes have it", self.copies, self.nodes));
        }
        missing.extend(self.shortfalls.iter().map(ShortfallView::sentence));
        let waiting = |it: &&ProgressView| it.progress != CONFIRMED && it.progress != EXPIRED;
        let (mailers, silent): (Vec<_>, Vec<_>) =
            self.replicas.iter().filter(waiting).partition(|it| it.holds_permit);
        let names = |those: Vec<&ProgressView>| {
            those.into_iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        if !silent.is_empty() {
            missing.push(format!("no word from {}", names(silent)));
        }
        if !mailers.is_empty() {
            missing.push(format!("waiting for mailer {}", names(mailers)));
        }
        missing.extend(self.trouble.clone());
        if missing.is_empty() {
            missing.push(match self.replicas.is_empty() {
                true => "the server has not got so far".to_owned(),
                false => "every replica listed has it, and one that the store forgot when its \
                          primary changed may not"
                    .to_owned(),
            });
        }
        missing
    }

    fn those(&self, progress: &str) -> impl Iterator<Item = &ProgressView> {
        self.replicas.iter().filter(move |it| !it.holds_permit && it.progress == progress)
    }
}

impl Answer for EnforcementView {
    const COLUMNS: &'static [&'static str] =
        &["state", "reached", "revision", "token", "copies", "nodes", "elapsed_ms"];

    fn text(&self, text: &mut Text) {
        let nodes = match self.nodes {
            0 => String::new(),
            nodes => format!("{} of {nodes} have it", self.copies),
        };
        text.fields(&[
            ("state", self.state.clone()),
            (
                "revision",
                if self.revision == 0 { String::new() } else { self.revision.to_string() },
            ),
            ("token", self.token.clone()),
            ("store nodes", nodes),
        ]);
        if !self.replicas.is_empty() {
            text.gap();
        }
        text.table(
            &["REPLICA", "PROGRESS", "AFTER"],
            self.replicas.iter().map(|replica| {
                let after = replica.after_ms.map(took).unwrap_or_default();
                let kind = if replica.holds_permit { "mailer " } else { "" };
                [format!("{kind}{}", replica.name), replica.progress.clone(), after]
            }),
        );
    }
}

/// How long something took, as people say it.
pub(super) fn took(millis: u64) -> String {
    match millis {
        0..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", Duration::from_millis(millis).as_secs_f64()),
    }
}

/// A duration of the wire in whole milliseconds.
pub(super) fn millis(duration: prost_types::Duration) -> Option<u64> {
    let duration = Duration::try_from(duration).ok()?;
    u64::try_from(duration.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(name: &str, progress: &str, after_ms: Option<u64>) -> ProgressView {
        let (name, progress) = (name.to_owned(), progress.to_owned());
        ProgressView { name, progress, after_ms, holds_permit: false }
    }

    fn enforced(replicas: Vec<ProgressView>) -> EnforcementView {
        EnforcementView {
            state: ENFORCED.to_owned(),
            copies: 1,
            nodes: 1,
            elapsed_ms: 24,
            replicas,
            ..EnforcementView::unheard()
        }
    }

    #[test]
    fn what_is_enforced_says_on_how_many_replicas_and_which_came_last() {
        let all = vec![replica("r1", CONFIRMED, Some(3)), replica("r2", CONFIRMED, Some(9))];
        assert_eq!(enforced(all).sentence(), "enforced on 2 of 2 replicas in 24 ms (slowest: r2)");
        let one_gone = vec![replica("r1", CONFIRMED, Some(3)), replica("r2", EXPIRED, None)];
        let view = EnforcementView { elapsed_ms: 5_120, ..enforced(one_gone) };
        assert_eq!(
            view.sentence(),
            "enforced on 1 of 2 replicas in 5.1 s (slowest: r1); no word from r2, whose proof has \
             run out: nothing is answered ELIGIBLE there"
        );
        assert_eq!(enforced(vec![]).sentence(), "enforced on this server in 24 ms");
    }

    #[test]
    fn mailers_are_told_apart_from_replicas() {
        let mailer =
            |name, progress| ProgressView { holds_permit: true, ..replica(name, progress, None) };
        let obeyed = enforced(vec![mailer("kis.1", CONFIRMED)]);
        let said = "enforced on this server in 24 ms; obeyed by mailer kis.1";
        assert_eq!(obeyed.sentence(), said);
        let both = vec![replica("r1", CONFIRMED, Some(3)), mailer("kis.1", EXPIRED)];
        assert_eq!(
            enforced(both).sentence(),
            "enforced on 1 of 1 replicas in 24 ms (slowest: r1); no word from mailer kis.1, whose \
             permit has run out"
        );
        let missing = vec![replica("r1", CONFIRMED, Some(3)), mailer("kis.1", "MISSING")];
        let pending = EnforcementView { state: "PENDING".to_owned(), ..enforced(missing) };
        let said = "not known to be enforced after 24 ms: waiting for mailer kis.1";
        assert_eq!(pending.sentence(), said);
    }

    #[test]
    fn what_is_pending_names_everything_that_is_missing() {
        let shortfall = ShortfallView {
            setting: "appendfsync".to_owned(),
            found: "everysec".to_owned(),
            wanted: "always".to_owned(),
            cost: "power loss forgets".to_owned(),
        };
        let replicas = vec![replica("r1", CONFIRMED, Some(3)), replica("r2", "MISSING", None)];
        let view = EnforcementView {
            state: "PENDING".to_owned(),
            nodes: 3,
            copies: 2,
            shortfalls: vec![shortfall],
            ..enforced(replicas)
        };
        assert_eq!(
            view.sentence(),
            "not known to be enforced after 24 ms: 2 of 3 store nodes have it; the store's \
             `appendfsync` is `everysec` and not `always`: power loss forgets; no word from r2"
        );
    }

    #[test]
    fn a_state_that_no_server_of_this_version_sends_is_not_enforced() {
        let mut answer = proto::AwaitEnforcementResponse {
            elapsed: Some(prost_types::Duration::default()),
            ..proto::AwaitEnforcementResponse::default()
        };
        for state in [0, 1, 2, 4, 99] {
            answer.state = state;
            let enforced = EnforcementView::of(answer.clone()).map(|view| view.is_enforced());
            assert_eq!(enforced.ok(), Some(false), "{state}");
        }
    }
}
