//! Retention over the wire: given with a put, changed by an action, shown, and carried out.

use std::sync::Arc;
use std::time::Duration;

use airlane_model::{Clock, TableInfo, Timestamp};
use airlane_store::testing::ManualClock;
use arrow_flight::{Action, FlightDescriptor, Ticket};
use tonic::{Request, Status};

use super::harness::*;
use super::http::{fetch, metric};
use super::rights::eventually_async;
use super::tables::*;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

async fn server(clock: &Arc<ManualClock>) -> TestServer {
    let clock = clock.clone();
    TestServer::start_with(|store, _| {
        store.clock = clock;
        store.retention = "scratch/* idle=1h; log/* window=1h".parse().expect("defaults");
    })
    .await
}

async fn act(client: &mut Client, name: &str, body: &str) -> Result<TableInfo, Status> {
    let action = Action { r#type: name.into(), body: body.as_bytes().to_vec().into() };
    let mut results = client.do_action(action).await?.into_inner();
    let result = results.message().await?.expect("a result");
    Ok(serde_json::from_slice(&result.body).expect("a table"))
}

async fn put_command(client: &mut Client, command: &str) -> Result<(), Status> {
    let descriptor = FlightDescriptor::new_cmd(command.as_bytes().to_vec());
    put_messages(client, encode(descriptor, numbers_schema(), vec![numbers(0, 10)])).await.map(drop)
}

/// The end that each endpoint of a table has, in seconds.
async fn endpoint_ends(client: &mut Client, name: &str) -> Vec<Option<i64>> {
    let info = client.get_flight_info(by_path(name)).await.expect("an info").into_inner();
    info.endpoint.into_iter().map(|endpoint| endpoint.expiration_time.map(|time| time.seconds)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_says_how_long_its_table_is_kept_and_then_it_goes() {
    let clock = Arc::new(ManualClock::new(NOW));
    let server = server(&clock).await;
    let mut client = server.client().await;
    put_command(&mut client, r#"{"path":"a","ttl":"1h","versions":3}"#).await.expect("a put");
    let mut request = Request::new(encode(by_path("b"), numbers_schema(), vec![numbers(0, 10)]));
    request.metadata_mut().insert("airlane-ttl", "2h".parse().expect("a header"));
    request.metadata_mut().insert("airlane-durability", "ephemeral".parse().expect("a header"));
    put_request(&mut client, request).await.expect("a put");
    put(&mut client, "scratch/c", &[numbers(0, 10)]).await.expect("a put");
    put(&mut client, "d", &[numbers(0, 10)]).await.expect("a put");

    let shown = act(&mut client, "describe", "a").await.expect("a table");
    assert_eq!(shown.retention.to_string(), "ttl=1h versions=3");
    assert_eq!(shown.expires, Some(NOW.saturating_add(HOUR)));
    let end = NOW.as_micros() / 1_000_000 + 3_600;
    assert_eq!(endpoint_ends(&mut client, "a").await, [Some(end)]);
    assert_eq!(endpoint_ends(&mut client, "b").await, [Some(end + 3_600)]);
    assert_eq!(endpoint_ends(&mut client, "scratch/c").await, [Some(end)]);
    assert_eq!(endpoint_ends(&mut client, "d").await, [None]);

    clock.advance(HOUR);
    let status = get(&mut client, "a").await.expect_err("gone");
    assert_eq!(code_name(&status), "table_not_found");
    assert_eq!(server.tables(), ["b", "d"], "gone at once, whatever the sweep does");
    clock.advance(HOUR);
    assert_eq!(server.tables(), ["d"]);
    let segments = server.folder.path().join("data/segments");
    eventually("the sweep has been there", || std::fs::read_dir(&segments).is_ok_and(|files| files.count() == 0)).await;
    eventually_async("all are counted", async || metric(&server, "airlane_expired_tables_total").await >= 3.0).await;
    let (_, text) = fetch(&server, "/metrics").await;
    for reason in ["ttl", "idle"] {
        assert!(text.contains(&format!("airlane_expired_tables_total{{reason=\"{reason}\"}}")), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_keeps_an_idle_table_and_a_look_does_not() {
    let clock = Arc::new(ManualClock::new(NOW));
    let server = server(&clock).await;
    let mut client = server.client().await;
    put(&mut client, "scratch/a", &[numbers(0, 10)]).await.expect("a put");
    put(&mut client, "scratch/b", &[numbers(0, 10)]).await.expect("a put");
    clock.advance(HOUR / 2);
    get(&mut client, "scratch/a").await.expect("a table");
    get(&mut client, "scratch/b?rows=0-0").await.expect("a schema");
    act(&mut client, "describe", "scratch/b").await.expect("a table");
    clock.advance(HOUR / 2);
    assert_eq!(server.tables(), ["scratch/a"]);
    clock.advance(HOUR / 2);
    assert_eq!(server.tables(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_action_changes_what_it_names() {
    let clock = Arc::new(ManualClock::new(NOW));
    let server = server(&clock).await;
    let mut client = server.client().await;
    put_command(&mut client, r#"{"path":"a","ttl":"1h"}"#).await.expect("a put");
    let changed = act(&mut client, "retention", r#"{"table":"a","idle":"10m","pinned":true}"#).await.expect("a table");
    assert_eq!(changed.retention.to_string(), "ttl=1h idle=10m pinned=true");
    clock.advance(2 * HOUR);
    assert_eq!(server.tables(), ["a"]);
    for (body, code) in [
        (r#"{"table":"a","ttl":"soon"}"#, "option_invalid"),
        (r#"{"table":"a"}"#, "option_invalid"),
        (r#"{"table":"a","window":"old"}"#, "option_invalid"),
        (r#"{"table":"none","ttl":"1h"}"#, "table_not_found"),
    ] {
        let status = act(&mut client, "retention", body).await.expect_err(body);
        assert_eq!(code_name(&status), code, "{body}");
    }
    act(&mut client, "retention", r#"{"table":"a","pinned":false}"#).await.expect("a table");
    assert_eq!(server.tables(), [""; 0], "its time is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_rows_go_and_their_table_stays() {
    let clock = Arc::new(ManualClock::new(NOW));
    let server = server(&clock).await;
    let mut client = server.client().await;
    put_command(&mut client, r#"{"path":"log","window":"1h","durability":"durable"}"#).await.expect("a put");
    let mut request = Request::new(encode(by_path("memory"), numbers_schema(), vec![numbers(0, 10)]));
    request.metadata_mut().insert("airlane-window", "1h".parse().expect("a header"));
    request.metadata_mut().insert("airlane-durability", "ephemeral".parse().expect("a header"));
    put_request(&mut client, request).await.expect("a put");
    put(&mut client, "log/by-name", &[numbers(0, 10)]).await.expect("a put");
    for table in ["log", "memory", "log/by-name"] {
        let shown = act(&mut client, "describe", table).await.expect("a table");
        assert_eq!((shown.retention.to_string(), shown.expires), ("window=1h".to_owned(), None), "{table}");
    }
    clock.advance(HOUR / 2);
    let command = FlightDescriptor::new_cmd(r#"{"path":"log","mode":"append"}"#);
    put_messages(&mut client, encode(command, numbers_schema(), vec![numbers(10, 5)])).await.expect("an append");
    let action = Action { r#type: "ticket".into(), body: r#"{"ticket":"log","rows":"10-15"}"#.into() };
    let body =
        client.do_action(action).await.expect("a ticket").into_inner().message().await.expect("one").expect("one").body;
    let signed: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let signed = signed["ticket"].as_str().expect("a ticket").to_owned();
    let before = act(&mut client, "describe", "log").await.expect("a table");
    assert_eq!((before.version.get(), before.rows), (2, 15));
    assert_eq!(get(&mut client, &signed).await.expect("a version").1, vec![numbers(10, 5)]);

    clock.advance(HOUR / 2);
    eventually_async("the sweep has been there", async || metric(&server, "airlane_expired_rows_total").await >= 30.0)
        .await;
    assert!(metric(&server, "airlane_expired_bytes_total").await >= 240.0);
    let (_, text) = fetch(&server, "/metrics").await;
    assert!(text.contains("airlane_expired_rows_total{reason=\"window\"} 30"), "{text}");
    assert_eq!(server.tables(), ["log", "log/by-name", "memory"]);
    let after = act(&mut client, "describe", "log").await.expect("a table");
    assert_eq!((after.version.get(), after.rows, after.table_id), (3, 5, before.table_id));
    assert_eq!(get(&mut client, "log").await.expect("what is left").1, vec![numbers(10, 5)]);
    assert_eq!(get(&mut client, "log?rows=0-2").await.expect("the first of it").1, vec![numbers(10, 2)]);
    for gone in ["log@1", "log@2", &signed] {
        let status = get(&mut client, gone).await.expect_err(gone);
        assert_eq!(code_name(&status), "version_not_found", "{gone}");
    }
    let info = client.get_flight_info(by_path("memory")).await.expect("an info").into_inner();
    assert_eq!(info.total_records, 0);
    assert_eq!(get(&mut client, "memory").await.expect("a table without rows").1, Vec::new());
}

/// A signed ticket lets read as long as the table is there, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_ends_with_its_table_at_the_latest() {
    let clock = Arc::new(ManualClock::new(NOW));
    let server = server(&clock).await;
    let mut client = server.client().await;
    put_command(&mut client, r#"{"path":"a","ttl":"1h"}"#).await.expect("a put");
    for (ttl, end) in [("10m", 600), ("8h", 3_600)] {
        let body = format!(r#"{{"ticket":"a","ttl":"{ttl}"}}"#).into_bytes().into();
        let action = Action { r#type: "ticket".into(), body };
        let mut results = client.do_action(action).await.expect("a ticket").into_inner();
        let body = results.message().await.expect("a result").expect("a result").body;
        let signed: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let signed = signed["ticket"].as_str().expect("a ticket").to_owned();
        let descriptor = FlightDescriptor::new_cmd(signed.clone().into_bytes());
        let info = client.get_flight_info(descriptor).await.expect("an info").into_inner();
        let ends = info.endpoint[0].expiration_time.map(|time| time.seconds - clock.now().as_micros() / 1_000_000);
        assert_eq!(ends, Some(end), "{ttl}");
        client.do_get(Ticket::new(signed)).await.expect("a read");
    }
}
