//! Statements over HTTP: rows in every format, changes, parameters, and faults with their place.

use super::harness::*;
use super::rest::{Answer, ask};
use super::tables::*;

const JSON: &str = "content-type: application/json\r\n";

async fn run(server: &TestServer, options: &str, body: &str) -> Answer {
    ask(&server.address(), "POST", &format!("/v1/sql{options}"), JSON, body.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_gives_its_rows_in_any_format_and_changes_what_it_says() {
    let server = TestServer::start().await;
    server.put_here("eu/prices", &[numbers(0, 10)]).await;
    let sum = r#"{"sql": "SELECT count(*) AS n, sum(n) AS total FROM eu.prices WHERE n > ?", "parameters": [6]}"#;
    let answer = run(&server, "?format=csv", sum).await;
    assert_eq!((answer.status, answer.text()), (200, "n,total\n3,24\n"), "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("etag").is_none());
    let answer = run(&server, "?format=ndjson", sum).await;
    assert_eq!(answer.json(), serde_json::json!({"n": 3, "total": 24}));
    for format in ["arrows", "arrow", "parquet"] {
        assert_eq!(run(&server, &format!("?format={format}"), sum).await.status, 200, "{format}");
    }
    let create = r#"{"sql": "CREATE TABLE eu.high AS SELECT * FROM eu.prices WHERE n > 6"}"#;
    let created = run(&server, "", create).await;
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(created.json()["rows"], 3);
    assert_eq!(created.json()["receipt"]["table"], "eu/high");
    assert_eq!(run(&server, "", create).await.json()["code"], "table_exists");
    let dropped = run(&server, "", r#"{"sql": "DROP TABLE eu.high"}"#).await;
    assert_eq!(dropped.json()["dropped"], serde_json::json!(["eu/high"]));
    // A ticket that is a statement, too.
    let path = "/v1/tickets/sql:SELECT%20max(n)%20AS%20most%20FROM%20eu.prices?format=csv";
    let answer = ask(&server.address(), "GET", path, "", b"").await;
    assert_eq!((answer.status, answer.text()), (200, "most\n9\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_none_is_told_with_its_place() {
    let server = TestServer::start().await;
    server.put_here("prices", &[numbers(0, 10)]).await;
    for (options, body, status, code, said) in [
        ("", r#"{"sql": "SELECT nn FROM prices"}"#, 400, "sql_invalid", "line 1, column 8"),
        ("", r#"{"sql": "SELECT 'x"}"#, 400, "sql_invalid", "line 1"),
        ("", r#"{"sql": "SELECT * FROM price"}"#, 404, "table_not_found", "prices"),
        ("", r#"{"sql": "COPY prices TO '/tmp/x'"}"#, 400, "statement_refused", "SELECT"),
        ("", r#"{"sql": "SELECT n FROM prices WHERE n > ?"}"#, 400, "sql_invalid", "parameters"),
        ("", r#"{"sql": "SELECT 1 / (n - n) FROM prices"}"#, 400, "query_failed", "zero"),
        ("", r#"{"sql": "SELECT ?", "parameters": [[1]]}"#, 400, "option_invalid", "parameter 1"),
        ("", r#"{"query": "SELECT 1"}"#, 400, "option_invalid", "sql"),
        ("", "SELECT 1", 400, "option_invalid", "sql"),
        ("?limit=3", r#"{"sql": "SELECT 1"}"#, 400, "option_invalid", "LIMIT"),
        ("?format=xls", r#"{"sql": "SELECT 1"}"#, 400, "option_invalid", "csv"),
    ] {
        let answer = run(&server, options, body).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{body}: {}", answer.text());
        assert!(answer.text().contains(said), "{body}: {}", answer.text());
    }
}
