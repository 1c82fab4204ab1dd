//! Reads the standard `OTEL_*` variables that the SDK leaves to its user.
//!
//! The SDK itself reads the service name, resource attributes, sampler, batch limits, headers and
//! timeouts. Whether to export at all, where to, and which context headers to believe is decided here.
//!
//! Invariant: with none of these variables set, nothing is exported and nothing is warned about.
//! A value that cannot be honoured is warned about and leaves its signal off, as the
//! OpenTelemetry specification asks: the same variables are often set for a whole fleet.

/// One of the three things that can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }
}

/// Where an exporter sends to when it is asked for by name and no endpoint is given.
const DEFAULT_ENDPOINT: &str = "http://localhost:4317";

/// What to export, and where to; `None` leaves a signal off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Exports {
    pub(super) traces: Option<String>,
    pub(super) metrics: Option<String>,
    pub(super) logs: Option<String>,
    /// Whether a caller's `traceparent` is believed.
    pub(super) trace_context: bool,
    /// Whether a caller's `baggage` is carried on.
    pub(super) baggage: bool,
    /// What was set but cannot be honoured, for the log.
    pub(super) warnings: Vec<String>,
}

impl Exports {
    /// Reads the environment through `lookup`. A variable that is set but empty counts as unset,
    /// as the OpenTelemetry specification says.
    pub(super) fn read(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| {
            lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let mut exports = Self::default();
        if get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return exports;
        }
        exports.read_propagators(get("OTEL_PROPAGATORS").as_deref());
        exports.traces = exports.endpoint(Signal::Traces, &get);
        exports.metrics = exports.endpoint(Signal::Metrics, &get);
        exports.logs = exports.endpoint(Signal::Logs, &get);
        exports
    }

    fn read_propagators(&mut self, value: Option<&str>) {
        for name in value.unwrap_or("tracecontext,baggage").split(',').map(str::trim) {
            match name {
                "tracecontext" => self.trace_context = true,
                "baggage" => self.baggage = true,
                "none" | "" => {}
                unknown => self.warnings.push(format!(
                    "OTEL_PROPAGATORS names `{unknown}`, which is not built in; \
                     there are tracecontext, baggage and none"
                )),
            }
        }
    }

    /// Where to send a signal, if it is to be sent.
    fn endpoint(
        &mut self,
        signal: Signal,
        get: &impl Fn(&str) -> Option<String>,
    ) -> Option<String> {
        let name = signal.name();
        let endpoint = get(&format!("OTEL_EXPORTER_OTLP_{name}_ENDPOINT"))
            .or_else(|| get("OTEL_EXPORTER_OTLP_ENDPOINT"));
        let variable = format!("OTEL_{name}_EXPORTER");
        let endpoint = match get(&variable) {
            None => endpoint?,
            Some(exporters) => {
                self.wanted(signal, &variable, &exporters)?;
                endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned())
            }
        };
        let protocol = get(&format!("OTEL_EXPORTER_OTLP_{name}_PROTOCOL"))
            .or_else(|| get("OTEL_EXPORTER_OTLP_PROTOCOL"));
        if let Some(protocol) = protocol.filter(|protocol| protocol != "grpc") {
            self.warnings.push(format!(
                "{} are not exported: OTLP over `{protocol}` is not built in, only `grpc` is",
                name.to_lowercase()
            ));
            return None;
        }
        Some(endpoint)
    }

    /// Whether a list of exporters asks for OTLP.
    fn wanted(&mut self, signal: Signal, variable: &str, exporters: &str) -> Option<()> {
        let mut otlp = None;
        for exporter in exporters.split(',').map(str::trim) {
            match exporter {
                "otlp" => otlp = Some(()),
                // Prometheus is always there to be scraped.
                "none" | "" => {}
                "prometheus" if signal == Signal::Metrics => {}
                unknown => self.warnings.push(format!(
                    "{variable} names `{unknown}`, which is not built in; there are otlp and none"
                )),
            }
        }
        otlp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Exports {
        Exports::read(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_set_exports_nothing_and_warns_of_nothing() {
        let expected = Exports { trace_context: true, baggage: true, ..Exports::default() };
        assert_eq!(read(&[]), expected);
        assert_eq!(
            read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]),
            expected,
            "set but empty is unset"
        );
    }

    #[test]
    fn one_endpoint_switches_all_three_on_and_each_can_have_its_own_or_none() {
        let exports = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics:4317"),
            ("OTEL_LOGS_EXPORTER", "none"),
        ]);
        assert_eq!(exports.traces.as_deref(), Some("http://collector:4317"));
        assert_eq!(exports.metrics.as_deref(), Some("http://metrics:4317"));
        assert_eq!(exports.logs, None);
        assert!(exports.warnings.is_empty());
    }

    #[test]
    fn an_exporter_asked_for_by_name_goes_to_the_standard_address() {
        let exports =
            read(&[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_METRICS_EXPORTER", "prometheus")]);
        assert_eq!(exports.traces.as_deref(), Some(DEFAULT_ENDPOINT));
        assert_eq!((exports.metrics, exports.logs), (None, None));
        assert!(exports.warnings.is_empty());
    }

    #[test]
    fn the_switch_for_everything_outranks_the_rest() {
        let exports = read(&[
            ("OTEL_SDK_DISABLED", "True"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
        ]);
        assert_eq!(exports, Exports::default());
    }

    #[test]
    fn what_is_not_built_in_is_warned_about_and_stays_off() {
        let exports = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_PROPAGATORS", "b3, tracecontext"),
        ]);
        assert_eq!((exports.traces, exports.metrics), (None, None));
        assert!(exports.logs.is_some());
        assert!(exports.trace_context && !exports.baggage);
        let said = exports.warnings.join("\n");
        for word in ["`b3`", "`zipkin`", "metrics are not exported", "`http/protobuf`"] {
            assert!(said.contains(word), "{word} is missing in: {said}");
        }
    }
}
