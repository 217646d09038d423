//! Reads that break go on at the row where they stopped, in the same version, as one read.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use airlane_client::{Client, ConnectOptions, PutOptions, TableStream, TicketOptions};
use airlane_model::{Durability, Result, TableName, codes};
use airlane_testkit::TestServer;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use futures::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// 32 MiB: more than any window between the two.
const ROWS: i64 = 4 << 20;
const BATCH_ROWS: i64 = 1 << 17;

/// Stands between client and server, and cuts each connection after so many bytes of answers.
struct Cutter {
    address: SocketAddr,
    cuts_left: Arc<AtomicU64>,
}

impl Cutter {
    async fn start(server: SocketAddr, bytes: usize, cuts: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let cuts_left = Arc::new(AtomicU64::new(cuts));
        let left = cuts_left.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let takes_one = |left: u64| left.checked_sub(1);
                let cuts = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, takes_one).is_ok();
                tokio::spawn(pass(client, server, if cuts { bytes } else { usize::MAX }));
            }
        });
        Self { address, cuts_left }
    }

    async fn client(&self) -> Client {
        Client::connect(&format!("grpc://{}", self.address)).await.expect("connect")
    }
}

/// Passes bytes on both ways, and drops both sockets after so many bytes of the server's.
async fn pass(client: TcpStream, server: SocketAddr, bytes: usize) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut left = bytes;
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read) = from_server.read(&mut buffer).await {
        let passed = read.min(left);
        left -= passed;
        if passed == 0 || to_client.write_all(&buffer[..passed]).await.is_err() || left == 0 {
            break;
        }
    }
    up.abort();
}

fn name(text: &str) -> TableName {
    TableName::parse(text).expect(text)
}

fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
    RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(rows)) as _)]).expect("a batch")
}

async fn put(client: &Client, table: &str, durability: Durability) {
    let batches = (0..ROWS).step_by(BATCH_ROWS as usize).map(|from| Ok(batch(from..from + BATCH_ROWS)));
    let options = PutOptions { durability: Some(durability), ..PutOptions::default() };
    client.put(&name(table), batch(0..1).schema(), stream::iter(batches), options).await.expect("a put");
}

/// Reads to the end, comparing each value; tells how often the read broke.
async fn read(mut rows: TableStream, mut next: i64, end: i64) -> Result<u64> {
    while let Some(batch) = rows.next().await? {
        for value in batch.column(0).as_primitive::<Int64Type>().values() {
            assert_eq!(*value, next);
            next += 1;
        }
    }
    assert_eq!(next, end);
    Ok(rows.resumptions())
}

async fn server() -> TestServer {
    let server = TestServer::start().await;
    put(&server.connect().await.expect("connect"), "t", Durability::Ephemeral).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_goes_on_where_it_broke() {
    let server = server().await;
    let cutter = Cutter::start(server.handle().address().expect("a port"), 5_000_000, 3).await;
    let client = cutter.client().await;
    assert_eq!(read(client.get("t").await.expect("a read"), 0, ROWS).await.expect("all rows"), 3);
    let cutter = Cutter::start(server.handle().address().expect("a port"), 5_000_000, 2).await;
    let client = cutter.client().await;
    let part = client.get("t?rows=100-4000000").await.expect("a read");
    assert_eq!(read(part, 100, 4_000_000).await.expect("the rows of the ticket"), 2);
    assert_eq!(cutter.cuts_left.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_goes_on_in_the_version_that_it_began_with() {
    let server = server().await;
    let direct = server.connect().await.expect("connect");
    let cutter = Cutter::start(server.handle().address().expect("a port"), 5_000_000, 1).await;
    let mut rows = cutter.client().await.get("t").await.expect("a read");
    let first = rows.next().await.expect("rows").expect("a batch").num_rows() as i64;
    let options = PutOptions { mode: airlane_model::PutMode::Append, ..PutOptions::default() };
    let more = stream::iter([Ok(batch(0..10))]);
    direct.put(&name("t"), batch(0..1).schema(), more, options).await.expect("an append");
    assert_eq!(read(rows, first, ROWS).await.expect("the version without the append"), 1);

    // What is replaced cannot be gone on with, and nothing of the new content comes.
    let cutter = Cutter::start(server.handle().address().expect("a port"), 5_000_000, 1).await;
    let mut rows = cutter.client().await.get("t").await.expect("a read");
    rows.next().await.expect("rows").expect("a batch");
    let other = stream::iter([Ok(batch(0..10))]);
    direct.put(&name("t"), batch(0..1).schema(), other, PutOptions::default()).await.expect("a replace");
    let error = loop {
        match rows.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the read ended well"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), codes::VERSION_NOT_FOUND, "{error:?}");
    assert!(error.message().starts_with("the read broke and cannot go on"), "{error}");
    assert!(error.place().is_some_and(|place| place.starts_with("row ")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_breaks_and_goes_on_is_one_read() {
    let server = server().await;
    let direct = server.connect().await.expect("connect");
    let options = TicketOptions { reads: NonZeroU64::new(1), ..TicketOptions::default() };
    let signed = direct.sign(&"t".parse().expect("a ticket"), &options).await.expect("a signed ticket");
    let cutter = Cutter::start(server.handle().address().expect("a port"), 5_000_000, 2).await;
    let rows = cutter.client().await.get(&signed.ticket).await.expect("a read");
    assert_eq!(read(rows, 0, ROWS).await.expect("all rows"), 2);
    let error = direct.get(&signed.ticket).await.expect_err("it was read");
    assert_eq!(error.code(), codes::TICKET_USED, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_no_resumption_is_told_of_the_break() {
    let server = server().await;
    let cutter = Cutter::start(server.handle().address().expect("a port"), 5_000_000, 1).await;
    let options = ConnectOptions { resume_for: Duration::ZERO, ..ConnectOptions::default() };
    let client = Client::connect_with(&format!("grpc://{}", cutter.address), &options).await.expect("connect");
    let error = read(client.get("t").await.expect("a read"), 0, ROWS).await.expect_err("the connection broke");
    assert_eq!(error.code(), codes::CONNECTION_BROKEN, "{error:?}");
}
