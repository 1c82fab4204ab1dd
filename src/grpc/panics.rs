//! Turns a panic of a handler into `INTERNAL` for its call.
//!
//! Without it a panic ends the task that serves the connection, and with it every other call there.
//! Where it was is logged by the process's hook ([`log_panics`](crate::telemetry::log_panics)).

use super::status::broken;
use crate::telemetry::Incidents;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower::{Layer, Service};

/// Catches the panics of calls, and counts them.
#[derive(Debug, Clone)]
pub(super) struct PanicLayer(pub(super) Incidents);

/// A service whose calls never panic.
#[derive(Debug, Clone)]
pub(super) struct PanicService<S> {
    inner: S,
    incidents: Incidents,
}

impl<S> Layer<S> for PanicLayer {
    type Service = PanicService<S>;

    fn layer(&self, inner: S) -> PanicService<S> {
        PanicService { inner, incidents: self.0.clone() }
    }
}

impl<S, A, B> Service<Request<A>> for PanicService<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible>,
{
    type Response = Response<CaughtBody<B>>;
    type Error = Infallible;
    type Future = Caught<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Caught<S::Future> {
        let inner = caught(&self.incidents, || self.inner.call(request));
        Caught { inner, incidents: self.incidents.clone() }
    }
}

/// What `work` gives; `None` if it panics.
///
/// What panicked is dropped and never asked again, and what it shares with other calls is changed by
/// atomic swaps or under locks that are taken whether poisoned or not: nobody sees half a change.
fn caught<T>(incidents: &Incidents, work: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work)).ok();
    if done.is_none() {
        incidents.panicked();
    }
    done
}

pin_project! {
    /// A call on its way; `None` once it has panicked.
    #[derive(Debug)]
    pub(super) struct Caught<F> {
        #[pin]
        inner: Option<F>,
        incidents: Incidents,
    }
}

impl<F, B> Future for Caught<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<CaughtBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(inner) = this.inner.as_mut().as_pin_mut()
            && let Some(polled) = caught(this.incidents, || inner.poll(cx))
        {
            let incidents = this.incidents.clone();
            return polled.map(|answer| {
                answer
                    .map(|answer| answer.map(|inner| CaughtBody { inner: Some(inner), incidents }))
            });
        }
        this.inner.set(None);
        let incidents = this.incidents.clone();
        let answer = broken().into_http::<()>();
        Poll::Ready(Ok(answer.map(|()| CaughtBody { inner: None, incidents })))
    }
}

pin_project! {
    /// A response's body; `None` once it has panicked, or where there is none.
    #[derive(Debug)]
    pub(super) struct CaughtBody<B> {
        #[pin]
        inner: Option<B>,
        incidents: Incidents,
    }
}

impl<B: Body> Body for CaughtBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        if let Some(polled) = caught(this.incidents, || inner.poll_frame(cx)) {
            return Poll::Ready(ready!(polled));
        }
        this.inner.set(None);
        let mut trailers = HeaderMap::new();
        // A status of ours has no metadata, the one thing that may not fit headers.
        let _ = broken().add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
