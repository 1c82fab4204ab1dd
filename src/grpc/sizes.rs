//! How large messages may be: a check is small, a batch larger, and a rule file larger still.
//!
//! tonic has one limit a service, and `EligibilityService` needs three, so it is served by three
//! copies of the same thing, told apart by method.

use super::api::Api;
use crate::wire::proto::eligibility_service_server::EligibilityServiceServer;
use http::Request;
use std::convert::Infallible;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// Largest check.
pub(super) const MOST_CHECK: usize = 64 * 1024;

/// Largest batch, and largest message of people that carries no rule file.
pub(super) const MOST_ADMIN: usize = 1024 * 1024;

/// Largest rule file: about 40,000 suspensions.
pub(super) const MOST_DOCUMENT: usize = 16 * 1024 * 1024;

/// Largest page of records: one record can hold a whole rule file, spelt out step by step.
pub(super) const MOST_RECORDS: usize = 4 * MOST_DOCUMENT;

/// Largest answer, except for rule files.
pub(super) const MOST_ANSWER: usize = 4 * 1024 * 1024;

/// `EligibilityService`, with a limit for each kind of method.
#[derive(Debug, Clone)]
pub(super) struct EligibilityBySize {
    checks: EligibilityServiceServer<Api>,
    batches: EligibilityServiceServer<Api>,
    explanations: EligibilityServiceServer<Api>,
}

impl EligibilityBySize {
    pub(super) fn new(api: &Api) -> Self {
        let server = |most| {
            EligibilityServiceServer::new(api.clone())
                .max_decoding_message_size(most)
                .max_encoding_message_size(MOST_ANSWER)
        };
        Self {
            checks: server(MOST_CHECK),
            batches: server(MOST_ADMIN),
            explanations: server(MOST_DOCUMENT),
        }
    }
}

impl NamedService for EligibilityBySize {
    const NAME: &'static str = EligibilityServiceServer::<Api>::NAME;
}

impl Service<Request<Body>> for EligibilityBySize {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = <EligibilityServiceServer<Api> as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if path.ends_with("/BatchCheckEligibility") {
            self.batches.call(request)
        } else if path.ends_with("/ExplainEligibility") {
            self.explanations.call(request)
        } else {
            self.checks.call(request)
        }
    }
}
