//! Deadlines: the caller's own, and ours for callers that set none.
//!
//! A call that runs out of time ends in `DEADLINE_EXCEEDED`, where tonic would say `CANCELLED`.

use super::fleet::LONGEST_WAIT;
use super::status::{refusal, too_late};
use futures_util::Stream;
use futures_util::stream::poll_fn;
use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

/// How much earlier than tonic's own timer ours goes off, so that ours names the reason.
const HEAD_START: Duration = Duration::from_millis(2);

/// Ends calls that take too long.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeadlineLayer {
    /// How long a check may take when its caller sets no earlier deadline.
    pub(super) check: Duration,
    /// How long anything else may take to begin its answer.
    pub(super) admin: Duration,
}

/// A service whose calls end in time.
#[derive(Debug, Clone)]
pub(super) struct DeadlineService<S> {
    inner: S,
    limits: DeadlineLayer,
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> DeadlineService<S> {
        DeadlineService { inner, limits: *self }
    }
}

impl<S> Service<Request<Body>> for DeadlineService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = InTime<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> InTime<S::Future> {
        let is_check = request.uri().path().ends_with("/CheckEligibility");
        let is_wait = request.uri().path().ends_with("/AwaitEnforcement");
        let ours = match (is_check, is_wait) {
            (true, _) => self.limits.check,
            // A wait that was asked for is no slow answer.
            (_, true) => self.limits.admin + LONGEST_WAIT,
            _ => self.limits.admin,
        };
        let limit = match timeout(request.headers()) {
            Ok(theirs) => theirs.map_or(ours, |theirs| theirs.min(ours)),
            Err(BadTimeout) => return InTime { inner: None, limit: ours, sleep: None },
        };
        InTime { inner: Some(self.inner.call(request)), limit, sleep: None }
    }
}

pin_project! {
    /// A call on its way, with a limit.
    #[derive(Debug)]
    pub(super) struct InTime<F> {
        // `None` for a deadline that does not read.
        #[pin]
        inner: Option<F>,
        limit: Duration,
        // Made only for a call that does not finish at once.
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<F> Future for InTime<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.limit.is_zero() {
            return Poll::Ready(Ok(too_late().into_http()));
        }
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(Ok(bad_timeout().into_http()));
        };
        if let Poll::Ready(response) = inner.poll(cx) {
            return Poll::Ready(response);
        }
        if this.sleep.is_none() {
            this.sleep.set(Some(sleep(this.limit.saturating_sub(HEAD_START))));
        }
        if let Some(sleep) = this.sleep.as_pin_mut() {
            ready!(sleep.poll(cx));
        }
        Poll::Ready(Ok(too_late().into_http()))
    }
}

/// When the caller of a stream wants it to end.
pub(super) fn of<T>(request: &tonic::Request<T>) -> Option<Instant> {
    // One that does not read was refused before.
    let timeout = timeout(request.metadata().as_ref()).ok().flatten()?;
    Instant::now().checked_add(timeout)
}

/// Ends a stream of answers at its deadline.
pub(super) fn end<T: Send + 'static>(
    answers: impl Stream<Item = Result<T, Status>> + Send + 'static,
    deadline: Option<Instant>,
) -> Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>> {
    let Some(deadline) = deadline else { return Box::pin(answers) };
    let mut answers = Box::pin(answers);
    // `None` once the stream has ended, in time or not.
    let mut left = Some(Box::pin(sleep_until(deadline)));
    Box::pin(poll_fn(move |cx| {
        let Some(timer) = &mut left else { return Poll::Ready(None) };
        if let Poll::Ready(item) = answers.as_mut().poll_next(cx) {
            if item.is_none() {
                left = None;
            }
            return Poll::Ready(item);
        }
        ready!(timer.as_mut().poll(cx));
        left = None;
        Poll::Ready(Some(Err(too_late())))
    }))
}

/// A `grpc-timeout` that does not read. Nobody can tell what its sender wanted.
#[derive(Debug, PartialEq)]
struct BadTimeout;

fn bad_timeout() -> Status {
    let message = "`grpc-timeout` is 1 to 8 digits and one of `H`, `M`, `S`, `m`, `u`, `n`";
    refusal(Code::InvalidArgument, "MALFORMED_TIMEOUT", message)
}

/// Reads `grpc-timeout`: up to eight digits and a unit.
fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, BadTimeout> {
    let Some(text) = headers.get("grpc-timeout") else { return Ok(None) };
    text.to_str().ok().and_then(read_timeout).map(Some).ok_or(BadTimeout)
}

fn read_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 60 * 60)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    #[test]
    fn a_timeout_reads_as_grpc_writes_it_and_in_no_other_way() {
        for (text, expected) in [
            ("1S", Some(Duration::from_secs(1))),
            ("0n", Some(Duration::ZERO)),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("-1S", None),
            ("abc", None),
            ("", None),
            ("S", None),
            ("123456789S", None),
            ("1s", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(timeout(&headers), expected.map(Some).ok_or(BadTimeout), "{text}");
        }
    }

    #[tokio::test]
    async fn a_stream_ends_at_its_deadline_with_a_reason_and_before_it_without() {
        let two = || futures_util::stream::iter([Ok(1), Ok(2)]);
        let far = Some(Instant::now() + Duration::from_secs(3600));
        let in_time: Vec<_> = end(two(), far).map(|item| item.ok()).collect().await;
        assert_eq!(in_time, [Some(1), Some(2)]);

        let hanging = two().chain(futures_util::stream::pending());
        let late: Vec<_> = end(hanging, Some(Instant::now()))
            .map(|item| item.map_err(|status| status.code()))
            .collect()
            .await;
        assert_eq!(late, [Ok(1), Ok(2), Err(tonic::Code::DeadlineExceeded)]);
    }
}
