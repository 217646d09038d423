//! A span for each request, exported by OTLP over gRPC, where the standard variables ask for it.
//!
//! | variable | here |
//! | --- | --- |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | where to; without either nothing is exported |
//! | `OTEL_SDK_DISABLED=true`, `OTEL_TRACES_EXPORTER=none` | nothing is exported |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL` and that of traces | `grpc`; with another one nothing is exported, and the log says so |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`, … | as the specification has them |
//!
//! Spans wait in a queue of bounded length for a thread of their own; when it is full they are dropped. A collector that is
//! slow, gone or wrong costs spans and no request.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use airlane_gate::{Ended, Observer};
use airlane_model::{Clock, Error, ErrorKind, Outcome, Result, SystemClock, codes};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanKind, Status, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

/// How long the end of the server waits for spans to leave.
const FLUSH_MAX: Duration = Duration::from_secs(2);

const FLIGHT_SERVICE: &str = "arrow.flight.protocol.FlightService";

/// Exports spans while the server runs.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Begins to export, if the environment asks for it. To be called inside a runtime.
    ///
    /// # Errors
    /// `config_invalid` for an endpoint that is none.
    pub(crate) fn begin(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        match asked(variable) {
            Asked::Nothing => return Ok(None),
            Asked::Protocol(protocol) => {
                tracing::warn!("no traces are exported: the protocol `{}` is not `grpc`", protocol.escape_debug());
                return Ok(None);
            }
            Asked::Grpc => {}
        }
        let exporter = SpanExporter::builder().with_tonic().build().map_err(|error| {
            Error::new(codes::CONFIG_INVALID, format!("traces cannot be exported: {error}"))
                .at("the variables `OTEL_EXPORTER_OTLP_*`")
                .hint("an endpoint is such as http://localhost:4317; OTEL_SDK_DISABLED=true turns traces off")
        })?;
        let named = std::env::var_os("OTEL_SERVICE_NAME").is_some()
            || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|text| text.contains("service.name="));
        let resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let resource = if named { resource } else { resource.with_service_name("airlane") };
        let provider =
            SdkTracerProvider::builder().with_resource(resource.build()).with_batch_exporter(exporter).build();
        tracing::info!("traces are exported");
        Ok(Some(Self { provider }))
    }

    /// Who makes spans of requests.
    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(Spans { tracer: self.provider.tracer("airlane"), propagator: TraceContextPropagator::new() })
    }

    /// Exports what waits, for a short time at most. Blocks.
    pub(crate) fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_MAX) {
            tracing::warn!("the last traces were not exported: {error}");
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Grpc,
    Protocol(String),
}

fn asked(variable: impl Fn(&str) -> Option<String>) -> Asked {
    // The specification: an empty variable is one that is not set.
    let variable = |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|text| text == "none");
    if is_off || endpoints.into_iter().find_map(&variable).is_none() {
        return Asked::Nothing;
    }
    let protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
    match protocol {
        Some(protocol) if protocol != "grpc" => Asked::Protocol(protocol),
        _ => Asked::Grpc,
    }
}

/// Makes spans of requests.
#[derive(Debug)]
struct Spans {
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
}

impl Observer for Spans {
    fn ended(&self, request: &Ended<'_>) {
        let parent = self.propagator.extract_with_context(&Context::new(), &Headers(request));
        let end = SystemClock.now().as_micros();
        let end = UNIX_EPOCH + Duration::from_micros(u64::try_from(end).unwrap_or(0));
        let begin = end.checked_sub(request.duration).unwrap_or(UNIX_EPOCH);
        self.span(request, &parent, begin).end_with_timestamp(end);
    }
}

impl Spans {
    fn span(&self, request: &Ended<'_>, parent: &Context, begin: SystemTime) -> impl Span {
        let mut attributes = vec![
            KeyValue::new("airlane.caller", request.caller.to_owned()),
            KeyValue::new("airlane.outcome", request.outcome.to_string()),
            KeyValue::new("airlane.rows", signed(request.rows)),
            KeyValue::new("airlane.bytes_in", signed(request.bytes_in)),
            KeyValue::new("airlane.bytes_out", signed(request.bytes_out)),
            KeyValue::new("client.address", request.peer.to_string()),
        ];
        attributes.extend(request.table.map(|table| KeyValue::new("airlane.table", table.to_string())));
        let name = match request.http_method {
            // Names and attributes of the semantic conventions: for HTTP, and for RPC.
            Some(method) => {
                attributes.push(KeyValue::new("http.request.method", method.as_str().to_owned()));
                // The name of a route has its method before it.
                let route = request.rpc.split_once(' ').map_or(request.rpc, |(_, path)| path);
                attributes.push(KeyValue::new("http.route", route));
                attributes.push(KeyValue::new("http.response.status_code", i64::from(request.http_status)));
                format!("{method} {route}")
            }
            None => {
                attributes.push(KeyValue::new("rpc.system", "grpc"));
                attributes.push(KeyValue::new("rpc.service", FLIGHT_SERVICE));
                attributes.push(KeyValue::new("rpc.method", request.rpc));
                attributes.push(KeyValue::new("rpc.grpc.status_code", grpc_code(request.outcome)));
                format!("{FLIGHT_SERVICE}/{}", request.rpc)
            }
        };
        if request.outcome != Outcome::Ok {
            attributes.push(KeyValue::new("error.type", request.outcome.to_string()));
        }
        let builder = self.tracer.span_builder(name).with_kind(SpanKind::Server).with_start_time(begin);
        let mut span = self.tracer.build_with_context(builder.with_attributes(attributes), parent);
        if is_fault(request.outcome) {
            span.set_status(Status::error(request.outcome.to_string()));
        }
        span
    }
}

/// What is an error of the server, and not of who asks, as the conventions for gRPC have it.
fn is_fault(outcome: Outcome) -> bool {
    // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
    [2, 4, 12, 13, 14, 15].contains(&grpc_code(outcome))
}

fn grpc_code(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Code(code) => code.kind().grpc_code().into(),
        Outcome::Grpc(status) => status.into(),
        Outcome::Http(500..) => ErrorKind::Internal.grpc_code().into(),
        Outcome::Http(_) => ErrorKind::InvalidArgument.grpc_code().into(),
        Outcome::CutOff => ErrorKind::Cancelled.grpc_code().into(),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The headers of a trace, as the propagator asks for them.
struct Headers<'a>(&'a Ended<'a>);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = match key {
            "traceparent" => self.0.traceparent,
            "tracestate" => self.0.tracestate,
            _ => None,
        };
        value.and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_variables_decide() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317");
        let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4317");
        let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        for (variables, expected) in [
            (&[][..], Asked::Nothing),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], Asked::Nothing),
            (&[endpoint], Asked::Grpc),
            (&[of_traces], Asked::Grpc),
            (&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")], Asked::Nothing),
            (&[endpoint, ("OTEL_SDK_DISABLED", "1")], Asked::Grpc),
            (&[endpoint, ("OTEL_TRACES_EXPORTER", "none")], Asked::Nothing),
            (&[endpoint, http], Asked::Protocol("http/protobuf".into())),
            (&[endpoint, http, ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")], Asked::Grpc),
        ] {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(asked(variable), expected, "{variables:?}");
        }
    }
}
