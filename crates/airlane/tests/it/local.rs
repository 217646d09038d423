//! The local door through the Rust client: tables of every type by shared memory, and who falls back to streams.

mod killed;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use airlane::server::{self, Handle, LocalSocket, ServerOptions};
use airlane_client::{Client, ConnectOptions, Credentials, PutOptions, Transport};
use airlane_gate::NewToken;
use airlane_handover::message::{Hello, Open};
use airlane_handover::packets::Packets;
use airlane_handover::{Channel, Message};
use airlane_model::{ByteSize, Durability, IdempotencyKey, PutMode, Result, Secret, SystemChance, TableName, codes};
use airlane_testkit::{TestServer, tables};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::SchemaRef;
use futures::stream;

pub(crate) struct Local {
    handle: Handle,
    socket: PathBuf,
    folder: tempfile::TempDir,
}

pub(crate) async fn start(change: impl FnOnce(&mut ServerOptions)) -> Local {
    let folder = tempfile::tempdir().expect("a folder");
    let (handle, socket) = start_in(folder.path(), change).await;
    Local { handle, socket, folder }
}

async fn start_in(folder: &Path, change: impl FnOnce(&mut ServerOptions)) -> (Handle, PathBuf) {
    let socket = folder.join("private/local.sock");
    let mut options = TestServer::options(folder);
    options.local.socket = LocalSocket::At(socket.clone());
    change(&mut options);
    (server::run(options).await.expect("a server"), socket)
}

impl Local {
    fn options(&self) -> ConnectOptions {
        ConnectOptions { local_socket: Some(self.socket.clone()), ..ConnectOptions::default() }
    }

    fn url(&self) -> String {
        format!("grpc://{}", self.handle.address().expect("a port"))
    }

    pub(crate) async fn connect(&self) -> Client {
        let client = Client::connect_with(&self.url(), &self.options()).await.expect("connected");
        assert!(client.shares_memory());
        client
    }
}

fn name(text: &str) -> TableName {
    TableName::parse(text).expect(text)
}

pub(crate) async fn put(
    client: &Client,
    table: &str,
    batches: Vec<RecordBatch>,
    options: PutOptions,
) -> Result<airlane_model::Receipt> {
    let schema = batches[0].schema();
    client.put(&name(table), schema, stream::iter(batches.into_iter().map(Ok)), options).await
}

pub(crate) async fn read(client: &Client, ticket: &str) -> Result<(SchemaRef, RecordBatch, Transport)> {
    let mut stream = client.get(ticket).await?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await? {
        batches.push(batch);
    }
    let all = arrow_select::concat::concat_batches(stream.schema(), &batches).expect("one batch");
    Ok((stream.schema().clone(), all, stream.transport()))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_passes_by_shared_memory() {
    let server = start(|_| {}).await;
    let client = server.connect().await;
    let options = ConnectOptions { shares_memory: false, ..server.options() };
    let streaming = Client::connect_with(&server.url(), &options).await.expect("connected");
    assert!(!streaming.shares_memory());
    let batch = tables::every_type();
    for durability in [Durability::Ephemeral, Durability::Durable] {
        let table = durability.to_string();
        let options = PutOptions { durability: Some(durability), ..PutOptions::default() };
        // Slices at odd offsets, and one without rows.
        let batches = vec![batch.slice(0, 1), batch.slice(1, 0), batch.slice(1, 2)];
        let receipt = put(&client, &table, batches, options).await.expect("put");
        assert_eq!((receipt.rows, receipt.durability), (3, durability));
        for (client, transport) in [(&client, Transport::SharedMemory), (&streaming, Transport::Flight)] {
            let (schema, rows, found) = read(client, &receipt.ticket).await.expect("read");
            assert_eq!((schema.fields(), found), (batch.schema().fields(), transport));
            for ((field, got), expected) in schema.fields().iter().zip(rows.columns()).zip(batch.columns()) {
                assert_eq!(got.to_data(), expected.to_data(), "{} as {durability} by {transport}", field.name());
            }
        }
    }
    let (schema, batches) = tables::sample("flights");
    for (client, table) in [(&client, "shared"), (&streaming, "streamed")] {
        put(client, table, batches.clone(), PutOptions::default()).await.expect("put");
    }
    let all = arrow_select::concat::concat_batches(&schema, &batches).expect("one batch");
    for table in ["shared", "streamed"] {
        assert_eq!(read(&client, table).await.expect("read").1, all, "{table}");
        assert_eq!(read(&streaming, table).await.expect("read").1, all, "{table}");
    }
    let (_, some, transport) = read(&client, "shared?rows=100000-100007").await.expect("read");
    assert_eq!((some, transport), (all.slice(100_000, 7), Transport::SharedMemory));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reader_has_mapped_outlives_table_client_and_server() {
    let mut server = start(|_| {}).await;
    let client = server.connect().await;
    let (schema, batches) = tables::sample("flights");
    let all = arrow_select::concat::concat_batches(&schema, &batches).expect("one batch");
    for (table, durability) in [("kept", Durability::Durable), ("passing", Durability::Ephemeral)] {
        let options = PutOptions { durability: Some(durability), ..PutOptions::default() };
        put(&client, table, batches.clone(), options).await.expect("put");
    }
    let kept = batches_of(&client, "kept").await;
    let passing = batches_of(&client, "passing").await;
    for table in ["kept", "passing"] {
        client.drop_table(&name(table)).await.expect("dropped");
    }
    drop(client);
    server.handle.stop();
    server.handle.wait().await.expect("stopped");
    assert!(!server.socket.exists(), "the socket goes with the server");
    for held in [kept, passing] {
        assert_eq!(arrow_select::concat::concat_batches(&schema, &held).expect("one batch"), all);
    }
}

async fn batches_of(client: &Client, ticket: &str) -> Vec<RecordBatch> {
    let mut stream = client.get(ticket).await.expect("a read");
    assert_eq!(stream.transport(), Transport::SharedMemory);
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await.expect("a batch") {
        batches.push(batch);
    }
    batches
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_goes_on_after_the_server_was_started_anew() {
    let server = start(|_| {}).await;
    let client = server.connect().await;
    let (_, batches) = tables::sample("airlines");
    put(&client, "t", batches.clone(), PutOptions::default()).await.expect("put");
    let Local { mut handle, folder, .. } = server;
    let port = handle.address().expect("a port").port();
    handle.stop();
    handle.wait().await.expect("stopped");
    let (_handle, _) = start_in(folder.path(), |options| options.listen = Some(([127, 0, 0, 1], port).into())).await;
    let rows = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    let (_, first, _) = read(&client, "t").await.expect("by whatever way");
    assert_eq!(first.num_rows(), rows);
    let (_, second, transport) = read(&client, "t").await.expect("read");
    assert_eq!((second.num_rows(), transport), (rows, Transport::SharedMemory));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_over_its_quota_is_sent_a_stream() {
    let server = start(|options| options.local.leased_bytes_max = Some(ByteSize::kib(1))).await;
    let client = server.connect().await;
    let (_, batches) = tables::sample("airlines");
    let options = PutOptions { durability: Some(Durability::Ephemeral), ..PutOptions::default() };
    put(&client, "t", batches.clone(), options).await.expect("put");
    let (_, rows, transport) = read(&client, "t").await.expect("read");
    assert_eq!(transport, Transport::Flight);
    assert_eq!(rows.num_rows(), batches.iter().map(RecordBatch::num_rows).sum::<usize>());
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_options_are_those_of_all_doors() {
    let server = start(|_| {}).await;
    let client = server.connect().await;
    let (_, batches) = tables::sample("airlines");
    assert_eq!(read(&client, "absent").await.expect_err("absent").code(), codes::TABLE_NOT_FOUND);
    let key: IdempotencyKey = "run 7".parse().expect("a key");
    let keyed = PutOptions { key: Some(key), ..PutOptions::default() };
    let first = put(&client, "t", batches.clone(), keyed.clone()).await.expect("put");
    assert_eq!(put(&client, "t", batches.clone(), keyed).await.expect("the same put").version, first.version);
    let append = PutOptions { mode: PutMode::Append, ..PutOptions::default() };
    let (_, other) = tables::sample("flights");
    let refused = put(&client, "t", other, append.clone()).await.expect_err("another schema");
    assert_eq!(refused.code(), codes::SCHEMA_MISMATCH, "{refused}");
    put(&client, "t", batches.clone(), append).await.expect("appended");
    // A put that its own input ends leaves nothing.
    let broken = stream::iter([Ok(batches[0].clone()), Err(airlane_model::Error::new(codes::FILE_FAILED, "gone"))]);
    let failed = client.put(&name("u"), batches[0].schema(), broken, PutOptions::default()).await;
    assert_eq!(failed.expect_err("broken").code(), codes::FILE_FAILED);
    assert_eq!(client.list("").await.expect("a list").len(), 1);
}

/// What a caller must have for an answer of the local door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Known,
    Write,
    Read,
}

/// Everything that can be asked for there. What the door has and this table has not fails the test.
const NEEDS: [(&str, Need); 3] = [("LocalHello", Need::Known), ("LocalPut", Need::Write), ("LocalOpen", Need::Read)];

/// Tokens, and what they may do in `eu`; nobody of them has a right in `us`.
const ROLES: [(&str, &[&str]); 5] = [
    ("stranger", &[]),
    ("reader", &["read"]),
    ("writer", &["write"]),
    ("owner", &["read", "write"]),
    ("admin", &["admin"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn s9_rights_are_the_same_at_the_local_door() {
    let asked: Vec<&str> = NEEDS.iter().map(|(name, _)| *name).collect();
    assert_eq!(asked, airlane_local::CALLS.map(|call| call.name), "each call has a row");
    let folder = tempfile::tempdir().expect("a folder");
    let rights = folder.path().join("rights.toml");
    let tokens = tokens(&rights);
    let server = start(|options| options.rights_file = Some(rights)).await;
    let connect = async |token: Option<&str>| {
        let credentials = token.map_or(Credentials::None, |token| Credentials::Token(Secret::new(token)));
        let options = ConnectOptions { credentials, ..server.options() };
        Client::connect_with(&server.url(), &options).await.expect("connected")
    };
    let (_, batches) = tables::sample("airlines");
    let owner = connect(Some(&tokens["owner"])).await;
    put(&owner, "eu/there", batches.clone(), PutOptions::default()).await.expect("allowed");
    for (role, granted) in ROLES {
        let client = connect(Some(&tokens[role])).await;
        for (call, need) in NEEDS {
            for (namespace, may) in [("eu", true), ("us", false)] {
                let told = format!("{call} of {role} in {namespace}");
                match need {
                    Need::Known => assert!(client.shares_memory(), "{told}"),
                    Need::Write => {
                        let table = format!("{namespace}/of-{role}");
                        let put = put(&client, &table, batches.clone(), PutOptions::default()).await;
                        let may = may && granted.contains(&"write");
                        assert_eq!(
                            put.err().map(|error| error.code()),
                            (!may).then_some(codes::PERMISSION_DENIED),
                            "{told}"
                        );
                    }
                    Need::Read => {
                        let read =
                            read(&client, &format!("{namespace}/there")).await.map(|(_, _, transport)| transport);
                        let may = may && granted.contains(&"read");
                        match read {
                            Ok(transport) => assert!(may && transport == Transport::SharedMemory, "{told}"),
                            Err(error) => assert!(!may && error.code() == codes::TABLE_NOT_FOUND, "{told}: {error}"),
                        }
                        // What is absent and what is forbidden look the same.
                        let absent = self::read(&client, &format!("{namespace}/absent")).await.expect_err("absent");
                        assert_eq!(absent.code(), codes::TABLE_NOT_FOUND, "{told}");
                    }
                }
            }
        }
    }
    // The server's user is nobody to it without a line in the file, and a wrong token is nobody's.
    for token in [None, Some("wrong")] {
        assert!(!connect(token).await.shares_memory());
    }
}

/// A rights file with a token for each role.
fn tokens(rights: &Path) -> std::collections::HashMap<&'static str, String> {
    let mut text = String::new();
    let mut tokens = std::collections::HashMap::new();
    for (role, granted) in ROLES {
        let made = NewToken::random(&SystemChance);
        // `admin` is for all namespaces.
        let namespace = if granted.contains(&"admin") { "*" } else { "eu" };
        text += &format!("[token.{role}]\nsha256 = \"{}\"\n", made.sha256);
        text += &format!("[rights.{role}]\n\"{namespace}\" = {granted:?}\n");
        tokens.insert(role, made.token.expose().to_owned());
    }
    std::fs::write(rights, text).expect("written");
    tokens
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_readers_and_writers_at_once() {
    let server = start(|_| {}).await;
    let client = Arc::new(server.connect().await);
    let (_, batches) = tables::sample("airlines");
    let rows = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    let tasks = (0..8).map(|number| {
        let (client, batches) = (client.clone(), batches.clone());
        tokio::spawn(async move {
            for turn in 0..10 {
                let table = format!("t{number}");
                let receipt = put(&client, &table, batches.clone(), PutOptions::default()).await.expect("put");
                assert_eq!(receipt.version.get(), turn + 1);
                let (_, all, transport) = read(&client, &receipt.ticket).await.expect("read");
                assert_eq!((all.num_rows(), transport), (rows, Transport::SharedMemory));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h3_many_hand_overs_leave_no_descriptor_mapping_or_memory() {
    let server = start(|_| {}).await;
    let client = server.connect().await;
    let (_, batches) = tables::sample("airlines");
    let options = || PutOptions { durability: Some(Durability::Ephemeral), ..PutOptions::default() };
    let cycle = async |count: usize| {
        for _ in 0..count {
            put(&client, "t", batches.clone(), options()).await.expect("put");
            let (_, all, _) = read(&client, "t").await.expect("read");
            assert!(all.num_rows() > 0);
        }
        client.drop_table(&name("t")).await.expect("dropped");
    };
    let held = || {
        let descriptors = std::fs::read_dir("/proc/self/fd").expect("descriptors").count();
        let maps = std::fs::read_to_string("/proc/self/maps").expect("mappings");
        (descriptors, maps.lines().filter(|line| line.contains("memfd:airlane")).count())
    };
    cycle(50).await;
    let before = held();
    cycle(10_000).await;
    let after = held();
    // Other tests of this process come and go.
    assert!(after.0 <= before.0 + 100 && after.1 <= before.1 + 50, "{before:?} before, {after:?} after 10,000 more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_takes_too_long_ends_and_leaves_nothing() {
    use futures::StreamExt;
    let server = start(|_| {}).await;
    let options = ConnectOptions { deadline: Some(std::time::Duration::from_millis(200)), ..server.options() };
    let client = Client::connect_with(&server.url(), &options).await.expect("connected");
    let (schema, batches) = tables::sample("airlines");
    let endless = stream::iter(batches.clone().into_iter().map(Ok)).chain(stream::pending());
    let error = client.put(&name("t"), schema, endless, PutOptions::default()).await.expect_err("too late");
    assert_eq!(error.code(), codes::DEADLINE_EXCEEDED, "{error}");
    // The connection is good for the next.
    put(&client, "u", batches, PutOptions::default()).await.expect("in time");
    assert_eq!(read(&client, "u").await.expect("read").2, Transport::SharedMemory);
    assert_eq!(client.list("").await.expect("a list").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_is_told_changes_segments_and_no_row() {
    let server = start(|_| {}).await;
    let client = server.connect().await;
    let (schema, batches) = tables::sample("flights");
    let all = arrow_select::concat::concat_batches(&schema, &batches).expect("one batch");
    let bytes = batches.iter().map(airlane_client::payload_bytes).sum::<u64>();
    // Also one that is wrong.
    for told in [bytes, bytes / 2, 3 * bytes, 0, 1, u64::MAX] {
        let options = PutOptions { bytes_expected: Some(ByteSize::bytes(told)), ..PutOptions::default() };
        put(&client, "t", batches.clone(), options).await.expect("put");
        assert_eq!(read(&client, "t").await.expect("read").1, all, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_known_size_lies_in_segments_that_are_alike() {
    const ROWS: usize = 128 << 10;
    let server = start(|_| {}).await;
    let client = server.connect().await;
    // Of 1 MiB each.
    let column = Int64Array::from_iter_values(0..ROWS as i64);
    let batch = RecordBatch::try_from_iter([("n", Arc::new(column) as ArrayRef)]).expect("a batch");
    let known = Some(ByteSize::mib(8));
    let alike = vec![ROWS * 9 / 4, ROWS * 9 / 4, ROWS * 9 / 4, ROWS * 5 / 4];
    for (bytes_expected, mode, expected) in [
        (None, PutMode::Replace, vec![8 * ROWS]),
        (known, PutMode::Replace, alike.clone()),
        (known, PutMode::Append, [alike, vec![8 * ROWS]].concat()),
    ] {
        let options = PutOptions { bytes_expected, mode, ..PutOptions::default() };
        put(&client, "t", vec![batch.clone(); 8], options).await.expect("put");
        let channel = Channel::Packets(Packets::connect(&server.socket).await.expect("connected"));
        channel.send(1, Hello { version: airlane_handover::VERSION, ..Hello::default() }).await.expect("sent");
        channel.send(2, Open { ticket: "t".into() }).await.expect("sent");
        let hello = channel.receive().await.expect("received").expect("an answer").message;
        assert!(matches!(hello, Message::HelloOk(_)), "{hello:?}");
        let table = match channel.receive().await.expect("received").expect("an answer").message {
            Message::Table(table) => table,
            other => panic!("{other:?}"),
        };
        let rows: Vec<usize> = table.segments.iter().map(|segment| segment.rows as usize).collect();
        assert_eq!(rows, expected, "{bytes_expected:?} {mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_for_one_read_is_used_when_all_rows_were_read() {
    let server = start(|_| {}).await;
    let client = server.connect().await;
    let (_, batches) = tables::sample("airlines");
    let receipt = put(&client, "t", batches, PutOptions::default()).await.expect("put");
    let once = airlane_client::TicketOptions { reads: std::num::NonZeroU64::new(1), ..Default::default() };
    let once = client.sign(&receipt.ticket.parse().expect("a ticket"), &once).await.expect("signed").ticket;
    // One that is given up is given back.
    drop(client.get(&once).await.expect("a read"));
    let mut stream = client.get(&once).await.expect("the read that was given back");
    assert_eq!(stream.transport(), Transport::SharedMemory);
    let mut held = Vec::new();
    while let Some(batch) = stream.next().await.expect("a batch") {
        held.push(batch);
    }
    assert_eq!(read(&client, &once).await.expect_err("used").code(), codes::TICKET_USED);
    assert!(held.iter().all(|batch| batch.num_rows() > 0));
}
