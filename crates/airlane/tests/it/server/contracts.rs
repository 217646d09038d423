//! Contracts in force, at every door.

use std::sync::Arc;

use airlane_client::{Client, ConnectOptions, PutOptions, Transport};
use airlane_model::contract::{Compatibility, Mode};
use airlane_model::{PutMode, codes};
use arrow_array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use futures::stream;

use super::harness::*;
use super::rest::{Answer, ask};

const CONTRACT: &str = "\
apiVersion: v3.1.0
kind: DataContract
id: prices
version: 1.0.0
status: active
team: {name: desk}
schema:
  - name: prices
    properties:
      - name: symbol
        logicalType: string
        required: true
        logicalTypeOptions: {maxLength: 4}
      - name: price
        logicalType: number
        physicalType: double
        logicalTypeOptions: {minimum: 0}
      - name: id
        logicalType: integer
        physicalType: bigint
        primaryKey: true
        required: true
";

async fn register(at: &str, document: &str, query: &str) -> Answer {
    ask(at, "PUT", &format!("/v1/contracts/prices{query}"), "", document.as_bytes()).await
}

async fn bind(at: &str, tables: &str, mode: &str) {
    let body = format!(r#"{{"tables": "{tables}", "contract": "prices", "mode": "{mode}"}}"#);
    let bound = ask(at, "PUT", "/v1/bindings", "", body.as_bytes()).await;
    assert_eq!(bound.status, 200, "{}", bound.text());
}

async fn put(at: &str, table: &str, csv: &str) -> Answer {
    ask(at, "PUT", &format!("/v1/tables/{table}"), "content-type: text/csv\r\n", csv.as_bytes()).await
}

async fn server(mode: &str) -> TestServer {
    let server = TestServer::start().await;
    let at = server.address();
    let registered = register(&at, CONTRACT, "").await;
    assert_eq!(registered.status, 201, "{}", registered.text());
    bind(&at, "eu/*", mode).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_bad_row_ends_a_put_and_nothing_is_kept() {
    let server = server("reject").await;
    let at = server.address();
    let good = put(&at, "eu/prices", "symbol,price,id\nAIR,1.5,1\nLANE,2.5,2\n").await;
    assert_eq!(good.status, 201, "{}", good.text());
    let contract = &good.json()["contract"];
    assert_eq!(
        (&contract["contract"], &contract["registered_version"], &contract["rows"]),
        (&"prices".into(), &1.into(), &2.into())
    );
    for (what, csv, place) in [
        ("below the range", "symbol,price,id\nAIR,1.5,1\nLANE,-2.5,2\n", "row 1"),
        ("too long", "symbol,price,id\nLANES,1.5,1\n", "row 0"),
        ("missing", "symbol,price,id\n,1.5,1\n", "row 0"),
        ("twice", "symbol,price,id\nAIR,1.5,1\nAIR,1.5,1\n", "row 1"),
        ("a column less", "symbol,price\nAIR,1.5\n", "table"),
    ] {
        let refused = put(&at, "eu/prices", csv).await;
        assert_eq!(
            (refused.status, refused.json()["code"].clone()),
            (400, "contract_broken".into()),
            "{what}: {}",
            refused.text()
        );
        let told = refused.json()["place"].as_str().unwrap_or_default().to_owned();
        assert!(told.contains(place), "{what}: {}", refused.text());
    }
    let other = put(&at, "eu/prices", "symbol,price,id\nAIR,much,1\n").await;
    assert_eq!(other.json()["code"], "file_invalid", "{}", other.text());
    assert_eq!(other.json()["place"], "the upload, line 2, column \"price\"");
    let kept = ask(&at, "GET", "/v1/versions/eu/prices", "", b"").await.json();
    assert_eq!(kept["versions"].as_array().map(Vec::len), Some(1), "nothing else was kept");
    assert_eq!(put(&at, "us/prices", "anything\n1\n").await.status, 201, "another name is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_cast_without_loss_is_and_the_receipt_says_so() {
    let server = server("coerce").await;
    let at = server.address();
    let cast = put(&at, "eu/prices", "id,price,symbol\n1,2,AIR\n2,3,LANE\n").await;
    assert_eq!(cast.status, 201, "{}", cast.text());
    let casts = &cast.json()["contract"]["casts"];
    assert_eq!((&casts[0]["column"], &casts[0]["values"]), (&"price".into(), &2.into()), "{}", cast.text());
    let read = ask(&at, "GET", "/v1/tables/eu/prices?format=csv", "", b"").await;
    assert_eq!(read.text(), "symbol,price,id\nAIR,2.0,1\nLANE,3.0,2\n");
}

/// Nothing is guessed where the contract says it: `2` is no integer, and `NA` in the midst of numbers makes no text of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_types_of_csv_are_those_of_the_contract() {
    for (mode, rows) in [("reject", 2), ("quarantine", 2), ("coerce", 2), ("coerce_quarantine", 2)] {
        let server = server(mode).await;
        let at = server.address();
        let put = put(&at, "eu/prices?null=NA", "symbol,price,id\n007,2,1\nLANE,NA,2\n").await;
        assert_eq!((put.status, put.json()["rows"].clone()), (201, rows.into()), "{mode}: {}", put.text());
        let types: Vec<_> =
            put.json()["fields"].as_array().expect("fields").iter().map(|f| f["type"].clone()).collect();
        assert_eq!(types, ["Utf8", "Float64", "Int64"], "{mode}");
        assert_eq!(put.json()["inferred"]["columns"][1]["why"], "the schema says so");
        let read = ask(&at, "GET", "/v1/tables/eu/prices?format=csv", "", b"").await;
        assert_eq!(read.text(), "symbol,price,id\n007,2.0,1\nLANE,,2\n", "{mode}");
    }
    let server = server("coerce_quarantine").await;
    let at = server.address();
    let put = put(&at, "eu/prices", "symbol,price,id\nAIR,much,1\nLANE,1.5,2\n").await;
    assert_eq!((put.status, put.json()["rows"].clone()), (201, 1.into()), "{}", put.text());
    assert_eq!(put.json()["contract"]["rows_rejected"], 1, "a text that is no number is set aside with its row");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_are_set_aside_with_their_reasons() {
    let server = server("quarantine").await;
    let at = server.address();
    let put = put(&at, "eu/prices", "symbol,price,id\nAIR,1.5,1\nLANES,2.5,2\nAIR,-1.0,3\n").await;
    assert_eq!((put.status, put.json()["rows"].clone()), (201, 1.into()), "{}", put.text());
    let contract = put.json()["contract"].clone();
    assert_eq!((&contract["rows_rejected"], &contract["rejected_ticket"]), (&2.into(), &"eu/prices.rejected@1".into()));
    let rejected = ask(&at, "GET", "/v1/tables/eu/prices.rejected?format=ndjson", "", b"").await;
    let rows: Vec<serde_json::Value> =
        rejected.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        (rows.len(), &rows[0]["_row"], &rows[0]["_column"]),
        (2, &1.into(), &"symbol".into()),
        "{}",
        rejected.text()
    );
    // The table of what was set aside is under the pattern too, and must not be checked by it when it is written.
    assert!(rows[1]["_reason"].as_str().is_some_and(|reason| !reason.is_empty()));
}

fn batch(symbols: &[&str], prices: &[f64], ids: &[i64]) -> RecordBatch {
    let columns: [(&str, ArrayRef, bool); 3] = [
        ("symbol", Arc::new(StringArray::from(symbols.to_vec())), false),
        ("price", Arc::new(Float64Array::from(prices.to_vec())), true),
        ("id", Arc::new(Int64Array::from(ids.to_vec())), false),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
}

/// A server with a local door, and its socket, which lies in the folder.
async fn sharing() -> (TestServer, tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("local.sock");
    let server = TestServer::start_with(|_, options| {
        options.local.socket = airlane::server::LocalSocket::At(socket.clone());
    })
    .await;
    (server, folder, socket)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_keeps_to_it() {
    let (server, _folder, socket) = sharing().await;
    let at = server.address();
    assert_eq!(register(&at, CONTRACT, "").await.status, 201);
    bind(&at, "eu/*", "reject").await;
    for shares_memory in [false, true] {
        let options = ConnectOptions { shares_memory, local_socket: Some(socket.clone()), ..ConnectOptions::default() };
        let client = Client::connect_with(&format!("grpc://{at}"), &options).await.expect("connected");
        assert_eq!(client.shares_memory(), shares_memory);
        let put = async |batch: RecordBatch| {
            let (schema, rows) = (batch.schema(), stream::iter([Ok(batch)]));
            let options = PutOptions { mode: PutMode::Replace, ..PutOptions::default() };
            client.put(&"eu/t".parse().expect("a name"), schema, rows, options).await
        };
        let receipt = put(batch(&["AIR", "LANE"], &[1.0, 2.0], &[1, 2])).await.expect("good rows");
        assert_eq!(receipt.rows, 2);
        assert_eq!(receipt.contract.map(|contract| contract.registered_version), Some(1));
        let refused = put(batch(&["AIR", "LANE"], &[1.0, -2.0], &[1, 2])).await.expect_err("a bad row");
        assert_eq!(refused.code(), codes::CONTRACT_BROKEN, "{refused}");
        let read = client.get("eu/t").await.expect("read");
        assert_eq!(read.transport() == Transport::SharedMemory, shares_memory);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_at_the_end_of_a_segment_takes_none_of_the_good_ones_with_it() {
    const ROWS: i64 = 100_000;
    let (server, _folder, socket) = sharing().await;
    let at = server.address();
    assert_eq!(register(&at, CONTRACT, "").await.status, 201);
    bind(&at, "eu/*", "quarantine").await;
    let options = ConnectOptions { local_socket: Some(socket), ..ConnectOptions::default() };
    let client = Client::connect_with(&format!("grpc://{at}"), &options).await.expect("connected");
    assert!(client.shares_memory());
    let part = |first: i64, last_price: f64| {
        let mut prices = vec![1.0; ROWS as usize];
        prices[ROWS as usize - 1] = last_price;
        batch(&vec!["AIR"; ROWS as usize], &prices, &(first..first + ROWS).collect::<Vec<_>>())
    };
    // Each is a batch of its own in the segment.
    let parts = [part(0, 1.0), part(ROWS, 1.0), part(2 * ROWS, -1.0)];
    let schema = parts[0].schema();
    let name = "eu/t".parse().expect("a name");
    let put = client.put(&name, schema, stream::iter(parts.map(Ok)), PutOptions::default());
    assert_eq!(put.await.expect("put").rows, 3 * ROWS as u64 - 1);
    let rejected = ask(&at, "GET", "/v1/tables/eu/t.rejected?format=ndjson", "", b"").await;
    assert!(rejected.text().contains(&format!("\"_row\":{}", 3 * ROWS - 1)), "{}", rejected.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_says_the_same_of_a_contract_at_every_door() {
    let (server, _folder, socket) = sharing().await;
    let at = server.address();
    assert_eq!(register(&at, CONTRACT, "").await.status, 201);
    bind(&at, "eu/*", "coerce_quarantine").await;
    let mut reports = Vec::new();
    for shares_memory in [false, true] {
        let options = ConnectOptions { shares_memory, local_socket: Some(socket.clone()), ..ConnectOptions::default() };
        let client = Client::connect_with(&format!("grpc://{at}"), &options).await.expect("connected");
        let columns: [(&str, ArrayRef); 3] = [
            ("symbol", Arc::new(StringArray::from(vec!["AIR", "LANES", "LANE"]))),
            ("price", Arc::new(Float64Array::from(vec![1.0, 2.0, -3.0]))),
            // To be cast.
            ("id", Arc::new(Int32Array::from(vec![1, 2, 3]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        let name = format!("eu/{shares_memory}").parse().expect("a name");
        let (schema, rows) = (batch.schema(), stream::iter([Ok(batch)]));
        let receipt = client.put(&name, schema, rows, PutOptions::default()).await.expect("put");
        assert_eq!(receipt.rows, 1);
        let report = receipt.contract.expect("a report");
        let ticket = report.rejected_ticket.clone().expect("rows that were set aside");
        let read = client.get(&ticket).await.expect("a read").next().await.expect("read").expect("rows");
        assert_eq!(read.num_rows(), 2, "{report:?}");
        reports.push((report.registered_version, report.report));
    }
    assert_eq!(reports[0], reports[1]);
    assert!(!reports[0].1.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_is_repeated_sets_nothing_aside_again() {
    let server = server("quarantine").await;
    let at = server.address();
    let headers = "content-type: text/csv\r\nidempotency-key: once\r\n";
    let csv = b"symbol,price,id\nAIR,1.5,1\nLANES,2.5,2\n";
    for _ in 0..2 {
        let put = ask(&at, "PUT", "/v1/tables/eu/prices", headers, csv).await;
        assert_eq!((put.json()["version"].clone(), put.json()["rows"].clone()), (1.into(), 1.into()), "{}", put.text());
    }
    let rejected = ask(&at, "GET", "/v1/versions/eu/prices.rejected", "", b"").await.json();
    assert_eq!(rejected["versions"].as_array().map(Vec::len), Some(1), "{rejected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_registers_shows_compares_and_binds() {
    let server = TestServer::start().await;
    let client = Client::connect(&format!("grpc://{}", server.address())).await.expect("connected");
    let added = client.add_contract("prices", CONTRACT, Compatibility::Backward).await.expect("added");
    assert_eq!((added.version, added.by.is_some()), (1, true));
    let shown = client.contract("prices", None).await.expect("shown");
    assert_eq!((shown.document.as_str(), shown.info.registered), (CONTRACT, added.registered));
    let own = client.contract("cell", None).await.expect("comes with Airlane");
    assert_eq!((own.info.version, own.info.registered), (0, None));
    let tighter = CONTRACT.replace("minimum: 0", "minimum: 5");
    let changes = client.contract_changes_with("prices", None, &tighter).await.expect("compared");
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0].breaks_backward && !changes[0].breaks_forward && changes[0].to_string().contains("at least 5"));
    let refused = client.add_contract("prices", &tighter, Compatibility::Full).await.expect_err("refused");
    assert_eq!(refused.code(), codes::CONTRACT_INCOMPATIBLE);
    assert!(refused.message().contains(&changes[0].to_string()), "{refused}");
    let second = client.add_contract("prices", &tighter, Compatibility::Forward).await.expect("looser for readers");
    assert_eq!(second.version, 2);
    assert_eq!(client.contract_changes("prices", None, None).await.expect("compared"), changes);
    assert_eq!(client.contract_changes("prices", Some(2), Some(2)).await.expect("compared"), []);
    let before = client.contract("prices", Some(1)).await.expect("shown").info;
    assert_eq!((before.version, before.registered), (1, added.registered), "of that version, not of the newest");
    client.bind_contract("eu/*", "prices", Mode::Quarantine).await.expect("bound");
    client.bind_contract("us/cells", "cell", Mode::Coerce).await.expect("bound by its name");
    let bindings = client.contract_bindings().await.expect("bindings");
    assert_eq!(bindings.keys().collect::<Vec<_>>(), ["eu/*", "us/cells"]);
    let listed = client.contracts().await.expect("listed");
    let prices = listed.iter().find(|one| one.contract == "prices").expect("there");
    assert_eq!((prices.version, prices.bound_to.get("eu/*")), (2, Some(&Mode::Quarantine)));
    assert_eq!(client.unbind_contract("eu/*").await.expect("unbound"), bindings["eu/*"]);
    for (name, version, code) in [
        ("nobody", None, codes::CONTRACT_NOT_FOUND),
        ("prices", Some(3), codes::CONTRACT_NOT_FOUND),
        ("prices", Some(0), codes::CONTRACT_NOT_FOUND),
    ] {
        assert_eq!(client.contract(name, version).await.expect_err(name).code(), code, "{name} {version:?}");
    }
    assert_eq!(client.unbind_contract("eu/*").await.expect_err("gone").code(), codes::CONTRACT_NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a9_a_document_may_be_as_long_by_an_action_as_by_http_and_no_longer() {
    let server = TestServer::start().await;
    let client = Client::connect(&format!("grpc://{}", server.address())).await.expect("connected");
    // JSON writes a line end as two bytes: as long as any document of this size becomes.
    for (bytes, message) in [(1 << 20, "no YAML"), ((1 << 20) + 1, "longer than"), (4 << 20, "a body has")] {
        let document = "\n".repeat(bytes - 1) + "[";
        let refused = client.add_contract("c", &document, Compatibility::Backward).await.expect_err("no contract");
        assert!(refused.message().contains(message), "{bytes}: {refused}");
        let refused = client.contract_changes_with("cell", None, &document).await.expect_err("no contract");
        assert!(refused.message().contains(message), "{bytes}: {refused}");
    }
    assert_eq!(client.contract("c", None).await.expect_err("none").code(), codes::CONTRACT_NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_too_large_is_told_so() {
    let server = TestServer::start().await;
    let refused = register(&server.address(), &" ".repeat(2 << 20), "").await;
    assert_eq!(refused.json()["code"], "limit_exceeded", "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_keep_their_promises_and_outlive_the_server() {
    let server = server("reject").await;
    let at = server.address();
    let tighter = CONTRACT.replace("minimum: 0", "minimum: 5");
    let refused = register(&at, &tighter, "").await;
    assert_eq!((refused.status, refused.json()["code"].clone()), (409, "contract_incompatible".into()));
    assert!(refused.json()["detail"].as_str().is_some_and(|detail| detail.contains("price")), "{}", refused.text());
    let registered = register(&at, &tighter, "?compatibility=none").await;
    assert_eq!(registered.json()["version"], 2, "{}", registered.text());
    let changes = ask(&at, "GET", "/v1/contract-changes/prices?from=1", "", b"").await.json();
    assert_eq!((&changes["changes"][0]["column"], &changes["changes"][0]["what"]), (&"price".into(), &"range".into()));
    for (document, code) in [("{", "contract_invalid"), ("a: b", "contract_invalid")] {
        assert_eq!(register(&at, document, "").await.json()["code"], code, "{document}");
    }
    let server = server.restart().await;
    let at = server.address();
    let listed = ask(&at, "GET", "/v1/contracts", "", b"").await.json();
    let prices =
        listed["contracts"].as_array().and_then(|all| all.iter().find(|one| one["contract"] == "prices")).cloned();
    assert_eq!(prices.expect("there")["bound_to"], serde_json::json!({"eu/*": "reject"}));
    assert_eq!(
        ask(&at, "GET", "/v1/contracts/prices?version=1", "", b"").await.text(),
        CONTRACT,
        "as it was registered"
    );
    assert_eq!(put(&at, "eu/prices", "symbol,price,id\nAIR,1.5,1\n").await.json()["code"], "contract_broken");
    assert_eq!(ask(&at, "DELETE", "/v1/bindings?tables=eu/*", "", b"").await.status, 200);
    assert_eq!(put(&at, "eu/prices", "symbol,price,id\nAIR,1.5,1\n").await.status, 201);
    assert_eq!(ask(&at, "DELETE", "/v1/bindings?tables=eu/*", "", b"").await.json()["code"], "contract_not_found");
}
