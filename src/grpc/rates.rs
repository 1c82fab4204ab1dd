//! How many checks a second are answered: to all callers together, and to each of them.
//!
//! A call takes one from its caller's bucket and one from the server's before it begins; a batch then owes
//! the rest of what it holds, and each message of a stream takes its own. What is no check is not counted:
//! people must be able to suspend when it matters most.
//!
//! Invariant: a refused call costs its caller nothing but the asking, and says when to ask again.

use super::caller::{Caller, Peer};
use super::door::Door;
use super::incoming::holder;
use super::status::failed;
use crate::domain::PrincipalId;
use crate::identity::{Quota, Standing};
use crate::telemetry::Incidents;
use crate::wire::proto;
use arc_swap::ArcSwap;
use futures_util::future::{Either, Ready, ready};
use http::{Request, Response};
use rustc_hash::FxHashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

const CHECKS: &str = "/offergate.v1.EligibilityService/";
const CHECK: &str = "CheckEligibility";
const STREAM: &str = "StreamEligibility";

/// The reasons of refusals; people rely on them.
const QUOTA_EXCEEDED: &str = "QUOTA_EXCEEDED";
const TOO_BUSY: &str = "TOO_BUSY";

/// The least that a caller is asked to wait, so that a crowd does not come back at once.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// The whole server's burst, as a part of what it answers a second: a queue of more would be late.
const BURST_PART: u32 = 10;

/// Callers that are remembered. Beyond it those who have used nothing of late are forgotten.
const MOST_CALLERS: usize = 10_000;

/// How many checks a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateSettings {
    /// All callers together; `None` for no limit.
    pub process: Option<u32>,
    /// Each caller for whom the table of principals says nothing else; `None` for no limit.
    pub caller: Option<Quota>,
}

/// When a bucket would be full again, as nanoseconds since the start. Full is also what is past.
#[derive(Debug, Default)]
struct Bucket(AtomicU64);

impl Bucket {
    /// Takes one, or says how long until there is one.
    fn take(&self, rate: Quota, now: u64) -> Result<(), Duration> {
        let (each, room) = (each(rate), each(rate).saturating_mul(u64::from(rate.burst)));
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let after = full_at.max(now).saturating_add(each);
            (after - now <= room).then_some(after)
        });
        taken.map(drop).map_err(|full_at| {
            let missing = full_at.max(now).saturating_add(each) - now;
            Duration::from_nanos(missing.saturating_sub(room))
        })
    }

    /// Gives back one that was taken.
    fn give_back(&self, rate: Quota) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            Some(full_at.saturating_sub(each(rate)))
        });
    }

    /// Takes more than one, into debt if it must be.
    fn owe(&self, rate: Quota, now: u64, count: u64) {
        let more = each(rate).saturating_mul(count);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            Some(full_at.max(now).saturating_add(more))
        });
    }
}

/// Nanoseconds for each.
fn each(rate: Quota) -> u64 {
    1_000_000_000 / u64::from(rate.per_second.max(1))
}

/// Whose bucket it is. A name is never compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Known(PrincipalId),
    Address(IpAddr),
}

/// The buckets, shared by all listeners of a server.
#[derive(Debug)]
pub(super) struct Rates {
    settings: ArcSwap<RateSettings>,
    process: Arc<Bucket>,
    callers: Mutex<FxHashMap<Key, Arc<Bucket>>>,
    start: Instant,
    incidents: Incidents,
}

impl Rates {
    pub(super) fn new(settings: RateSettings, incidents: Incidents) -> Arc<Self> {
        Arc::new(Self {
            settings: ArcSwap::from_pointee(settings),
            process: Arc::default(),
            callers: Mutex::default(),
            start: Instant::now(),
            incidents,
        })
    }

    /// From now on these hold. What callers have used already still counts.
    pub(super) fn set(&self, settings: RateSettings) {
        self.settings.store(Arc::new(settings));
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn bucket(&self, key: Key) -> Arc<Bucket> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = callers.get(&key) {
            return Arc::clone(bucket);
        }
        if MOST_CALLERS <= callers.len() {
            let now = self.now();
            callers.retain(|_, bucket| now < bucket.0.load(Ordering::Relaxed));
        }
        if MOST_CALLERS <= callers.len() {
            // As many are at work at once: a bucket that nobody remembers is better than no end.
            return Arc::default();
        }
        Arc::clone(callers.entry(key).or_default())
    }
}

/// What a call may take from. In the extensions of calls that can take more than one.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    rates: Arc<Rates>,
    process: Option<Quota>,
    caller: Option<(Arc<Bucket>, Quota)>,
    /// The caller's name, where the table of principals has it: for the metric and for nothing else.
    service: Option<Arc<str>>,
}

/// Why a check is not answered.
#[derive(Debug)]
pub(super) struct Spent {
    reason: &'static str,
    message: String,
    retry_after: Duration,
}

impl Ticket {
    /// Takes one check.
    pub(super) fn take(&self) -> Result<(), Spent> {
        let now = self.rates.now();
        if let Some((bucket, rate)) = &self.caller
            && let Err(wait) = bucket.take(*rate, now)
        {
            self.rates.incidents.quota_exceeded(self.service.as_deref());
            let message = format!("the caller's quota is {} checks a second", rate.per_second);
            return Err(Spent::new(QUOTA_EXCEEDED, message, wait));
        }
        match self.process.map(|rate| (rate, self.rates.process.take(rate, now))) {
            Some((rate, Err(wait))) => {
                // The server is too busy for what the caller has a right to, and asks it to come again.
                if let Some((bucket, rate)) = &self.caller {
                    bucket.give_back(*rate);
                }
                let most = rate.per_second;
                let message = format!("this server answers {most} checks a second, and no more");
                Err(Spent::new(TOO_BUSY, message, wait))
            }
            Some((_, Ok(()))) | None => Ok(()),
        }
    }

    /// Takes so many more, of a call that was let in.
    pub(super) fn owe(&self, count: usize) {
        let (now, count) = (self.rates.now(), u64::try_from(count).unwrap_or(u64::MAX));
        if let Some((bucket, rate)) = &self.caller {
            bucket.owe(*rate, now, count);
        }
        if let Some(rate) = self.process {
            self.rates.process.owe(rate, now, count);
        }
    }
}

impl Spent {
    fn new(reason: &'static str, message: String, wait: Duration) -> Self {
        Self { reason, message, retry_after: wait.max(LEAST_WAIT) }
    }

    fn status(self) -> Status {
        let retry = Some(self.retry_after);
        failed(Code::ResourceExhausted, self.reason, &self.message, [], retry)
    }

    /// The same as an item's own error.
    pub(super) fn item(self) -> proto::Error {
        proto::Error {
            code: Code::ResourceExhausted.into(),
            reason: self.reason.to_owned(),
            message: self.message,
            fields: Vec::new(),
        }
    }
}

/// Looks at each call once it is known who calls.
#[derive(Debug, Clone)]
pub(super) struct RateLayer {
    pub(super) rates: Arc<Rates>,
    pub(super) door: Door,
}

/// A service whose checks are counted.
#[derive(Debug, Clone)]
pub(super) struct RateService<S> {
    inner: S,
    layer: RateLayer,
}

impl<S> Layer<S> for RateLayer {
    type Service = RateService<S>;

    fn layer(&self, inner: S) -> RateService<S> {
        RateService { inner, layer: self.clone() }
    }
}

impl RateLayer {
    /// What this call takes from; `None` where nothing is limited.
    fn ticket(&self, request: &Request<Body>) -> Option<Ticket> {
        let settings = **self.rates.settings.load();
        let gate = &self.door.gate;
        if settings == RateSettings::default() && !gate.has_quotas() {
            return None;
        }
        let (key, standing, name) = match request.extensions().get::<Caller>() {
            Some(Caller::Known(known)) => {
                (Key::Known(known.id.clone()), gate.standing(known), Some(&known.name))
            }
            Some(Caller::Anybody) | None => {
                let peer = request.extensions().get::<Peer>().and_then(|peer| peer.address);
                let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| holder(peer.ip()));
                (Key::Address(peer), Standing::Unlisted, None)
            }
        };
        let (own, listed) = match standing {
            Standing::Listed(own) => (own, true),
            Standing::Unlisted => (None, false),
        };
        let quota = own.or(settings.caller);
        let process = settings
            .process
            .map(|per_second| Quota { per_second, burst: (per_second / BURST_PART).max(1) });
        Some(Ticket {
            process,
            caller: quota.map(|quota| (self.rates.bucket(key), quota)),
            service: name.filter(|_| listed).cloned(),
            rates: Arc::clone(&self.rates),
        })
    }
}

impl<S> Service<Request<Body>> for RateService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let method = request.uri().path().strip_prefix(CHECKS);
        let (is_check, is_stream) = (method == Some(CHECK), method == Some(STREAM));
        if method.is_some()
            && let Some(ticket) = self.layer.ticket(&request)
        {
            // Each message of a stream takes its own.
            if !is_stream && let Err(spent) = ticket.take() {
                return Either::Right(ready(Ok(spent.status().into_http())));
            }
            if !is_check {
                request.extensions_mut().insert(ticket);
            }
        }
        Either::Left(self.inner.call(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Telemetry, TelemetrySettings};

    const RATE: Quota = Quota { per_second: 10, burst: 3 };
    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_its_rate_and_tells_the_wait() {
        let bucket = Bucket::default();
        let taken = |now: u64| (0..100).take_while(|_| bucket.take(RATE, now).is_ok()).count();
        assert_eq!(taken(0), 3);
        assert_eq!(bucket.take(RATE, 0), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(RATE, SECOND / 20), Err(Duration::from_millis(50)));
        assert_eq!(taken(SECOND / 10), 1);
        assert_eq!(taken(SECOND), 3, "it holds no more than a burst");
        let steady = (0..100).map(|step| taken(10 * SECOND + step * SECOND / 10)).sum::<usize>();
        assert_eq!(steady, 3 + 99);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_too_busy_takes_nothing_off_a_callers_quota() {
        let settings =
            TelemetrySettings { environment: Box::new(|_| None), ..TelemetrySettings::default() };
        let Ok((telemetry, _, _)) = Telemetry::build(settings) else { return };
        let rates = Rates::new(RateSettings::default(), telemetry.incidents());
        let (own, process) = (Arc::new(Bucket::default()), Quota { per_second: 1, burst: 1 });
        let ticket = Ticket {
            process: Some(process),
            caller: Some((Arc::clone(&own), RATE)),
            service: None,
            rates: Arc::clone(&rates),
        };
        let told = || ticket.take().map_err(|spent| spent.reason);
        assert_eq!(told(), Ok(()));
        for attempt in 0..100 {
            assert_eq!(told(), Err(TOO_BUSY), "attempt {attempt}");
        }
        // Of the burst of three it has two left, and the server none.
        let taken = (0..100).take_while(|_| own.take(RATE, rates.now()).is_ok()).count();
        assert_eq!(taken, 2);
        assert_eq!(told(), Err(QUOTA_EXCEEDED), "by what it has used itself");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(told(), Ok(()));
    }

    #[test]
    fn a_batch_that_was_let_in_owes_the_rest_and_later_calls_pay_for_it() {
        let bucket = Bucket::default();
        assert_eq!(bucket.take(RATE, 0), Ok(()));
        bucket.owe(RATE, 0, 19);
        assert_eq!(bucket.take(RATE, SECOND), Err(Duration::from_millis(800)));
        assert_eq!(bucket.take(RATE, 2 * SECOND), Ok(()));
        bucket.owe(RATE, u64::MAX, u64::MAX);
        assert!(bucket.take(RATE, SECOND).is_err());
    }
}
