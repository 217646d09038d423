//! The memory budget as clients of the wire see it.

use airlane_model::{ByteSize, Caller, TableName};
use arrow_array::RecordBatch;
use tonic::Request;

use super::harness::*;
use super::http::metric;
use super::tables::*;

const LIMIT: ByteSize = ByteSize::mib(16);
/// A table of 4 MiB.
const ROWS: i64 = 1 << 19;

async fn server(spill_max: Option<ByteSize>) -> TestServer {
    TestServer::start_with(|store, _| {
        store.memory.limit = LIMIT;
        store.memory.spill_max = spill_max;
        store.memory.disk_free_min = ByteSize::bytes(0);
    })
    .await
}

fn batches(table: i64) -> Vec<RecordBatch> {
    (0..8).map(|part| numbers(table + part * ROWS / 8, ROWS as usize / 8)).collect()
}

async fn put_ephemeral(client: &mut Client, table: i64) -> Result<(), tonic::Status> {
    let messages = encode(by_path(&format!("t{table}")), numbers_schema(), batches(table));
    let mut request = Request::new(messages);
    request.metadata_mut().insert("airlane-durability", "ephemeral".parse().expect("a header"));
    put_request(client, request).await.map(drop)
}

async fn assert_rows(client: &mut Client, tables: std::ops::Range<i64>) {
    for table in tables {
        let (schema, found) = get(client, &format!("t{table}")).await.expect("reads go on");
        assert_eq!(joined(&schema, &found), joined(&schema, &batches(table)), "t{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_set_of_several_budgets_is_taken_and_read() {
    let server = server(None).await;
    let mut client = server.client().await;
    for table in 0..12 {
        put_ephemeral(&mut client, table).await.expect("room is made");
    }
    assert_rows(&mut client, 0..12).await;
    assert!(metric(&server, "airlane_memory_spilled_bytes").await > f64::from(30 << 20));
    assert!(metric(&server, "airlane_memory_spills_total").await >= 1.0);
    let limit = metric(&server, "airlane_memory_limit_bytes").await;
    let tables = metric(&server, "airlane_memory_bytes{use=\"tables\"}").await;
    assert!(tables > 0.0 && tables <= limit, "{tables} of {limit}");
    assert!(limit > f64::from(15 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_without_room_is_refused_with_a_hint_and_reads_go_on() {
    let server = server(Some(ByteSize::bytes(0))).await;
    let mut client = server.client().await;
    let mut count = 0;
    let status = loop {
        match put_ephemeral(&mut client, count).await {
            Ok(()) => count += 1,
            Err(status) => break status,
        }
        assert!(count < 5, "five tables of 4 MiB found room in {LIMIT}");
    };
    assert_eq!((status.code(), code_name(&status)), (tonic::Code::ResourceExhausted, "memory_full"));
    assert!(status.message().contains("16 MiB") && status.message().contains("spill_bytes_max"), "{status:?}");
    assert!(status.message().contains("repeat the put later"), "{status:?}");
    assert!(count >= 2);
    assert_rows(&mut client, 0..count).await;
    let name = TableName::parse("t0").expect("a name");
    server.handle.exchange().drop_table(&Caller::local(), &name).await.expect("a drop");
    put_ephemeral(&mut client, 0).await.expect("a drop made room");
}
