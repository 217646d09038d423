use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt;

use super::*;
use crate::Readiness;

#[derive(Default)]
struct Fake(Mutex<Vec<String>>);

impl Readiness for Fake {
    fn reasons(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

async fn call(readiness: Arc<Fake>, method: &str, path: &str) -> (u16, String, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = router(HttpState { readiness }).oneshot(request).await.unwrap();
    let content_type = response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, content_type.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn readiness_names_its_reasons() {
    let fake = Arc::new(Fake::default());
    assert_eq!(call(fake.clone(), "GET", "/readyz").await.0, 200);
    fake.0.lock().unwrap().push("the catalog cannot be written".into());
    let (status, _, body) = call(fake.clone(), "GET", "/readyz").await;
    assert_eq!((status, body.as_str()), (503, r#"{"ready":false,"reasons":["the catalog cannot be written"]}"#));
    assert_eq!(call(fake, "GET", "/healthz").await.0, 200, "a server that is not ready still lives");
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    metrics::install();
    ::metrics::counter!("airlane_test_total").increment(3);
    let (status, content_type, body) = call(Arc::default(), "GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(content_type.starts_with("text/plain; version=0.0.4"), "{content_type}");
    assert!(body.contains("airlane_test_total 3"), "{body}");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problem_documents() {
    for (method, path) in [("GET", "/nowhere"), ("POST", "/healthz")] {
        let (status, content_type, body) = call(Arc::default(), method, path).await;
        assert_eq!((status, content_type.as_str()), (404, "application/problem+json"), "{method} {path}");
        assert!(body.contains(r#""code":"route_not_found""#) && body.contains("/readyz"), "{body}");
    }
}
