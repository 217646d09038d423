use std::sync::{Arc, Mutex};

use airlane_model::Caller;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt;

use super::*;
use crate::{Check, Readiness};

#[derive(Default)]
struct Fake(Mutex<Vec<Check>>);

impl Readiness for Fake {
    fn checks(&self) -> Vec<Check> {
        self.0.lock().unwrap().clone()
    }
}

fn refresh_metrics() {
    ::metrics::counter!("airlane_elsewhere_total").absolute(7);
}

async fn call(readiness: Arc<Fake>, method: &str, path: &str) -> (u16, String, String) {
    call_as(Some(Caller::local()), readiness, method, path).await
}

async fn call_as(caller: Option<Caller>, readiness: Arc<Fake>, method: &str, path: &str) -> (u16, String, String) {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    let response =
        router(HttpState { readiness, refresh_metrics: Arc::new(refresh_metrics) }).oneshot(request).await.unwrap();
    let content_type = response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, content_type.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn readiness_names_its_reasons() {
    let fake = Arc::new(Fake::default());
    fake.0.lock().unwrap().push(Check::warning("disk", "little is free"));
    let (status, _, body) = call(fake.clone(), "GET", "/readyz").await;
    assert_eq!(
        (status, body.as_str()),
        (200, r#"{"ready":true,"reasons":[],"checks":{"disk":{"status":"warning","message":"little is free"}}}"#)
    );
    fake.0.lock().unwrap().extend([Check::ok("start"), Check::failing("store", "the catalog cannot be written")]);
    let (status, _, body) = call(fake.clone(), "GET", "/readyz").await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["ready"]), (503, &false.into()));
    assert_eq!(body["reasons"], serde_json::json!(["the catalog cannot be written"]));
    assert_eq!(body["checks"]["start"], serde_json::json!({"status": "ok"}));
    assert_eq!(body["checks"]["store"]["status"], "failing");
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
    assert!(body.contains("airlane_elsewhere_total 7"), "{body}");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problem_documents() {
    for (method, path) in [("GET", "/nowhere"), ("POST", "/healthz")] {
        let (status, content_type, body) = call(Arc::default(), method, path).await;
        assert_eq!((status, content_type.as_str()), (404, "application/problem+json"), "{method} {path}");
        assert!(body.contains(r#""code":"route_not_found""#) && body.contains("/readyz"), "{body}");
    }
}

#[tokio::test]
async fn s5_metrics_are_for_who_has_admin_everywhere() {
    use airlane_model::Right;
    use airlane_model::caller::{ANONYMOUS, Grant};
    let grant = |pattern: &str, right| Grant { namespaces: pattern.parse().unwrap(), rights: vec![right] };
    for (caller, status) in [
        (None, 403),
        (Some(Caller::new("ci", vec![grant("*", Right::Read), grant("eu", Right::Admin)])), 403),
        (Some(Caller::new(ANONYMOUS, vec![grant("*", Right::Read)])), 401),
        (Some(Caller::new("prometheus", vec![grant("*", Right::Admin)])), 200),
    ] {
        assert_eq!(call_as(caller.clone(), Arc::default(), "GET", "/metrics").await.0, status, "{caller:?}");
        assert_eq!(call_as(caller, Arc::default(), "GET", "/readyz").await.0, 200);
    }
}

#[test]
fn a_refusal_says_how_to_log_in_and_its_code() {
    let response = crate::refusal(&Error::new(codes::CREDENTIALS_MISSING, "no credentials"));
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers().get_all("www-authenticate").iter().count(), 2);
    assert_eq!(response.headers()["airlane-code"], "credentials_missing");
    let response = crate::refusal(&Error::new(codes::PERMISSION_DENIED, "no right"));
    assert_eq!((response.status().as_u16(), response.headers().contains_key("www-authenticate")), (403, false));
}

/// What has no place in the list has no row in the table of rights either.
#[test]
fn s5_every_route_is_in_the_list_of_paths() {
    let source = include_str!("../routes.rs");
    let routes: Vec<&str> =
        source.lines().filter_map(|line| line.trim().strip_prefix(".route(")?.split(',').next()).collect();
    assert!(!routes.is_empty());
    let (_, list) = source.split_once("pub const PATHS").expect("a list");
    let (list, _) = list.split_once(';').and_then(|(_, list)| list.split_once(';')).expect("its end");
    for route in &routes {
        assert!(list.contains(route), "{route} is not in {list}");
    }
    assert_eq!(routes.len(), PATHS.len());
    assert!(!source.contains(".nest(") && !source.contains(".merge("), "routes that this test does not see");
}
