//! A put that waits for the disk, or is being validated, keeps nobody else waiting. A get that waits for the disk says
//! something meanwhile.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use airlane_store::testing::{FaultDisk, Operation};
use arrow_flight::{FlightData, Ticket};
use futures::TryStreamExt;
use parking_lot::{Condvar, Mutex};

use super::harness::*;
use super::tables::*;

/// Holds whoever comes while it is shut.
#[derive(Debug, Default)]
pub(super) struct Gate {
    is_shut: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicUsize,
}

impl Gate {
    fn pass(&self) {
        let mut is_shut = self.is_shut.lock();
        while *is_shut {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.opened.wait(&mut is_shut);
        }
    }

    pub(super) fn shut(&self) {
        *self.is_shut.lock() = true;
    }

    pub(super) fn open(&self) {
        *self.is_shut.lock() = false;
        self.opened.notify_all();
    }
}

/// Opens the gate though the test fails: the runtime waits for its threads.
pub(super) struct Open(pub(super) Arc<Gate>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// Two threads serve; four puts wait for a sync in their midst, each in a thread that a task runs on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn puts_that_wait_for_the_disk_keep_nobody_waiting() {
    let gate = Arc::new(Gate::default());
    let (at_gate, _open) = (gate.clone(), Open(gate.clone()));
    let disk = FaultDisk::hooked(move |operation| {
        if operation == Operation::SyncData {
            at_gate.pass();
        }
    });
    let server = TestServer::start_with(|store, _| {
        store.disk = Arc::new(disk);
        store.writer.segment_bytes_target = airlane_model::ByteSize::mib(1);
    })
    .await;
    put(&mut server.client().await, "small", &[numbers(0, 10)]).await.expect("a small table");
    gate.shut();

    let large: Vec<_> = (0..8).map(|index| numbers(index * 100_000, 100_000)).collect();
    let one = server.client().await;
    let mut puts = tokio::task::JoinSet::new();
    for index in 0..4 {
        // Two on the same connection, two on connections of their own.
        let mut client = if index < 2 { one.clone() } else { server.client().await };
        let large = large.clone();
        puts.spawn(async move { put(&mut client, &format!("large-{index}"), &large).await });
    }
    // Not by the runtime's clock, which would stand still with its threads.
    let waits = (0..6_000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        gate.waiting.load(Ordering::SeqCst) >= 4
    });
    assert!(waits, "four puts wait for the disk: {gate:?}");

    for mut client in [one, server.client().await] {
        let (_, batches) = get(&mut client, "small").await.expect("a get beside them");
        assert_eq!(batches[0].num_rows(), 10);
        put(&mut client, "other", &[numbers(0, 10)]).await.expect("a put beside them");
    }
    let answered = super::http::metric(&server, "airlane_flight_panics_total").await;
    assert!(answered.is_finite(), "the HTTP door answers, too");
    assert_eq!(server.tables(), ["other", "small"]);

    gate.open();
    while let Some(done) = puts.join_next().await {
        done.expect("no panic").expect("a receipt");
    }
    assert_eq!(server.tables().len(), 6);
}

/// Puts tables and starts a server over them that waits at the gate to read them, and says so every few milliseconds.
async fn start_before_the_gate(folder: &Path, gate: &Arc<Gate>) -> TestServer {
    start_quiet_before_the_gate(folder, gate, Duration::from_millis(5)).await
}

/// The same, quiet for so long.
pub(super) async fn start_quiet_before_the_gate(folder: &Path, gate: &Arc<Gate>, quiet_max: Duration) -> TestServer {
    let first = TestServer::start_with(|store, _| store.folder = Some(folder.join("data"))).await;
    if first.tables().is_empty() {
        let mut client = first.client().await;
        put(&mut client, "small", &[kinds(1_000)]).await.expect("a table in the catalog");
        put(&mut client, "large", &[kinds(100_000)]).await.expect("a table in files");
    }
    end(first).await;

    let at_gate = gate.clone();
    let disk = FaultDisk::hooked(move |operation| {
        if matches!(operation, Operation::Open | Operation::Body) {
            at_gate.pass();
        }
    });
    let server = TestServer::start_with(|store, options| {
        store.folder = Some(folder.join("data"));
        store.disk = Arc::new(disk);
        options.quiet_max = quiet_max;
    })
    .await;
    gate.shut();
    server
}

/// Ends a server, so that another one may have its folder.
pub(super) async fn end(mut server: TestServer) {
    server.handle.stop();
    server.handle.wait().await.expect("stopped");
}

/// The rows of a record batch message, and where its metadata says that they stand.
pub(super) fn rows_at(message: &FlightData) -> Option<(i64, u64)> {
    let header = arrow_ipc::root_as_message(&message.data_header).expect("a message");
    let rows = header.header_as_record_batch()?.length();
    let metadata: serde_json::Value = serde_json::from_slice(&message.app_metadata).expect("JSON");
    Some((rows, metadata["row_offset"].as_u64().expect("a row offset")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_that_waits_for_the_disk_sends_batches_without_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    for (ticket, start, batch) in [
        ("small", 0, kinds(1_000)),
        ("large", 0, kinds(100_000)),
        ("large?rows=77777-80000", 77_777, kinds(100_000).slice(77_777, 2_223)),
    ] {
        for (way, compression) in [(0, "none"), (0, "zstd"), (1, "none"), (2, "lz4")] {
            let gate = Arc::new(Gate::default());
            let _open = Open(gate.clone());
            let server = start_before_the_gate(folder.path(), &gate).await;
            let (encoding, mut client) = server.clients().await.swap_remove(way);
            let name = format!("{ticket} by {encoding} as {compression}");
            let mut request = tonic::Request::new(Ticket::new(ticket));
            request.metadata_mut().insert("airlane-compression", compression.parse().expect("ascii"));
            let mut stream = client.do_get(request).await.expect(&name).into_inner();
            let mut messages = Vec::new();
            let mut without_rows = 0;
            while without_rows < 3 {
                let message = stream.message().await.expect(&name).expect("it has not ended");
                if let Some(found) = rows_at(&message) {
                    assert_eq!(found, (0, start), "{name}: no row, and where the first one will be");
                    without_rows += 1;
                }
                messages.push(message);
            }
            assert_eq!(messages.len(), 5, "{name}: the schema, a dictionary without values, three batches");
            client.get_flight_info(by_path("small")).await.expect("a call beside it, on the same connection");
            gate.open();
            let rest: Vec<_> = stream.try_collect().await.expect(&name);
            let mut position = start;
            for (rows, row_offset) in rest.iter().filter_map(rows_at) {
                assert_eq!(row_offset, position, "{name}");
                position += rows as u64;
            }
            messages.extend(rest);
            let (schema, batches) = decode(futures::stream::iter(messages.into_iter().map(Ok))).await.expect(&name);
            assert_eq!(schema, batch.schema(), "{name}");
            assert_eq!(joined(&schema, &batches), batch, "{name}");
            drop(client);
            end(server).await;
        }
    }
}

const READ_BY_PYARROW: &str = "
import sys, pyarrow.flight as flight
reader = flight.connect(f'grpc://{sys.argv[1]}').do_get(flight.Ticket('large'))
first = reader.read_chunk().data
print(first.num_rows, flush=True)
table = reader.read_all()
table.validate(full=True)
print(table.num_rows, set(table['label'].to_pylist()) == {'red', 'green', 'blue'}, flush=True)
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pyarrow_reads_on_after_batches_without_rows() {
    let test = "pyarrow_reads_on_after_batches_without_rows";
    let Some(python) = airlane_testkit::python(test) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Arc::new(Gate::default());
    let _open = Open(gate.clone());
    let server = start_before_the_gate(folder.path(), &gate).await;
    let mut reader = std::process::Command::new(python);
    reader.args(["-c", READ_BY_PYARROW, &server.address()]).stdout(Stdio::piped());
    let read = tokio::task::spawn_blocking(move || {
        use std::io::{BufRead, BufReader};
        let mut reader = crate::cli::Killed(reader.spawn().expect("python"));
        let lines = BufReader::new(reader.0.stdout.take().expect("stdout")).lines();
        lines
            .map(|line| {
                gate.open();
                line.expect("text")
            })
            .collect::<Vec<_>>()
    });
    assert_eq!(read.await.expect("read"), ["0", "100000 True"]);
}
