//! Wraps a gRPC server: measures every call, and puts a span around it when traces are exported.
//!
//! A call ends when its status is known to be on its way to the caller: with the response's
//! trailers, or its headers when it has no body. One that ends in neither was given up by its
//! caller and counts as `CANCELLED`.
//!
//! Invariant: nothing of the request but its method, its trace headers and its status is looked
//! at, so that no customer's data can end in a span or a metric.

use super::calls::{Calls, Method, code_name};
use super::context::Propagation;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context as TraceContext, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME,
};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tonic::Code;
use tower::{Layer, Service};

/// Measures and traces the calls of a gRPC server. Made by
/// [`Telemetry::rpc_layer`](super::Telemetry::rpc_layer).
#[derive(Debug, Clone)]
pub struct RpcLayer(Arc<Observer>);

/// What every call needs.
#[derive(Debug)]
struct Observer {
    calls: Calls,
    /// `None` when traces are not exported: then no span is made at all.
    tracer: Option<SdkTracer>,
    propagation: Arc<Propagation>,
}

impl RpcLayer {
    pub(super) fn new(
        calls: Calls,
        tracer: Option<SdkTracer>,
        propagation: Arc<Propagation>,
    ) -> Self {
        Self(Arc::new(Observer { calls, tracer, propagation }))
    }
}

impl<S> Layer<S> for RpcLayer {
    type Service = RpcService<S>;

    fn layer(&self, inner: S) -> RpcService<S> {
        RpcService { inner, observer: Arc::clone(&self.0) }
    }
}

/// A service whose calls are measured and traced.
#[derive(Debug, Clone)]
pub struct RpcService<S> {
    inner: S,
    observer: Arc<Observer>,
}

impl<S, A, B> Service<Request<A>> for RpcService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<RpcBody<B>>;
    type Error = S::Error;
    type Future = RpcFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> RpcFuture<S::Future> {
        let call = Call::start(&self.observer, request.uri().path(), request.headers());
        let entered = call.span.clone().map(TraceContext::attach);
        let inner = self.inner.call(request);
        drop(entered);
        RpcFuture { inner, call: Some(call) }
    }
}

/// One call on its way. Recorded when it is dropped.
#[derive(Debug)]
struct Call {
    observer: Arc<Observer>,
    method: Method,
    started: Instant,
    span: Option<TraceContext>,
    /// `None` until the status is known.
    code: Option<Code>,
}

impl Call {
    fn start(observer: &Arc<Observer>, path: &str, headers: &HeaderMap) -> Self {
        let method = observer.calls.method(path);
        let span = observer.tracer.as_ref().map(|tracer| {
            let name = observer.calls.name(method);
            let parent = observer.propagation.context_of(headers);
            let span = tracer
                .span_builder(name)
                .with_kind(SpanKind::Server)
                .with_attributes([
                    KeyValue::new(RPC_SYSTEM_NAME, "grpc"),
                    KeyValue::new(RPC_METHOD, name),
                ])
                .start_with_context(tracer, &parent);
            parent.with_span(span)
        });
        #[expect(clippy::disallowed_methods, reason = "a stopwatch for a metric; decides nothing")]
        let started = Instant::now();
        Self { observer: Arc::clone(observer), method, started, span, code: None }
    }

    /// Takes the status from where gRPC puts it, if it is there.
    fn read_status(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            self.code = Some(Code::from_bytes(status.as_bytes()));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        self.observer.calls.record(self.method, code, self.started.elapsed());
        if let Some(context) = &self.span {
            let span = context.span();
            let name = code_name(code);
            span.set_attribute(KeyValue::new(RPC_RESPONSE_STATUS_CODE, name));
            if is_servers_fault(code) {
                span.set_attribute(KeyValue::new(ERROR_TYPE, name));
                span.set_status(Status::error(""));
            }
            span.end();
        }
    }
}

/// What the semantic conventions count as an error of the server, and not of its caller.
fn is_servers_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

pin_project! {
    /// The response on its way.
    #[derive(Debug)]
    pub struct RpcFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl<F, B, E> Future for RpcFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<RpcBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = enter(this.call.as_ref());
        let response = ready!(this.inner.poll(cx));
        let mut call = this.call.take();
        Poll::Ready(match response {
            Ok(response) => {
                if let Some(call) = &mut call {
                    call.read_status(response.headers());
                }
                Ok(response.map(|inner| RpcBody { inner, call }))
            }
            Err(error) => {
                if let Some(call) = &mut call {
                    call.code = Some(Code::Unknown);
                }
                Err(error)
            }
        })
    }
}

pin_project! {
    /// The response's body, watched for its trailers.
    #[derive(Debug)]
    pub struct RpcBody<B> {
        #[pin]
        inner: B,
        call: Option<Call>,
    }
}

impl<B: Body> Body for RpcBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let _entered = enter(this.call.as_ref());
        let frame = ready!(this.inner.poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref()
                    && let Some(mut call) = this.call.take()
                {
                    call.read_status(trailers);
                }
            }
            Some(Err(_)) => {
                if let Some(call) = this.call {
                    call.code = Some(Code::Unknown);
                }
            }
            None => drop(this.call.take()),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Makes the call's span the current one, for log lines and spans within.
fn enter(call: Option<&Call>) -> Option<opentelemetry::ContextGuard> {
    call.and_then(|call| call.span.clone()).map(TraceContext::attach)
}
