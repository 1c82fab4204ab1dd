//! Traces, metrics and logs, by OpenTelemetry's names.
//!
//! Metrics can always be scraped ([`Telemetry::encode`]). Anything is sent out only when an
//! `OTEL_*` variable asks for it; without one there is no exporter and no span.
//!
//! Invariant: no customer's id is in a span, a metric or a log line. What this folder writes by
//! itself is methods, codes, outcomes, reasons and counts, all from closed lists.

mod calls;
mod context;
mod decisions;
mod enforcements;
mod environment;
mod events;
mod filters;
mod incidents;
mod layer;
mod logs;
mod metrics;
mod standing;

pub use decisions::Decisions;
pub use enforcements::{EnforcementWait, Enforcements};
pub use events::EventsSeen;
pub use filters::LogFilters;
pub use incidents::{CutOff, Incidents, NotAdmitted, TurnedAway, log_panics};
pub use layer::{RpcBody, RpcFuture, RpcLayer, RpcService};
pub use logs::LogFormat;
pub use metrics::{DecisionLogSeen, RulesSeen};
pub use standing::{StandingSeen, StoreContact};

use calls::Calls;
use context::Propagation;
use environment::Exports;
use logs::JsonLines;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt};
use tracing_subscriber::registry::Registry;

/// The name under which everything is measured.
const NAME: &str = "offergate";

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` or the setting is no filter.
    #[error("{name} is not a log filter such as `info` or `offergate=debug,warn`")]
    Filter {
        /// Which of them.
        name: &'static str,
        /// The cause.
        source: tracing_subscriber::filter::ParseError,
    },
    /// What writes log lines is gone.
    #[error("log lines cannot be filtered anew")]
    Filtering(#[source] tracing_subscriber::reload::Error),
    /// An exporter cannot be made: its endpoint does not read, most likely.
    #[error("OTLP exporter for {signal} to `{endpoint}` cannot be set up")]
    Exporter {
        /// What would have been exported.
        signal: &'static str,
        /// Where to.
        endpoint: String,
        /// The cause.
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// The metrics cannot be set up for scraping.
    #[error("metrics cannot be set up")]
    Metrics(#[source] opentelemetry_sdk::error::OTelSdkError),
    /// The thread that sends cannot be started.
    #[error("thread for exporters cannot be started")]
    Thread(#[source] std::io::Error),
    /// Somebody else has set up logs in this process.
    #[error("logs are set up already")]
    Twice(#[source] tracing::dispatcher::SetGlobalDefaultError),
}

/// Reads an environment variable.
pub type Environment = Box<dyn Fn(&str) -> Option<String>>;

/// What telemetry needs to know at the start.
pub struct TelemetrySettings {
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which of them are written, where `RUST_LOG` does not say.
    pub log_filter: String,
    /// Asked for `OTEL_*`, `RUST_LOG` and `NO_COLOR`.
    pub environment: Environment,
    /// Where log lines go, and whether that is a terminal; standard error when `None`.
    pub log_to: Option<(BoxMakeWriter, bool)>,
}

impl fmt::Debug for TelemetrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetrySettings").field("log_format", &self.log_format).finish()
    }
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Auto,
            log_filter: "info".to_owned(),
            environment: Box::new(|name| std::env::var(name).ok()),
            log_to: None,
        }
    }
}

/// Telemetry at work. Dropping it sends out what is left.
pub struct Telemetry {
    meter: Meter,
    registry: prometheus::Registry,
    propagation: Arc<Propagation>,
    meters: SdkMeterProvider,
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    filters: LogFilters,
    /// Exporters send from here, so that they outlive the server's own threads.
    runtime: Option<Runtime>,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (traces, logs) = (self.traces.is_some(), self.logs.is_some());
        f.debug_struct("Telemetry").field("traces", &traces).field("logs", &logs).finish()
    }
}

/// Sets up telemetry for this process. Call it once, before anything is logged.
///
/// # Errors
/// When a variable cannot be read, or logs are set up already.
pub fn init(settings: TelemetrySettings) -> Result<Telemetry, TelemetryError> {
    let (telemetry, dispatch, warnings) = Telemetry::build(settings)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(TelemetryError::Twice)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(telemetry)
}

impl Telemetry {
    /// Sets up telemetry without making it this process's own: the logs go to whoever installs the
    /// dispatcher. Returns the warnings that could not be logged yet.
    ///
    /// # Errors
    /// As for [`init`].
    pub fn build(
        settings: TelemetrySettings,
    ) -> Result<(Self, tracing::Dispatch, Vec<String>), TelemetryError> {
        let exports = Exports::read(&settings.environment);
        let resource = resource(&settings.environment);
        let any = exports.traces.is_some() || exports.metrics.is_some() || exports.logs.is_some();
        let runtime = any.then(exporter_runtime).transpose()?;
        let entered = runtime.as_ref().map(Runtime::enter);
        let registry = prometheus::Registry::new();
        let meters = meter_provider(&exports, &registry, resource.clone())?;
        let traces = tracer_provider(&exports, resource.clone())?;
        let logs = logger_provider(&exports, resource)?;
        drop(entered);
        let (dispatch, filters) = dispatch(settings, traces.as_ref(), logs.as_ref())?;
        let meter = meters.meter(NAME);
        metrics::observe_build(&meter, env!("CARGO_PKG_VERSION"));
        let propagation = Arc::new(Propagation::new(exports.trace_context, exports.baggage));
        let telemetry =
            Self { meter, registry, propagation, meters, traces, logs, filters, runtime };
        Ok((telemetry, dispatch, exports.warnings))
    }

    /// Counts decisions; the names are those of all outcomes and all reasons, in their order.
    #[must_use]
    pub fn decisions(
        &self,
        outcomes: &'static [&'static str],
        reasons: &'static [&'static str],
    ) -> Arc<Decisions> {
        Decisions::register(&self.meter, outcomes, reasons)
    }

    /// Shows the rules in the metrics; `see` is asked at each scrape, and answers `None` while no
    /// rules are loaded.
    pub fn observe_rules(&self, see: impl Fn() -> Option<RulesSeen> + Send + Sync + 'static) {
        metrics::observe_rules(&self.meter, see);
    }

    /// Shows the decision log in the metrics; `see` is asked at each scrape.
    pub fn observe_decision_log(&self, see: impl Fn() -> DecisionLogSeen + Send + Sync + 'static) {
        metrics::observe_decision_log(&self.meter, see);
    }

    /// What changes which log lines are written.
    #[must_use]
    pub fn log_filters(&self) -> LogFilters {
        self.filters.clone()
    }

    /// Shows what this server knows of its own standing; `see` is asked at each scrape.
    pub fn observe_standing(&self, see: impl Fn() -> StandingSeen + Send + Sync + 'static) {
        standing::observe_standing(&self.meter, see);
    }

    /// Shows until when certificates are good, in seconds since 1970; `see` is asked at each scrape.
    pub fn observe_certificates(
        &self,
        see: impl Fn() -> Vec<(&'static str, i64)> + Send + Sync + 'static,
    ) {
        standing::observe_certificates(&self.meter, see);
    }

    /// Shows how events get on that are sent to a webhook; `see` is asked at each scrape.
    pub fn observe_events(&self, see: impl Fn() -> EventsSeen + Send + Sync + 'static) {
        events::observe_events(&self.meter, see);
    }

    /// Measures waits for changes to be enforced.
    #[must_use]
    pub fn enforcements(&self) -> Enforcements {
        Enforcements::register(&self.meter)
    }

    /// Counts what should be rare.
    #[must_use]
    pub fn incidents(&self) -> Incidents {
        Incidents::register(&self.meter)
    }

    /// Measures and traces the calls of a server with these methods, each written
    /// `package.Service/Method`.
    #[must_use]
    pub fn rpc_layer(&self, methods: &[&'static str]) -> RpcLayer {
        let calls = Calls::register(&self.meter, methods);
        let tracer = self.traces.as_ref().map(|traces| traces.tracer(NAME));
        RpcLayer::new(calls, tracer, Arc::clone(&self.propagation))
    }

    /// All metrics, in the text form that Prometheus scrapes.
    ///
    /// # Errors
    /// When two metrics contradict each other, which is a bug.
    pub fn encode(&self) -> Result<String, prometheus::Error> {
        encode(&self.registry)
    }

    /// What [`encode`](Self::encode) does, for whoever serves the metrics.
    pub fn encoder(
        &self,
    ) -> impl Fn() -> Result<String, prometheus::Error> + Send + Sync + 'static {
        let registry = self.registry.clone();
        move || encode(&registry)
    }

    /// Sends out what is left, then stops. Waits a few seconds at most; call it where waiting is
    /// allowed, and after the server has stopped.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        // A collector that is gone must not keep the server from stopping, nor is there anybody
        // left to tell: the exporters have logged their own failures.
        if let Some(traces) = &self.traces {
            let _ = traces.shutdown();
        }
        let _ = self.meters.shutdown();
        if let Some(logs) = &self.logs {
            let _ = logs.shutdown();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn encode(registry: &prometheus::Registry) -> Result<String, prometheus::Error> {
    prometheus::TextEncoder::new().encode_to_string(&registry.gather())
}

/// Who is talking; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` outrank our own name.
fn resource(environment: &Environment) -> Resource {
    let named = environment("OTEL_SERVICE_NAME").is_some()
        || environment("OTEL_RESOURCE_ATTRIBUTES")
            .is_some_and(|text| text.contains("service.name="));
    let builder = Resource::builder().with_attribute(opentelemetry::KeyValue::new(
        opentelemetry_semantic_conventions::attribute::SERVICE_VERSION,
        env!("CARGO_PKG_VERSION"),
    ));
    if named { builder.build() } else { builder.with_service_name(NAME).build() }
}

fn exporter_runtime() -> Result<Runtime, TelemetryError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("telemetry")
        .enable_all()
        .build()
        .map_err(TelemetryError::Thread)
}

fn meter_provider(
    exports: &Exports,
    registry: &prometheus::Registry,
    resource: Resource,
) -> Result<SdkMeterProvider, TelemetryError> {
    let scraped = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .without_target_info()
        .build()
        .map_err(TelemetryError::Metrics)?;
    let mut builder = SdkMeterProvider::builder().with_resource(resource).with_reader(scraped);
    if let Some(endpoint) = &exports.metrics {
        let exporter = MetricExporter::builder().with_tonic().with_endpoint(endpoint).build();
        builder = builder.with_periodic_exporter(exporter.map_err(refused("metrics", endpoint))?);
    }
    Ok(builder.build())
}

fn tracer_provider(
    exports: &Exports,
    resource: Resource,
) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    let Some(endpoint) = &exports.traces else { return Ok(None) };
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter = exporter.map_err(refused("traces", endpoint))?;
    let builder = SdkTracerProvider::builder().with_resource(resource);
    Ok(Some(builder.with_batch_exporter(exporter).build()))
}

fn logger_provider(
    exports: &Exports,
    resource: Resource,
) -> Result<Option<SdkLoggerProvider>, TelemetryError> {
    let Some(endpoint) = &exports.logs else { return Ok(None) };
    let exporter = LogExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter = exporter.map_err(refused("logs", endpoint))?;
    let builder = SdkLoggerProvider::builder().with_resource(resource);
    Ok(Some(builder.with_batch_exporter(exporter).build()))
}

fn refused(
    signal: &'static str,
    endpoint: &str,
) -> impl FnOnce(opentelemetry_otlp::ExporterBuildError) -> TelemetryError {
    let endpoint = endpoint.to_owned();
    move |source| TelemetryError::Exporter { signal, endpoint, source }
}

/// Where spans and log lines of this process go.
fn dispatch(
    settings: TelemetrySettings,
    traces: Option<&SdkTracerProvider>,
    logs: Option<&SdkLoggerProvider>,
) -> Result<(tracing::Dispatch, LogFilters), TelemetryError> {
    let get = |name| (settings.environment)(name).filter(|value| !value.is_empty());
    let mut filters = LogFilters::new(get("RUST_LOG"), &settings.log_filter);
    let colours = get("NO_COLOR").is_none();
    let (writer, terminal) = settings
        .log_to
        .unwrap_or_else(|| (BoxMakeWriter::new(std::io::stderr), std::io::stderr().is_terminal()));
    let json = match settings.log_format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = if json {
        lines.event_format(JsonLines).boxed()
    } else {
        lines.with_ansi(terminal && colours).boxed()
    };
    let lines = lines.with_filter(filters.one_more()?);
    // Spans of our own code become part of the call's trace; what the exporters do themselves
    // would otherwise be exported in turn, without end.
    let ours = || FilterFn::new(|metadata| metadata.target().starts_with(NAME));
    let spans = traces.map(|traces| {
        tracing_opentelemetry::layer().with_tracer(traces.tracer(NAME)).with_filter(ours())
    });
    let records =
        logs.map(|logs| OpenTelemetryTracingBridge::new(logs).with_filter(ours()).boxed());
    let records =
        records.map(|records| Ok(records.with_filter(filters.one_more()?))).transpose()?;
    let subscriber = Registry::default().with(lines).with(spans).with(records);
    Ok((tracing::Dispatch::new(subscriber), filters))
}
