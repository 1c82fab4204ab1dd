//! What this server knows of its own standing, asked at each scrape: whether it is ready, what it last
//! heard of its store, how long its lease runs on, which suspensions nobody has reviewed in time, and
//! until when its certificates are good.
//!
//! Invariant: a state that there is shows as 1 and every other one as 0, so that an alert can ask for any
//! of them without a series that comes and goes.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use std::sync::Arc;
use std::time::Duration;

/// What was last heard of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreContact {
    /// What is held is part of its history, and what is newer is taken over.
    Good,
    /// It does not answer, or has not said yet how a write ended.
    Unreachable,
    /// What is newer cannot be taken over.
    Stuck,
    /// Its history and the one held here disagree.
    Forked,
    /// It is not to be followed for another reason: it is empty, or refuses this replica's name or limit.
    Refused,
    /// What it holds does not verify.
    Damaged,
}

impl StoreContact {
    const ALL: [Self; 6] =
        [Self::Good, Self::Unreachable, Self::Stuck, Self::Forked, Self::Refused, Self::Damaged];

    fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unreachable => "unreachable",
            Self::Stuck => "stuck",
            Self::Forked => "forked",
            Self::Refused => "refused",
            Self::Damaged => "damaged",
        }
    }
}

/// What a server knows of its own standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandingSeen {
    /// Whether checks are answered from rules.
    pub is_ready: bool,
    /// What was last heard of the store.
    pub contact: StoreContact,
    /// How long `ELIGIBLE` may go on being answered without hearing from the store; `None` where it need
    /// not be heard from.
    pub lease_left: Option<Duration>,
    /// How long it may at most.
    pub staleness_limit: Duration,
    /// Suspensions that are not over and whose review date is.
    pub past_review: u64,
}

type See<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// Shows `offergate_ready`, `offergate_store_contact{state}`, `offergate_lease_left_seconds`,
/// `offergate_staleness_limit_seconds` and `offergate_suspensions_past_review`.
pub(super) fn observe_standing(
    meter: &Meter,
    see: impl Fn() -> StandingSeen + Send + Sync + 'static,
) {
    let see: See<StandingSeen> = Arc::new(see);
    let seen = Arc::clone(&see);
    meter
        .u64_observable_gauge("offergate.ready")
        .with_description("Whether checks are answered from rules: 1, or 0.")
        .with_callback(move |observer| observer.observe(u64::from(seen().is_ready), &[]))
        .build();
    let seen = Arc::clone(&see);
    meter
        .u64_observable_gauge("offergate.store.contact")
        .with_description("What was last heard of the store: 1 for the state that holds, else 0.")
        .with_callback(move |observer| {
            let contact = seen().contact;
            for state in StoreContact::ALL {
                let label = [KeyValue::new("state", state.name())];
                observer.observe(u64::from(state == contact), &label);
            }
        })
        .build();
    let seen = Arc::clone(&see);
    meter
        .f64_observable_gauge("offergate.lease.left")
        .with_description(
            "How long ELIGIBLE is still answered without hearing from the shared store.",
        )
        .with_unit("s")
        .with_callback(move |observer| {
            if let Some(left) = seen().lease_left {
                observer.observe(left.as_secs_f64(), &[]);
            }
        })
        .build();
    let seen = Arc::clone(&see);
    meter
        .f64_observable_gauge("offergate.staleness.limit")
        .with_description("How old proof of knowing all rules may be: the setting.")
        .with_unit("s")
        .with_callback(move |observer| observer.observe(seen().staleness_limit.as_secs_f64(), &[]))
        .build();
    meter
        .u64_observable_gauge("offergate.suspensions.past_review")
        .with_description("Suspensions that are not over and whose review date is.")
        .with_callback(move |observer| observer.observe(see().past_review, &[]))
        .build();
}

/// Shows `offergate_certificate_not_after_timestamp_seconds{kind}`: the earliest end of each kind, in
/// seconds since 1970.
pub(super) fn observe_certificates(
    meter: &Meter,
    see: impl Fn() -> Vec<(&'static str, i64)> + Send + Sync + 'static,
) {
    meter
        .i64_observable_gauge("offergate.certificate.not_after_timestamp")
        .with_description("When the first certificate, or list of revoked ones, of a kind ends.")
        .with_unit("s")
        .with_callback(move |observer| {
            for (kind, ends) in see() {
                observer.observe(ends, &[KeyValue::new("kind", kind)]);
            }
        })
        .build();
}
