//! Calls that last: their callers are looked at again while they do.
//!
//! Invariant: a stream of somebody whose proof has ended, or who has lost the role for it, ends within
//! [`LOOK_EVERY`], with the status that a new call would get.

use super::access::{AccessLayer, Asked};
use super::caller::{Caller, Peer};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::Status;
use tonic::body::Body;

/// How often a caller is looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The methods whose calls end when somebody wants them to, and not by themselves.
const LASTING: [&str; 3] = [
    "/offergate.v1.EligibilityService/StreamEligibility",
    "/offergate.v1.PermitService/HoldPermit",
    "/offergate.v1.RuleService/WatchRevisions",
];

/// What proved who calls, to be looked at again.
#[derive(Clone)]
enum Proof {
    Token(Arc<str>),
    Service(Arc<str>),
}

/// How to look at a caller again.
#[derive(Clone)]
pub(super) struct Again {
    access: AccessLayer,
    proof: Proof,
    asked: Asked<'static>,
}

impl Again {
    /// How to look at this caller again; `None` where that is not wanted: for calls that end by
    /// themselves, and for somebody who has proven nothing.
    pub(super) fn of(
        access: &AccessLayer,
        request: &Request<Body>,
        caller: &Caller,
        asked: Asked<'_>,
    ) -> Option<Self> {
        let path = LASTING.into_iter().find(|path| *path == asked.path)?;
        if matches!(caller, Caller::Anybody) {
            return None;
        }
        let proof = match access.door.token_of(request.headers()) {
            Some(token) => Proof::Token(token.into()),
            None => Proof::Service(request.extensions().get::<Peer>()?.service.clone()?),
        };
        Some(Self { access: access.clone(), proof, asked: Asked { path, ..asked } })
    }

    async fn later(self) -> Result<(), Status> {
        tokio::time::sleep(LOOK_EVERY).await;
        let gate = &self.access.door.gate;
        let caller = match &self.proof {
            Proof::Token(token) => match gate.person(token).await {
                Ok(person) => Some(Caller::Known(person)),
                Err(why) => return Err(self.access.door.unproven(why)),
            },
            Proof::Service(path) => gate.service(path).map(Caller::Known),
        };
        self.access.admit(caller, self.asked).map(drop)
    }
}

pin_project! {
    /// The body of an answer that lasts.
    pub(super) struct Lasting {
        #[pin]
        inner: Body,
        again: Again,
        // `None` once the stream has ended.
        next: Option<BoxFuture<'static, Result<(), Status>>>,
    }
}

impl Lasting {
    pub(super) fn new(inner: Body, again: Again) -> Self {
        let next: BoxFuture<'static, _> = Box::pin(again.clone().later());
        Self { inner, again, next: Some(next) }
    }
}

impl http_body::Body for Lasting {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        let Some(next) = this.next else { return Poll::Ready(None) };
        while let Poll::Ready(looked) = next.as_mut().poll(cx) {
            match looked {
                Ok(()) => *next = Box::pin(this.again.clone().later()),
                Err(status) => {
                    *this.next = None;
                    let mut trailers = HeaderMap::new();
                    let written = status.add_header(&mut trailers);
                    return Poll::Ready(Some(written.map(|()| Frame::trailers(trailers))));
                }
            }
        }
        this.inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
