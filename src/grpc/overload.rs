//! Refuses checks that there is no time for: an answer that comes too late helps nobody, and a queue
//! of them delays those that would be in time.

use super::status::too_busy;
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tower::{Layer, Service};

/// Limits the checks in work at once, over all listeners. What people do is not limited: they must
/// be able to suspend when it matters most.
#[derive(Debug, Clone)]
pub(super) struct OverloadLayer(pub(super) Arc<Semaphore>);

/// A service that refuses checks when there are too many.
#[derive(Debug, Clone)]
pub(super) struct OverloadService<S> {
    inner: S,
    room: Arc<Semaphore>,
}

impl<S> Layer<S> for OverloadLayer {
    type Service = OverloadService<S>;

    fn layer(&self, inner: S) -> OverloadService<S> {
        OverloadService { inner, room: Arc::clone(&self.0) }
    }
}

impl<S> Service<Request<Body>> for OverloadService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Admitted<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Admitted<S::Future> {
        let is_check = request.uri().path().starts_with("/offergate.v1.EligibilityService/");
        let permit = match is_check {
            false => None,
            true => match Arc::clone(&self.room).try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => return Admitted { inner: None, _permit: None },
            },
        };
        Admitted { inner: Some(self.inner.call(request)), _permit: permit }
    }
}

pin_project! {
    /// A call on its way, or one that was refused.
    #[derive(Debug)]
    pub(super) struct Admitted<F> {
        #[pin]
        inner: Option<F>,
        _permit: Option<OwnedSemaphorePermit>,
    }
}

impl<F> Future for Admitted<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().inner.as_pin_mut() {
            Some(inner) => inner.poll(cx),
            None => Poll::Ready(Ok(too_busy().into_http())),
        }
    }
}
