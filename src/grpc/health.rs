//! Health, asked anew at every call, so that it is true now and can turn red again.

use crate::service::Service;
use crate::wire::proto;
use futures_util::{Stream, StreamExt};
use proto::audit_service_server::AuditServiceServer;
use proto::catalog_service_server::CatalogServiceServer;
use proto::eligibility_service_server::EligibilityServiceServer;
use proto::fleet_service_server::FleetServiceServer;
use proto::rule_service_server::RuleServiceServer;
use proto::suspension_service_server::SuspensionServiceServer;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// The name under which to ask whether `ELIGIBLE` can be answered at all.
const FRESHNESS: &str = "freshness";

/// How soon a change of health is seen by those who watch it.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Tells clients to go elsewhere before a server stops, and ends what would never end by itself.
#[derive(Debug, Clone)]
pub struct Switch(Arc<watch::Sender<Stage>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// All is served, and whoever asks for the health is sent elsewhere.
    Leaving,
    Off,
}

impl Switch {
    /// A server that serves.
    #[must_use]
    pub fn on() -> Self {
        Self(Arc::new(watch::Sender::new(Stage::Serving)))
    }

    /// From now on health says `NOT_SERVING`, and everything is served as before.
    pub fn leave(&self) {
        self.0.send_if_modified(|stage| {
            let before = std::mem::replace(stage, Stage::Leaving.max(*stage));
            before != *stage
        });
    }

    /// From now on streams that only wait for news end, too.
    pub fn turn_off(&self) {
        self.0.send_replace(Stage::Off);
    }

    /// Whether health is told as it is.
    #[must_use]
    pub fn is_on(&self) -> bool {
        *self.0.borrow() == Stage::Serving
    }

    /// Done when the switch is off.
    pub(super) fn off(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut seen = self.0.subscribe();
        async move {
            // An error means that nobody is left to turn it off, which ends the wait as well.
            let _ = seen.wait_for(|stage| *stage == Stage::Off).await;
        }
    }
}

/// Answers health calls.
#[derive(Debug, Clone)]
pub(super) struct HealthOf {
    service: Arc<Service>,
    switch: Switch,
}

impl HealthOf {
    pub(super) fn new(service: Arc<Service>, switch: Switch) -> Self {
        Self { service, switch }
    }

    /// What is served; `None` for a service that is not ours. Checks need rules; that these are known
    /// to be the newest is asked under a name of its own, since a balancer that goes by it would empty
    /// itself when one store is away.
    fn status_of(&self, name: &str) -> Option<ServingStatus> {
        let serving = match name {
            "" | EligibilityServiceServer::<super::api::Api>::NAME => self.service.ready().is_ok(),
            FRESHNESS => self.service.fresh().is_ok(),
            RuleServiceServer::<super::api::Api>::NAME
            | CatalogServiceServer::<super::api::Api>::NAME
            | SuspensionServiceServer::<super::api::Api>::NAME
            | FleetServiceServer::<super::api::Api>::NAME
            | AuditServiceServer::<super::api::Api>::NAME => self.service.held().is_some(),
            _ => return None,
        };
        let serving = serving && self.switch.is_on();
        Some(if serving { ServingStatus::Serving } else { ServingStatus::NotServing })
    }
}

#[tonic::async_trait]
impl Health for HealthOf {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = &request.get_ref().service;
        let status = self.status_of(name);
        let status = status.ok_or_else(|| Status::not_found("no such service is served here"))?;
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let name = request.into_inner().service;
        let health = self.clone();
        let statuses = futures_util::stream::unfold(None, move |last| {
            let (health, name) = (health.clone(), name.clone());
            async move {
                let mut interval = tokio::time::interval(LOOK_EVERY);
                loop {
                    interval.tick().await;
                    let status = health.status_of(&name).unwrap_or(ServingStatus::ServiceUnknown);
                    if last != Some(status) {
                        let message = HealthCheckResponse { status: status.into() };
                        return Some((Ok(message), Some(status)));
                    }
                }
            }
        });
        // A last word to watchers comes first, then the end.
        let switch = self.switch.clone();
        let a_while_after = async move {
            switch.off().await;
            tokio::time::sleep(LOOK_EVERY * 2).await;
        };
        Ok(Response::new(Box::pin(statuses.take_until(a_while_after))))
    }
}
