//! The instruments that are not on the path of a check: rules, their age, the build.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use std::sync::Arc;
use std::time::Duration;

/// What the metrics say about the rules in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesSeen {
    /// The revision that checks are decided with.
    pub revision: u64,
    /// How long ago it was last proven to be the newest; `None` if it never was.
    pub age: Option<Duration>,
    /// How many rules there are of each kind.
    pub counts: Vec<(&'static str, u64)>,
    /// How many changes were made in an emergency and wait to be ratified: in time, and overdue.
    pub unratified: (u64, u64),
}

/// Shows the rules as `offergate_rules_revision`, `offergate_rules_age_seconds`,
/// `offergate_rules{kind}` and `offergate_unratified_changes{overdue}`; `see` is asked at each scrape, and answers `None` while none are loaded.
pub(super) fn observe_rules(
    meter: &Meter,
    see: impl Fn() -> Option<RulesSeen> + Send + Sync + 'static,
) {
    let see = Arc::new(see);
    let seen = Arc::clone(&see);
    meter
        .u64_observable_gauge("offergate.rules.revision")
        .with_description("Revision of the rules that checks are decided with.")
        .with_callback(move |observer| {
            if let Some(rules) = seen() {
                observer.observe(rules.revision, &[]);
            }
        })
        .build();
    let seen = Arc::clone(&see);
    meter
        .f64_observable_gauge("offergate.rules.age")
        .with_description("Time since the rules were last proven to be the newest.")
        .with_unit("s")
        .with_callback(move |observer| {
            if let Some(age) = seen().and_then(|rules| rules.age) {
                observer.observe(age.as_secs_f64(), &[]);
            }
        })
        .build();
    let seen = Arc::clone(&see);
    meter
        .u64_observable_gauge("offergate.unratified.changes")
        .with_description("Changes that one person made in an emergency and nobody has ratified.")
        .with_callback(move |observer| {
            if let Some((in_time, overdue)) = seen().map(|rules| rules.unratified) {
                observer.observe(in_time, &[KeyValue::new("overdue", false)]);
                observer.observe(overdue, &[KeyValue::new("overdue", true)]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("offergate.rules")
        .with_description("Rules in the revision that checks are decided with, by kind.")
        .with_unit("{rule}")
        .with_callback(move |observer| {
            for (kind, count) in see().map(|rules| rules.counts).unwrap_or_default() {
                observer.observe(count, &[KeyValue::new("kind", kind)]);
            }
        })
        .build();
}

/// What the metrics say about the decision log.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionLogSeen {
    /// How many decisions went which way.
    pub records: Vec<(&'static str, u64)>,
    /// How many gaps were recorded.
    pub gaps: u64,
    /// How full the fullest worker's lane is, from 0 to 1.
    pub fill: f64,
    /// Whether the disk takes what is to be written.
    pub is_writable: bool,
}

/// Shows the decision log as `offergate_decision_log_records_total{outcome}`,
/// `offergate_decision_log_gap_total`, `offergate_decision_log_fill` and
/// `offergate_decision_log_writable`.
pub(super) fn observe_decision_log(
    meter: &Meter,
    see: impl Fn() -> DecisionLogSeen + Send + Sync + 'static,
) {
    let see = Arc::new(see);
    let seen = Arc::clone(&see);
    meter
        .u64_observable_counter("offergate.decision_log.records")
        .with_description("Decisions, by what the decision log did with them.")
        .with_unit("{decision}")
        .with_callback(move |observer| {
            for (outcome, count) in seen().records {
                observer.observe(count, &[KeyValue::new("outcome", outcome)]);
            }
        })
        .build();
    let seen = Arc::clone(&see);
    meter
        .u64_observable_counter("offergate.decision_log.gap")
        .with_description("Gaps in the decision log: each tells how many decisions it lacks.")
        .with_unit("{gap}")
        .with_callback(move |observer| observer.observe(seen().gaps, &[]))
        .build();
    let seen = Arc::clone(&see);
    meter
        .f64_observable_gauge("offergate.decision_log.fill")
        .with_description("How full the fullest lane of the decision log was last, from 0 to 1.")
        .with_callback(move |observer| observer.observe(seen().fill, &[]))
        .build();
    meter
        .u64_observable_gauge("offergate.decision_log.writable")
        .with_description("Whether the disk takes what the decision log writes: 1, or 0.")
        .with_callback(move |observer| observer.observe(u64::from(see().is_writable), &[]))
        .build();
}

/// Shows `offergate_build_info{version, commit} 1`.
pub(super) fn observe_build(meter: &Meter, version: &'static str) {
    meter
        .u64_observable_gauge("offergate.build.info")
        .with_description("Always 1; its labels say what is running.")
        .with_callback(move |observer| {
            let commit = option_env!("OFFERGATE_COMMIT").unwrap_or("unknown");
            let labels = [KeyValue::new("version", version), KeyValue::new("commit", commit)];
            observer.observe(1, &labels);
        })
        .build();
}
