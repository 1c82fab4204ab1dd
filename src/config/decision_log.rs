//! The settings of the decision log: what they are, and their rows in the table.

use super::read::{choice, count, share};
use super::setting::{DefaultValue, Setting};
use std::path::PathBuf;

/// What is written of decisions, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DecisionLogSettings {
    /// Which decisions are written.
    pub mode: DecisionLogMode,
    /// The folder; `None` for [`default_decision_log`](super::default_decision_log).
    pub dir: Option<PathBuf>,
    /// Which share `sampled` writes, in millionths.
    pub sample_millionths: u32,
    /// What happens when it cannot keep up; `None` for what the mode implies.
    pub when_full: Option<WhenFull>,
    /// Whether customers are named by keyed hashes of their ids.
    pub keyed: bool,
    /// The keys of those hashes.
    pub key_file: Option<PathBuf>,
    /// How many days segments are kept; `None` for ever.
    pub keep_days: Option<u32>,
    /// How much room they may take; `None` for no limit.
    pub keep_mib: Option<u64>,
}

/// Which decisions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DecisionLogMode {
    /// None.
    #[default]
    Off,
    /// A part, drawn by lot.
    Sampled,
    /// Every one.
    Complete,
}

/// What happens when the decision log cannot keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Decisions go unrecorded, and are counted.
    Gap,
    /// Checks are refused.
    Refuse,
}

pub(super) const MODE: Setting = Setting {
    name: "decision_log",
    effect: "Which decisions are written to the decision log: none, a part drawn by lot, or every \
             one.",
    form: "off, sampled or complete",
    default: DefaultValue::Fixed("off"),
    secret: false,
    read: |settings, text| {
        let modes = [
            ("off", DecisionLogMode::Off),
            ("sampled", DecisionLogMode::Sampled),
            ("complete", DecisionLogMode::Complete),
        ];
        choice(text, &modes).map(|value| settings.decision_log.mode = value)
    },
};

pub(super) const DIR: Setting = Setting {
    name: "decision_log_dir",
    effect: "The folder of the decision log. One server writes to it; it holds what callers said \
             about customers, so protect it as you protect customer data.",
    form: "PATH",
    default: DefaultValue::Unset("decisions in the folder of the default store"),
    secret: false,
    read: |settings, text| {
        settings.decision_log.dir = Some(PathBuf::from(text));
        Ok(())
    },
};

pub(super) const SAMPLE: Setting = Setting {
    name: "decision_log_sample",
    effect: "Which share of all decisions `sampled` writes.",
    form: "number above 0, up to 1, with at most 6 decimals",
    default: DefaultValue::Fixed("0.01"),
    secret: false,
    read: |settings, text| share(text).map(|value| settings.decision_log.sample_millionths = value),
};

pub(super) const WHEN_FULL: Setting = Setting {
    name: "decision_log_when_full",
    effect: "What happens when the decision log cannot keep up or its disk is full: decisions go \
             unrecorded, and a gap record counts them; or checks are refused as \
             RESOURCE_EXHAUSTED.",
    form: "gap or refuse",
    default: DefaultValue::Unset("gap for sampled, refuse for complete"),
    secret: false,
    read: |settings, text| {
        let ways = [("gap", WhenFull::Gap), ("refuse", WhenFull::Refuse)];
        choice(text, &ways).map(|value| settings.decision_log.when_full = Some(value))
    },
};

pub(super) const CUSTOMER_IDS: Setting = Setting {
    name: "decision_log_customer_ids",
    effect: "How customers are named in the decision log: by their ids, or by a keyed hash of \
             them, which means nothing once its key is destroyed.",
    form: "plain or keyed",
    default: DefaultValue::Fixed("plain"),
    secret: false,
    read: |settings, text| {
        let ways = [("plain", false), ("keyed", true)];
        choice(text, &ways).map(|value| settings.decision_log.keyed = value)
    },
};

pub(super) const KEY_FILE: Setting = Setting {
    name: "decision_log_key_file",
    effect: "The keys of those hashes, a line each: a version number and 32 bytes in 64 hex \
             digits. The highest version is used; deleting a line erases whom it named. Only \
             its owner may have access to the file.",
    form: "path of a file",
    default: DefaultValue::Unset("none"),
    secret: false,
    read: |settings, text| {
        settings.decision_log.key_file = Some(PathBuf::from(text));
        Ok(())
    },
};

pub(super) const KEEP_DAYS: Setting = Setting {
    name: "decision_log_keep_days",
    effect: "How long segments of the decision log are kept; older ones are deleted, oldest first.",
    form: "count of days, 1 to 36500",
    default: DefaultValue::Unset("for ever"),
    secret: false,
    read: |settings, text| {
        let days = count(text, 1, 36_500).map(|value| u32::try_from(value).ok());
        days.map(|value| settings.decision_log.keep_days = value)
    },
};

pub(super) const KEEP_MIB: Setting = Setting {
    name: "decision_log_keep_mib",
    effect: "How much room the decision log may take; the oldest segments are deleted beyond it.",
    form: "count of MiB, 256 to 1000000000",
    default: DefaultValue::Unset("no limit"),
    secret: false,
    read: |settings, text| {
        let mib = count(text, 256, 1_000_000_000).map(|value| u64::try_from(value).ok());
        mib.map(|value| settings.decision_log.keep_mib = value)
    },
};
