//! S6: no secret leaves by a log, a metric or an error's text.

use airlane_testkit::ServerProcess;
use arrow_flight::{Action, Criteria, HandshakeRequest, Ticket};
use futures::TryStreamExt;
use rustix::process::{Pid, Signal, kill_process};
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use super::harness::*;
use super::rights::*;
use super::tables::*;
use crate::cli::binary;

/// What every secret here holds.
const CANARY: &str = "canary";

fn authorized<T>(value: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value: MetadataValue<_> = value.parse().expect("a header");
    request.metadata_mut().insert("authorization", value);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_a_canary_in_every_input_is_in_no_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let rights = folder.path().join("rights.toml");
    let hash =
        airlane_gate::hash_password(&airlane_model::Secret::new("canary-password"), &airlane_model::SystemChance);
    let sha256 = airlane_gate::NewToken::of(airlane_model::Secret::new("canary-token")).sha256;
    let text = format!(
        "[user.ada]\npassword = \"{}\"\n[token.ci]\nsha256 = \"{sha256}\"\n[rights.ci]\n\"*\" = [\"read\", \"write\", \"admin\"]\n",
        hash.expect("a hash")
    );
    std::fs::write(&rights, &text).expect("written");
    let arguments = ["--log", "trace", "--rights-file", &rights.display().to_string()];
    let server = ServerProcess::start(binary(), &folder.path().join("data"), arguments);
    let address = format!("127.0.0.1:{}", server.port());
    let mut client = client_of(&address).await;
    let mut shown = Vec::new();
    let mut refused = |what: &str, status: Status| shown.push(format!("{what}: {status:?} {status}"));

    // What is taken.
    for good in ["Bearer canary-token".to_owned(), basic("ada", "canary-password")] {
        client.list_flights(authorized(&good, Criteria::default())).await.expect("let in");
        let status = client.do_get(authorized(&good, Ticket::new("no_such_table"))).await.expect_err("absent");
        refused("absent", status);
    }
    // What is not.
    for wrong in [
        "Bearer canary-wrong".to_owned(),
        "Bearer airlane-session.canary".to_owned(),
        basic("ada", "canary-wrong"),
        basic("canary-user", "canary-wrong"),
        "canary-without-scheme".to_owned(),
        "Digest canary".to_owned(),
        "Basic canary!".to_owned(),
    ] {
        let status = client.list_flights(authorized(&wrong, Criteria::default())).await.expect_err("refused");
        refused("wrong", status);
    }
    // A login: what is sent and what is answered.
    let payload = HandshakeRequest { protocol_version: 0, payload: "canary-payload".into() };
    let login = authorized(&basic("ada", "canary-password"), futures::stream::iter([payload]));
    let session =
        client.handshake(login).await.expect("logged in").metadata().get("authorization").expect("a token").clone();
    let session = session.to_str().expect("text").to_owned();
    client.list_flights(authorized(&session, Criteria::default())).await.expect("let in");

    // A signed ticket: who has it can read, so it is a secret too.
    let put = encode(by_path("t"), numbers_schema(), vec![numbers(0, 10)]);
    put_request(&mut client, authorized("Bearer canary-token", put)).await.expect("put");
    let asked = Action { r#type: "ticket".into(), body: "{\"ticket\":\"t\",\"ttl\":\"1h\"}".into() };
    let answer = client.do_action(authorized("Bearer canary-token", asked)).await.expect("signed").into_inner();
    let signed: Vec<arrow_flight::Result> = answer.try_collect().await.expect("signed");
    let signed: serde_json::Value = serde_json::from_slice(&signed[0].body).expect("JSON");
    let ticket = signed["ticket"].as_str().expect("a ticket").to_owned();
    for (what, ticket) in [("taken", ticket.clone()), ("changed", format!("{ticket}A"))] {
        match client.do_get(authorized("Bearer canary-token", Ticket::new(ticket))).await {
            Ok(read) => assert_eq!(decode(read.into_inner()).await.expect("rows").1.len(), 1),
            Err(status) => refused(what, status),
        }
    }

    // A counted ticket: read, and used up.
    let asked = Action { r#type: "ticket".into(), body: "{\"ticket\":\"t\",\"reads\":1}".into() };
    let answer = client.do_action(authorized("Bearer canary-token", asked)).await.expect("signed").into_inner();
    let signed: Vec<arrow_flight::Result> = answer.try_collect().await.expect("signed");
    let signed: serde_json::Value = serde_json::from_slice(&signed[0].body).expect("JSON");
    let counted = signed["ticket"].as_str().expect("a ticket").to_owned();
    let read = client.do_get(authorized("Bearer canary-token", Ticket::new(counted.clone()))).await.expect("a read");
    decode(read.into_inner()).await.expect("rows");
    let used = client.do_get(authorized("Bearer canary-token", Ticket::new(counted.clone()))).await;
    refused("used up", used.expect_err("used up"));

    // Idempotency keys: taken, of other content, too long, and in a descriptor.
    let mut keyed = async |key: &str, rows: usize| {
        let mut put = authorized("Bearer canary-token", encode(by_path("k"), numbers_schema(), vec![numbers(0, rows)]));
        put.metadata_mut().insert("airlane-idempotency-key", key.parse().expect("a header"));
        put_request(&mut client, put).await
    };
    keyed("canary-key", 10).await.expect("put");
    refused("another content", keyed("canary-key", 11).await.expect_err("another content"));
    refused("too long", keyed(&"canary-key".repeat(200), 10).await.expect_err("too long"));
    for command in [
        "{\"path\":\"k\",\"idempotency_key\":\"canary-key\"}",
        "{\"path\":\"k\",\"idempotency_key\":\"canary\\u0007key\"}",
        "{\"path\":\"k\",\"idempotency_key\":[\"canary-key\"]}",
    ] {
        let descriptor = arrow_flight::FlightDescriptor::new_cmd(command.as_bytes().to_vec());
        let asked = client.get_flight_info(authorized("Bearer canary-token", descriptor)).await;
        refused("a key in a read", asked.expect_err("no option of a read"));
    }

    // What the commands show that look at a server.
    let mut printed = String::new();
    for arguments in [
        &["top", "--once"][..],
        &["top", "--once", "--json"],
        &["ls", "--json"],
        &["info", "k"],
        &["doctor", "--write"],
        &["doctor", "--write", "--json"],
        &["get", &counted],
        &["get", "~canary-ticket.e30.AAAA"],
    ] {
        for (variable, secret) in [
            ("AIRLANE_TOKEN", "canary-token"),
            ("AIRLANE_TOKEN", "canary-wrong"),
            ("AIRLANE_PASSWORD", "canary-password"),
        ] {
            let mut command = crate::cli::airlane(folder.path());
            command.args(arguments).env("AIRLANE_URL", server.url()).env(variable, secret).env("RUST_LOG", "trace");
            if variable == "AIRLANE_PASSWORD" {
                command.env("AIRLANE_USER", "ada");
            }
            let output = command.output().expect("a command");
            printed.push_str(&String::from_utf8_lossy(&output.stdout));
            printed.push_str(&String::from_utf8_lossy(&output.stderr));
        }
    }
    assert!(printed.contains("most_read") && printed.contains("quiet-stream"), "{printed}");

    // By HTTP, in headers and where they do not belong.
    let mut metrics = String::new();
    for (path, headers) in [
        ("/metrics?token=canary-query", "authorization: Bearer canary-token\r\n"),
        ("/metrics?token=canary-query", "authorization: Bearer canary-wrong\r\n"),
        ("/readyz?password=canary-query", "x-api-key: canary-key\r\ncookie: canary-cookie\r\n"),
        ("/metrics", "authorization: canary\r\nauthorization: canary\r\n"),
    ] {
        let (head, body) = fetch_at(&address, path, headers).await;
        metrics.push_str(&format!("{head}\n{body}\n"));
    }
    assert!(metrics.contains("airlane_requests_total"), "{metrics}");

    // A rights file with secrets where hashes belong.
    let broken = "[user.ada]\npassword = \"canary-plain\"\n";
    std::fs::write(&rights, broken).expect("written");
    let process = Pid::from_raw(i32::try_from(server.id()).expect("an id")).expect("an id");
    kill_process(process, Signal::HUP).expect("the server is there");
    eventually_async("the file is refused", async || {
        let (_, body) = fetch_at(&address, "/metrics", "authorization: Bearer canary-token\r\n").await;
        body.contains("airlane_rights_files_total{outcome=\"refused\"} 1")
    })
    .await;

    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("outcome=ok") && log.contains("outcome=credentials_refused"), "requests are logged:\n{log}");
    assert!(log.contains("rpc=\"ListFlights\"") && log.contains("caller=\"ci\""), "{log}");
    for (what, text) in [
        ("the log", &log),
        ("the metrics", &metrics),
        ("the errors", &shown.join("\n")),
        ("what commands print", &printed),
    ] {
        let found: Vec<&str> = text
            .lines()
            .filter(|line| {
                line.contains(CANARY)
                    || line.contains(&session)
                    || line.contains(&ticket[..40])
                    || line.contains(&counted[..40])
            })
            .collect();
        assert!(found.is_empty(), "{what} shows a secret: {found:#?}");
    }
}
