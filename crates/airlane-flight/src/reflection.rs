//! Health and reflection: what tools such as grpcurl and a cluster's probes ask for.

use airlane_model::{Error, Result, codes};
use futures::FutureExt;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH_DESCRIPTORS;
use tonic_health::server::HealthReporter;
use tonic_reflection::server::Builder;

/// `spec/flight.proto`, compiled.
const FLIGHT_DESCRIPTORS: &[u8] = include_bytes!("../../../spec/flight.bin");

/// The name of the service, as health checks ask for it.
const FLIGHT_SERVICE: &str = "arrow.flight.protocol.FlightService";

/// What health checks may ask for: the server, and the service.
const SERVICES: [&str; 2] = ["", FLIGHT_SERVICE];

/// Tells health checks whether the server serves.
#[derive(Clone, Debug)]
pub(crate) struct Health(HealthReporter);

impl Health {
    /// Adds the health service, which answers that all is well, and the reflection service in both versions.
    ///
    /// # Errors
    /// `internal` when the descriptors that are built in are damaged.
    pub(crate) fn add_to(routes: Routes) -> Result<(Routes, Self)> {
        let (reporter, service) = tonic_health::server::health_reporter();
        let health = Self(reporter);
        health.set(ServingStatus::Serving);
        let damaged = |error| Error::new(codes::INTERNAL, "the descriptors for reflection are damaged").source(error);
        let v1 = reflection().build_v1().map_err(|error| damaged(error.to_string()))?;
        let v1alpha = reflection().build_v1alpha().map_err(|error| damaged(error.to_string()))?;
        Ok((routes.add_service(service).add_service(v1).add_service(v1alpha), health))
    }

    /// From now on health checks hear that the server does not serve.
    pub(crate) fn set_not_serving(&self) {
        self.set(ServingStatus::NotServing);
    }

    /// Ends the streams of health checks that wait for a change.
    pub(crate) fn end(&self) {
        let mut reporter = self.0.clone();
        for service in SERVICES {
            let _ = reporter.clear_service_status(service).now_or_never();
        }
    }

    fn set(&self, status: ServingStatus) {
        for service in SERVICES {
            // Waits for nothing but a lock that is held for an instant.
            let _ = self.0.set_service_status(service, status).now_or_never();
        }
    }
}

fn reflection() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(FLIGHT_DESCRIPTORS)
        .register_encoded_file_descriptor_set(HEALTH_DESCRIPTORS)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_compiled_descriptors_are_fresh() {
        let spec = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec"));
        let compiled = protox::compile(["flight.proto"], [spec]).expect("a valid file");
        let bytes = prost::Message::encode_to_vec(&compiled);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(spec.join("flight.bin"), &bytes).expect("writable");
        }
        let committed = std::fs::read(spec.join("flight.bin")).expect("spec/flight.bin");
        assert!(committed == bytes, "spec/flight.bin is stale: run this test with UPDATE_EXPECT=1");
    }
}
