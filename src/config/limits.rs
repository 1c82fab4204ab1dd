//! The settings of what a server takes on and how it stops: what they are, and their rows in the table.
//!
//! Not here: limits that are no setting. `deploy/limits.md` has them all.

use super::read::{count, duration};
use super::setting::{DefaultValue, Setting};
use std::time::Duration;

/// What a server takes on beyond the limits of calls at once, and how it stops.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadSettings {
    /// Checks that the whole process answers a second; `None` for no limit.
    pub checks_per_second: Option<u32>,
    /// Checks that one caller is answered a second, unless the table of principals says otherwise for
    /// it; `None` for no limit.
    pub quota_per_second: Option<u32>,
    /// How many of those may come at once; `None` for a second's worth.
    pub quota_burst: Option<u32>,
    /// About how old a connection may become.
    pub connection_age: Duration,
    /// How long a server that was told to stop goes on as before, with its health red.
    pub drain_delay: Duration,
    /// Which log lines are written.
    pub log_filter: String,
}

/// Settings that a running server reads anew when it is told to.
const RELOADABLE: [&str; 8] = [
    "max_checks_per_second",
    "quota_per_second",
    "quota_burst",
    "max_connections",
    "max_connections_per_peer",
    "drain_delay",
    "drain_timeout",
    "log_filter",
];

/// Whether a running server takes a new value of this setting on SIGHUP.
#[must_use]
pub fn is_reloadable(name: &str) -> bool {
    RELOADABLE.contains(&name)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn rate(place: &mut Option<u32>, text: &str) -> Result<(), String> {
    *place = u32::try_from(count(text, 1, 10_000_000)?).ok();
    Ok(())
}

pub(super) const CHECKS_PER_SECOND: Setting = Setting {
    name: "max_checks_per_second",
    effect: "How many checks this server answers a second; more are refused as RESOURCE_EXHAUSTED, \
             TOO_BUSY. Each check of a batch or a stream counts.",
    form: "count, 1 to 10000000",
    default: DefaultValue::Unset("no limit"),
    secret: false,
    read: |settings, text| rate(&mut settings.load.checks_per_second, text),
};

pub(super) const QUOTA_PER_SECOND: Setting = Setting {
    name: "quota_per_second",
    effect: "How many checks one caller is answered a second by this server; more are refused as \
             RESOURCE_EXHAUSTED, QUOTA_EXCEEDED. `principals_file` can say otherwise for a service. \
             Who proves nothing is counted by address.",
    form: "count, 1 to 10000000",
    default: DefaultValue::Unset("no limit"),
    secret: false,
    read: |settings, text| rate(&mut settings.load.quota_per_second, text),
};

pub(super) const QUOTA_BURST: Setting = Setting {
    name: "quota_burst",
    effect: "How many of them may come at once.",
    form: "count, 1 to 10000000",
    default: DefaultValue::Unset("as many as in a second"),
    secret: false,
    read: |settings, text| rate(&mut settings.load.quota_burst, text),
};

pub(super) const CONNECTION_AGE: Setting = Setting {
    name: "max_connection_age",
    effect: "About how old a client's connection may become, give or take a tenth; then its client is \
             asked to make a new one, so that new servers get their share.",
    form: "duration, 1s to 24h",
    default: DefaultValue::Fixed("30m"),
    secret: false,
    read: |settings, text| {
        duration(text, millis(1000), millis(24 * 3_600_000))
            .map(|value| settings.load.connection_age = value)
    },
};

pub(super) const DRAIN_DELAY: Setting = Setting {
    name: "drain_delay",
    effect: "How long a server that is told to stop goes on serving with its health red, so that \
             balancers look elsewhere before it refuses anybody.",
    form: "duration, 0s to 10m",
    default: DefaultValue::Fixed("500ms"),
    secret: false,
    read: |settings, text| {
        duration(text, Duration::ZERO, millis(600_000))
            .map(|value| settings.load.drain_delay = value)
    },
};

pub(super) const LOG_FILTER: Setting = Setting {
    name: "log_filter",
    effect: "Which log lines are written: a level, or levels by part of the program. RUST_LOG, where \
             it is set, outranks it.",
    form: "filter such as info or offergate=debug,warn",
    default: DefaultValue::Fixed("info"),
    secret: false,
    read: |settings, text| {
        // Whether it reads as a filter, telemetry finds out before a port opens.
        text.clone_into(&mut settings.load.log_filter);
        Ok(())
    },
};
