//! Refuses calls that there is no room for: an answer that comes too late helps nobody, and a queue of
//! them delays those that would be in time.
//!
//! Invariants: a stream keeps its place until the last byte of it is on its way, so that it counts for as
//! long as it is open. Any other call gives its place back when its answer is made, so that a client who
//! does not read its answers takes no place from anybody.

use super::status::too_busy;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

/// Limits calls at once, over all listeners. What people ask for is not limited here, since they must
/// be able to suspend when it matters most; how many changes may wait, `service/` knows.
#[derive(Debug, Clone)]
pub(super) struct OverloadLayer {
    checks: Arc<Semaphore>,
    /// Apart from the checks, since a stream that is open and idle must not cost a page its check.
    streams: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
}

impl OverloadLayer {
    /// Room for so many checks, and for so many of either kind of stream.
    pub(super) fn new(checks: usize, streams: usize) -> Self {
        let room = |most: usize| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { checks: room(checks), streams: room(streams), watchers: room(streams) }
    }

    /// The room that a call takes a place in, and whether it is a stream; `None` for one that needs none.
    fn room_for(&self, path: &str) -> Option<(&Arc<Semaphore>, bool)> {
        let (service, method) = path.rsplit_once('/')?;
        match (service, method) {
            ("/offergate.v1.EligibilityService", "StreamEligibility") => {
                Some((&self.streams, true))
            }
            ("/offergate.v1.EligibilityService", _) => Some((&self.checks, false)),
            (_, "WatchRevisions" | "Watch" | "ServerReflectionInfo") => {
                Some((&self.watchers, true))
            }
            _ => None,
        }
    }
}

/// A service that refuses calls when there are too many.
#[derive(Debug, Clone)]
pub(super) struct OverloadService<S> {
    inner: S,
    rooms: OverloadLayer,
}

impl<S> Layer<S> for OverloadLayer {
    type Service = OverloadService<S>;

    fn layer(&self, inner: S) -> OverloadService<S> {
        OverloadService { inner, rooms: self.clone() }
    }
}

impl<S, A, B> Service<Request<A>> for OverloadService<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible>,
{
    type Response = Response<Placed<B>>;
    type Error = Infallible;
    type Future = Admitted<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Admitted<S::Future> {
        let (place, is_stream) = match self.rooms.room_for(request.uri().path()) {
            None => (None, false),
            Some((room, is_stream)) => match Arc::clone(room).try_acquire_owned() {
                Ok(place) => (Some(place), is_stream),
                Err(_) => return Admitted { inner: None, place: None, is_stream },
            },
        };
        Admitted { inner: Some(self.inner.call(request)), place, is_stream }
    }
}

pin_project! {
    /// A call on its way, or one that was refused.
    #[derive(Debug)]
    pub(super) struct Admitted<F> {
        #[pin]
        inner: Option<F>,
        place: Option<OwnedSemaphorePermit>,
        is_stream: bool,
    }
}

impl<F, B> Future for Admitted<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<Placed<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            let refused = too_busy("too many calls of this kind at once").into_http::<()>();
            return Poll::Ready(Ok(refused.map(|()| Placed { inner: None, _place: None })));
        };
        let answer = ready!(inner.poll(cx))?;
        let place = this.place.take().filter(|_| *this.is_stream);
        Poll::Ready(Ok(answer.map(|inner| Placed { inner: Some(inner), _place: place })))
    }
}

pin_project! {
    /// A response's body, with a stream's place. It is dropped once its last frame is taken.
    #[derive(Debug)]
    pub(super) struct Placed<B> {
        // `None` for a refusal, which is headers alone.
        #[pin]
        inner: Option<B>,
        _place: Option<OwnedSemaphorePermit>,
    }
}

impl<B: Body> Body for Placed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().inner.as_pin_mut() {
            Some(inner) => inner.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
