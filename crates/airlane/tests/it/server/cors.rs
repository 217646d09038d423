//! Pages of other origins, as browsers ask for them: over HTTP and gRPC-web.

use airlane::server::Origins;

use super::harness::*;
use super::rest::{Answer, ask};
use super::rights::{rights_file, token_of};
use super::tables::*;

const APP: &str = "https://app.example.org";
const OTHER: &str = "https://other.example.org";
const ACTIONS: &str = "/arrow.flight.protocol.FlightService/ListActions";

/// A server that knows the caller `reader`, whose answers pages of these origins may read.
async fn server(origins: &str) -> TestServer {
    let server = TestServer::start_with(|store, options| {
        let folder = store.folder.as_ref().expect("a folder").parent().expect("a parent").to_owned();
        let path = folder.join("rights.toml");
        std::fs::write(&path, rights_file(&["reader"], "[rights.reader]\neu = [\"read\"]\n")).expect("written");
        options.rights_file = Some(path);
        options.http_origins = Origins::parse(origins).expect("origins");
    })
    .await;
    server.put_here("eu/t", &[numbers(0, 10)]).await;
    server
}

fn token() -> String {
    format!("authorization: Bearer {}\r\n", token_of("reader"))
}

async fn preflight(server: &TestServer, origin: &str, method: &str, path: &str) -> Answer {
    let headers = format!(
        "origin: {origin}\r\naccess-control-request-method: {method}\r\n\
         access-control-request-headers: authorization,content-type,airlane-ttl,x-grpc-web\r\n"
    );
    ask(&server.address(), "OPTIONS", path, &headers, b"").await
}

async fn call(server: &TestServer, headers: &str) -> Answer {
    let headers = format!("origin: {APP}\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n{headers}");
    ask(&server.address(), "POST", ACTIONS, &headers, &[0; 5]).await
}

fn list<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.header(name).unwrap_or_default().split(',').map(str::trim).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_a_preflight_of_every_request_is_answered_without_credentials_and_tells_nothing() {
    let server = server(&format!("http://localhost:5173,{APP}")).await;
    let routes = airlane_http::ROUTES.map(|route| route.name.split_once(' ').expect("a method and a path"));
    for (method, path) in routes.into_iter().chain([("POST", ACTIONS)]) {
        // Whatever is there and whatever is not.
        for path in [path.to_owned(), path.replace("{name}", "eu/t"), path.replace("{name}", "us/secret")] {
            let answer = preflight(&server, APP, method, &path).await;
            assert_eq!((answer.status, answer.body.len()), (200, 0), "{method} {path}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(APP), "{method} {path}");
            assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
            assert!(
                list(&answer, "access-control-allow-methods").contains(&method),
                "{method} {path}: {}",
                answer.head
            );
            assert!(list(&answer, "access-control-allow-headers").contains(&"airlane-ttl"), "{}", answer.head);
            assert!(list(&answer, "vary").contains(&"origin"), "{}", answer.head);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_an_origin_that_is_named_reads_answers_and_refusals() {
    let server = server(APP).await;
    let at = server.address();
    let of_app = format!("origin: {APP}\r\n");
    let read = ask(&at, "GET", "/v1/tables/eu/t?format=csv", &format!("{of_app}{}", token()), b"").await;
    assert_eq!((read.status, read.header("access-control-allow-origin")), (200, Some(APP)), "{}", read.head);
    assert!(read.head.contains("vary: accept") && read.head.contains("vary: origin"), "{}", read.head);
    assert!(read.text().starts_with("n"), "{}", read.text());
    let refused = ask(&at, "GET", "/v1/tables/eu/t", &of_app, b"").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some(APP)));
    assert!(list(&refused, "access-control-expose-headers").contains(&"airlane-code"), "{}", refused.head);
    // What the document tells of the head of an answer is for pages too.
    let document = ask(&at, "GET", "/v1/openapi.json", &token(), b"").await.json();
    let exposed = list(&read, "access-control-expose-headers");
    let mut told = 0;
    for operation in
        document["paths"].as_object().expect("paths").values().filter_map(|path| path.as_object()).flatten()
    {
        let answers = operation.1["responses"].as_object().into_iter().flatten();
        for header in answers.filter_map(|(_, answer)| answer["headers"].as_object()).flatten() {
            // Pages always see these.
            let is_open = ["cache-control", "content-type", "content-length"].contains(&header.0.as_str());
            assert!(is_open || exposed.contains(&header.0.to_lowercase().as_str()), "{} is not exposed", header.0);
            told += 1;
        }
    }
    assert!(told > 10, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_an_origin_that_is_not_named_reads_nothing() {
    for (origins, origin) in [(APP, OTHER), (APP, "null"), (APP, "http://app.example.org"), ("", APP)] {
        let server = server(origins).await;
        let at = server.address();
        let headers = format!("origin: {origin}\r\n{}", token());
        let read = ask(&at, "GET", "/v1/tables/eu/t?format=csv", &headers, b"").await;
        assert_eq!((read.status, read.header("access-control-allow-origin")), (200, None), "{origins}: {origin}");
        let answer = preflight(&server, origin, "PUT", "/v1/tables/eu/t").await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origins}: {origin}");
        if origins.is_empty() {
            assert!(!answer.head.contains("access-control-") && answer.status >= 400, "{}", answer.head);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_origin_means_no_credentials_of_the_browser() {
    let server = server("*").await;
    let answer = preflight(&server, OTHER, "PUT", "/v1/tables/eu/t").await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{}", answer.head);
    assert_eq!(answer.header("access-control-allow-credentials"), None, "{}", answer.head);
    let headers = format!("origin: {OTHER}\r\n{}", token());
    let read = ask(&server.address(), "GET", "/v1/tables/eu/t", &headers, b"").await;
    assert_eq!((read.status, read.header("access-control-allow-origin")), (200, Some("*")), "{}", read.head);
    assert_eq!(read.header("access-control-allow-credentials"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_web_is_read_across_origins_too() {
    let server = server(APP).await;
    let answer = call(&server, &token()).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(APP)), "{}", answer.head);
    assert!(String::from_utf8_lossy(&answer.body).contains("grpc-status:0"), "{}", answer.head);
    let refused = call(&server, "").await;
    assert_eq!(refused.header("access-control-allow-origin"), Some(APP), "{}", refused.head);
    let exposed = list(&refused, "access-control-expose-headers");
    for name in ["grpc-status", "grpc-message", "airlane-code"] {
        assert!(refused.header(name).is_some() && exposed.contains(&name), "{name}: {}", refused.head);
    }
}
