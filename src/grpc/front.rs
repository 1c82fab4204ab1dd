//! Where calls come in: the check that every page makes goes its own way at once, and everything else
//! to the router; what is no check runs on another runtime, so that no load of checks holds it up.

use super::api::Api;
use super::hot_check;
use super::sizes::MOST_CHECK;
use crate::service::Service as UseCases;
use http::{Request, Response, StatusCode, header};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

const CHECK: &str = "/offergate.v1.EligibilityService/CheckEligibility";
const CHECKS: &str = "/offergate.v1.EligibilityService/";

/// All that is served.
#[derive(Debug, Clone)]
pub struct Front {
    api: Api,
    others: Routes,
    admin: Option<Handle>,
}

impl Front {
    pub(super) fn new(api: Api, others: Routes, admin: Option<Handle>) -> Self {
        Self { api, others, admin }
    }

    pub(super) fn use_cases(&self) -> Arc<UseCases> {
        Arc::clone(&self.api.service)
    }
}

impl Service<Request<Body>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Neither the check nor the router ever asks to wait.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !is_grpc(&request) {
            let mut refused = Response::new(Body::empty());
            *refused.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Box::pin(std::future::ready(Ok(refused)));
        }
        if request.uri().path() == CHECK {
            let api = self.api.clone();
            return Box::pin(async move { Ok(hot_check::serve(api, request, MOST_CHECK).await) });
        }
        match &self.admin {
            Some(admin) if !request.uri().path().starts_with(CHECKS) => {
                let answer = admin.spawn(Service::call(&mut self.others, request));
                // A caller who goes away takes the call along, as on this runtime.
                let answer = AbortOnDropHandle::new(answer);
                Box::pin(async move {
                    answer.await.unwrap_or_else(|ended| match ended.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => Ok(Status::unavailable("the server is stopping").into_http()),
                    })
                })
            }
            _ => Box::pin(Service::call(&mut self.others, request)),
        }
    }
}

/// Whether a request claims to be gRPC. What claims to be something else is refused as HTTP does it,
/// since its sender would not look for a gRPC status.
fn is_grpc(request: &Request<Body>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|it| it.as_bytes().starts_with(b"application/grpc"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn only_what_claims_to_be_grpc_is_served_as_grpc() {
        for (content_type, expected) in [
            (Some("application/grpc"), true),
            (Some("application/grpc+proto"), true),
            (Some("text/plain"), false),
            (Some("application/json"), false),
            (None, false),
        ] {
            let mut request = Request::new(Body::empty());
            if let Some(content_type) = content_type {
                request.headers_mut().insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            }
            assert_eq!(is_grpc(&request), expected, "{content_type:?}");
        }
    }
}
