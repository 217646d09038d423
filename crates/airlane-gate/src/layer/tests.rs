use std::path::Path;

use airlane_model::codes;
use bytes::Bytes;
use http::HeaderValue;
use http_body_util::{BodyExt, Full};
use tower::service_fn;

use super::*;
use crate::gate::GateOptions;
use crate::rules::Rules;

#[derive(Clone)]
struct TestDoors;

impl Doors for TestDoors {
    type Body = Full<Bytes>;

    fn names(&self) -> Vec<RequestName> {
        vec![RequestName { name: "test", is_stream: false }]
    }

    fn name_of(&self, _: &Parts) -> usize {
        0
    }

    fn is_grpc(&self, _: &Parts) -> bool {
        false
    }

    fn is_open(&self, head: &Parts) -> bool {
        head.uri.path() == "/open"
    }

    fn is_answered_to_the_end(&self, head: &Parts) -> bool {
        self.is_open(head)
    }

    fn is_login(&self, head: &Parts) -> bool {
        head.uri.path() == "/login"
    }

    fn is_stream(&self, head: &Parts) -> bool {
        head.uri.path() == "/stream"
    }

    fn refuse(&self, _: &Parts, error: &Error) -> Response<Full<Bytes>> {
        let status = error.kind().http_status();
        Response::builder().status(status).body(Full::from(error.to_string())).expect("a response")
    }
}

/// A body that must not be read.
struct Untouched;

impl Body for Untouched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body of a refused request was read")
    }
}

/// Says who asks, whether the credentials are still there, and whether there is a session; reads the body.
async fn tell<B: Body<Data = Bytes, Error = Infallible> + Unpin>(
    request: Request<Metered<B>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let caller = request.extensions().get::<Caller>().map(|caller| caller.name().to_owned());
    let (session, shown) =
        (request.extensions().get::<SessionToken>().is_some(), request.headers().contains_key(header::AUTHORIZATION));
    let Ok(body) = request.into_body().collect().await;
    let text =
        format!("{} session={session} shown={shown} {} bytes", caller.unwrap_or_default(), body.to_bytes().len());
    Ok(Response::new(Full::from(text)))
}

fn gate() -> Gate {
    let sha256 = crate::token::hex(&crate::keyed::sha256(b"t0ken"));
    let rules = Rules::parse(Path::new("rights.toml"), &format!("[token.ci]\nsha256 = \"{sha256}\"\n")).expect("valid");
    Gate::guarded(rules, &GateOptions::default())
}

async fn call<B>(gate: Gate, path: &str, authorization: Option<&'static str>, body: B) -> (u16, String)
where
    B: Body<Data = Bytes, Error = Infallible> + Unpin + Send + 'static,
{
    let doors = GateLayer::new(gate, Drain::default(), TestDoors).layer(service_fn(tell));
    let mut request = Request::builder().uri(path).body(body).expect("a request");
    if let Some(value) = authorization {
        request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_static(value));
    }
    let Ok(response) = doors.oneshot(request).await;
    let status = response.status().as_u16();
    let Ok(body) = response.into_body().collect().await;
    (status, String::from_utf8(body.to_bytes().to_vec()).expect("text"))
}

#[tokio::test]
async fn s5_a_refused_request_is_answered_without_its_body() {
    for (authorization, code) in [(None, codes::CREDENTIALS_MISSING), (Some("Bearer x"), codes::CREDENTIALS_REFUSED)] {
        let (status, _) = call(gate(), "/", authorization, Untouched).await;
        assert_eq!(status, code.kind().http_status());
        assert_eq!(status, 401);
    }
}

#[tokio::test]
async fn a_door_gets_the_caller_and_no_credentials() {
    let body = || Full::from("12345");
    let told = |path, authorization| call(gate(), path, authorization, body());
    assert_eq!(told("/", Some("Bearer t0ken")).await.1, "ci session=false shown=false 5 bytes");
    assert_eq!(told("/login", Some("Bearer t0ken")).await.1, "ci session=true shown=false 5 bytes");
    assert_eq!(told("/open", None).await.1, "nobody session=false shown=false 5 bytes");
    assert_eq!(told("/open", Some("Bearer x")).await.1, "nobody session=false shown=false 5 bytes");
    assert_eq!(call(Gate::open(), "/login", None, body()).await.1, "local session=false shown=false 5 bytes");
}

#[tokio::test]
async fn a_server_that_stops_refuses_new_requests_and_answers_probes() {
    let drain = Drain::default();
    let doors = GateLayer::new(Gate::open(), drain.clone(), TestDoors).layer(service_fn(tell));
    let ask = |path: &str, body| doors.clone().oneshot(Request::builder().uri(path).body(body).expect("a request"));
    let Ok(running) = ask("/", Full::from("12345")).await;
    drain.begin();
    assert_eq!(drain.running(), 1, "an answer runs until its body has gone");
    let Ok(probed) = ask("/open", Full::from("")).await;
    assert_eq!(probed.status(), 200);
    let refused = GateLayer::new(Gate::open(), drain.clone(), TestDoors).layer(service_fn(tell));
    let Ok(refused) = refused.oneshot(Request::builder().uri("/").body(Untouched).expect("a request")).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(drain.running(), 1, "neither counts");
    drop(running);
    drain.ended().await;
}

#[tokio::test]
async fn g6_a_stream_counts_until_its_answer_is_gone_and_one_too_many_has_its_body_left_alone() {
    let gate = limited("[rights.anonymous]\n[quotas.callers.anonymous]\nstreams = 1\n");
    let doors = |gate: &Gate| GateLayer::new(gate.clone(), Drain::default(), TestDoors).layer(service_fn(tell));
    let ask = |path: &str| {
        let request = Request::builder().uri(path).body(Full::from("12345")).expect("a request");
        doors(&gate).oneshot(request)
    };
    let Ok(first) = ask("/stream").await;
    assert_eq!(first.status(), 200);
    let refused = GateLayer::new(gate.clone(), Drain::default(), TestDoors).layer(service_fn(tell));
    let Ok(refused) = refused.oneshot(Request::builder().uri("/stream").body(Untouched).expect("a request")).await;
    assert_eq!(refused.status(), 429);
    drop(refused);
    let Ok(other) = ask("/").await;
    assert_eq!(other.status(), 200, "this is no stream");
    // The reader is gone before the end.
    drop(first);
    let Ok(next) = ask("/stream").await;
    assert_eq!(next.status(), 200);
    let Ok(body) = next.into_body().collect().await;
    assert!(!body.to_bytes().is_empty());
    // A request that is given up before it has an answer.
    let mut given_up = Box::pin(
        GateLayer::new(gate.clone(), Drain::default(), TestDoors)
            .layer(service_fn(wait::<Full<Bytes>>))
            .oneshot(Request::builder().uri("/stream").body(Full::<Bytes>::from("")).expect("a request")),
    );
    assert!(futures::poll!(given_up.as_mut()).is_pending());
    let Ok(refused) = ask("/stream").await;
    assert_eq!(refused.status(), 429);
    drop(given_up);
    let Ok(last) = ask("/stream").await;
    assert_eq!(last.status(), 200);
}

/// Never answers.
async fn wait<B>(_: Request<Metered<B>>) -> Result<Response<Full<Bytes>>, Infallible> {
    std::future::pending().await
}

fn limited(rights: &str) -> Gate {
    Gate::guarded(Rules::parse(Path::new("rights.toml"), rights).expect("valid"), &GateOptions::default())
}
