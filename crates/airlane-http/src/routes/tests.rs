use std::sync::{Arc, Mutex};

use airlane_exchange::Exchange;
use airlane_exchange::words::Figures;
use airlane_gate::Patience;
use airlane_model::Caller;
use airlane_model::figures::ServerFigures;
use airlane_store::{Store, StoreOptions};
use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt;

use super::*;
use crate::{Check, Readiness, Uploads};

#[derive(Default)]
struct Fake(Mutex<Vec<Check>>);

impl Readiness for Fake {
    fn checks(&self) -> Vec<Check> {
        self.0.lock().unwrap().clone()
    }
}

#[derive(Debug)]
struct NoFigures;

impl Figures for NoFigures {
    fn now(&self) -> ServerFigures {
        ServerFigures::default()
    }
}

fn refresh_metrics() {
    ::metrics::counter!("airlane_elsewhere_total").absolute(7);
}

pub(crate) async fn response(method: &str, path: &str) -> axum::response::Response {
    answer(Some(Caller::local()), Arc::default(), method, path).await
}

async fn call_with(readiness: Arc<Fake>, method: &str, path: &str) -> (u16, String, String) {
    call_as(Some(Caller::local()), readiness, method, path).await
}

pub(crate) async fn call(method: &str, path: &str) -> (u16, String, String) {
    call_with(Arc::default(), method, path).await
}

async fn answer(caller: Option<Caller>, readiness: Arc<Fake>, method: &str, path: &str) -> axum::response::Response {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    let (store, _) = Store::open(StoreOptions::new(None)).unwrap();
    let state = HttpState {
        exchange: Exchange::open(store).unwrap(),
        reading: airlane_format::ReadOptions::default(),
        uploads: Uploads::default(),
        life: "life".into(),
        patience: Patience::default(),
        figures: Arc::new(NoFigures),
        readiness,
        refresh_metrics: Arc::new(refresh_metrics),
    };
    router(state).oneshot(request).await.unwrap()
}

async fn call_as(caller: Option<Caller>, readiness: Arc<Fake>, method: &str, path: &str) -> (u16, String, String) {
    let response = answer(caller, readiness, method, path).await;
    let content_type = response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, content_type.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn readiness_names_its_reasons() {
    let fake = Arc::new(Fake::default());
    fake.0.lock().unwrap().push(Check::warning("disk", "little is free"));
    let (status, _, body) = call_with(fake.clone(), "GET", "/readyz").await;
    assert_eq!(
        (status, body.as_str()),
        (200, r#"{"ready":true,"reasons":[],"checks":{"disk":{"status":"warning","message":"little is free"}}}"#)
    );
    fake.0.lock().unwrap().extend([Check::ok("start"), Check::failing("store", "the catalog cannot be written")]);
    let (status, _, body) = call_with(fake.clone(), "GET", "/readyz").await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["ready"]), (503, &false.into()));
    assert_eq!(body["reasons"], serde_json::json!(["the catalog cannot be written"]));
    assert_eq!(body["checks"]["start"], serde_json::json!({"status": "ok"}));
    assert_eq!(body["checks"]["store"]["status"], "failing");
    assert_eq!(call_with(fake, "GET", "/healthz").await.0, 200, "a server that is not ready still lives");
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    metrics::install();
    ::metrics::counter!("airlane_test_total").increment(3);
    let (status, content_type, body) = call("GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(content_type.starts_with("text/plain; version=0.0.4"), "{content_type}");
    assert!(body.contains("airlane_test_total 3"), "{body}");
    assert!(body.contains("airlane_elsewhere_total 7"), "{body}");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problem_documents() {
    for (method, path) in [("GET", "/nowhere"), ("POST", "/healthz")] {
        let (status, content_type, body) = call(method, path).await;
        assert_eq!((status, content_type.as_str()), (404, "application/problem+json"), "{method} {path}");
        assert!(body.contains(r#""code":"route_not_found""#) && body.contains("/v1/tables"), "{body}");
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

/// What is in the list is answered, and what is answered is in the list: handlers are found by its names alone.
#[tokio::test]
async fn s5_every_route_of_the_list_is_answered_and_none_else() {
    for (place, Route { name, .. }) in ROUTES.into_iter().enumerate() {
        assert!(handler(name).is_some(), "{name} has no handler");
        let (method, path) = name.split_once(' ').unwrap();
        let path = path.split_once('{').map_or(path.to_owned(), |(path, _)| format!("{path}a/b"));
        assert_eq!(name_of(&method.parse().unwrap(), &path), place, "{name}");
        // Only the head: changes are told without an end.
        let response = response(method, &path).await;
        let code = response.headers().get("airlane-code");
        // There is no file `a/b` of the page.
        let is_answered = code.is_none_or(|code| code != "route_not_found") || name == "GET /docs/{file}";
        assert!(is_answered, "{name}: {code:?}");
    }
    let source = include_str!("../routes.rs");
    let arms = source.lines().filter(|line| line.trim().starts_with('"') && line.contains("\" => ")).count();
    assert_eq!(arms, ROUTES.len(), "a handler without a route");
    assert_eq!(name_of(&Method::GET, "/v1/tables/"), ROUTES.len(), "a name is not empty");
}
