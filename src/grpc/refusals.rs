//! Gives refusals that tonic makes by itself the shape of ours: the right code, and an `ErrorInfo`.
//!
//! tonic calls a message that does not read an internal error. It is the caller's, and must not wake
//! the people who look after the server. Any other internal error must.

use super::status::{broken, refusal};
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

/// Looks at every response that ends before it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusalLayer;

/// A service whose refusals look like ours.
#[derive(Debug, Clone)]
pub(super) struct RefusalService<S>(S);

impl<S> Layer<S> for RefusalLayer {
    type Service = RefusalService<S>;

    fn layer(&self, inner: S) -> RefusalService<S> {
        RefusalService(inner)
    }
}

impl<S> Service<Request<Body>> for RefusalService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Shaped<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Shaped<S::Future> {
        Shaped { inner: self.0.call(request) }
    }
}

pin_project! {
    /// A call on its way.
    #[derive(Debug)]
    pub(super) struct Shaped<F> {
        #[pin]
        inner: F,
    }
}

impl<F> Future for Shaped<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().inner.poll(cx))?;
        // A status in the headers means that nothing else follows.
        if !response.headers().contains_key("grpc-status") {
            return Poll::Ready(Ok(response));
        }
        Poll::Ready(Ok(match Status::from_header_map(response.headers()) {
            Some(status) if status.code() != Code::Ok && status.details().is_empty() => {
                shape(&status).into_http()
            }
            Some(_) | None => response,
        }))
    }
}

/// What tonic says, as we say it.
pub(super) fn shape(status: &Status) -> Status {
    if !status.details().is_empty() {
        return status.clone();
    }
    match status.code() {
        Code::InvalidArgument => malformed(status),
        Code::Internal if is_the_callers(status.message()) => malformed(status),
        Code::Internal => {
            // Not what it says: that is a library's text, which may quote what it could not handle.
            tracing::error!("A call failed inside of the server's framework");
            broken()
        }
        Code::OutOfRange | Code::ResourceExhausted => {
            refusal(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", status.message())
        }
        Code::Unimplemented => {
            refusal(Code::Unimplemented, "UNIMPLEMENTED", "no such method is served here")
        }
        Code::NotFound => refusal(Code::NotFound, "NOT_FOUND", status.message()),
        Code::DeadlineExceeded => super::status::too_late(),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => status.clone(),
    }
}

fn malformed(status: &Status) -> Status {
    refusal(Code::InvalidArgument, "MALFORMED_MESSAGE", status.message())
}

/// Whether an internal error of tonic is about the bytes that the caller sent. It is told by its text,
/// since nothing else tells it.
fn is_the_callers(message: &str) -> bool {
    const BEGINNINGS: [&str; 6] = [
        "failed to decode Protobuf message",
        "protocol error: received message with",
        "Error decompressing",
        "Missing request message",
        "Unexpected EOF decoding stream",
        "h2 protocol error",
    ];
    BEGINNINGS.iter().any(|beginning| message.starts_with(beginning))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use tonic_types::StatusExt;

    #[test]
    fn a_message_that_does_not_read_is_the_callers_fault_and_any_other_failure_ours() {
        let unreadable = <() as prost::Message>::decode(&[0xff][..]).unwrap_err();
        for (message, code, reason) in [
            (unreadable.to_string().as_str(), Code::InvalidArgument, "MALFORMED_MESSAGE"),
            ("Missing request message.", Code::InvalidArgument, "MALFORMED_MESSAGE"),
            ("Error encoding: no room for c-1", Code::Internal, "INTERNAL"),
            ("", Code::Internal, "INTERNAL"),
        ] {
            let shaped = shape(&Status::internal(message));
            assert_eq!(shaped.code(), code, "{message}");
            let details = shaped.get_error_details();
            assert_eq!(details.error_info().map(|info| info.reason.as_str()), Some(reason));
            assert!(!shaped.message().contains("c-1"));
        }
    }
}
