//! Processes that are killed while they hand tables over, and processes that must not.
//!
//! The other process is this test's own binary, which does what the environment says in the test [`other_process`].

use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use airlane::server::LocalSocket;
use airlane_client::{Client, ConnectOptions, PutOptions, Transport};
use airlane_handover::frame::Frame;
use airlane_handover::message::{Begin, Commit, Hello, Segment};
use airlane_handover::packets::Packets;
use airlane_handover::{Message, VERSION};
use airlane_model::{ByteSize, Caller, Durability};
use airlane_segment::{MemoryBudget, SealedMemfds, TableSchema, TableWriter, WriterOptions};
use airlane_testkit::tables;
use arrow_array::RecordBatch;
use tempfile::TempDir;

use super::{batches_of, name, put, start};

const ROLE: &str = "AIRLANE_TEST_ROLE";
const URL: &str = "AIRLANE_TEST_URL";
const SOCKET: &str = "AIRLANE_TEST_SOCKET";

/// What would hang is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a producer is killed.
const STEPS: [&str; 6] = ["hello", "begun", "written", "sent", "taken", "committed"];

#[test]
fn other_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let socket = PathBuf::from(std::env::var_os(SOCKET).expect("a socket"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        match role.as_str() {
            "consumer" => consume(socket).await,
            step => produce(&socket, step).await,
        }
    });
    // Until it is killed.
    let _ = stdin().lock().lines().next();
}

fn say(text: &str) {
    println!("told {text}");
    stdout().flush().expect("heard");
}

async fn consume(socket: PathBuf) {
    let options = ConnectOptions { local_socket: Some(socket), ..ConnectOptions::default() };
    let client = Client::connect_with(&std::env::var(URL).expect("an address"), &options).await.expect("connected");
    let batches = batches_of(&client, "t").await;
    say(&format!("{} rows", batches.iter().map(RecordBatch::num_rows).sum::<usize>()));
    for line in stdin().lock().lines() {
        line.expect("a line");
        // Each value is looked at again, whatever became of the server.
        let sums =
            batches.iter().map(|batch| batch.columns().iter().map(|column| column.to_data().len()).sum::<usize>());
        let valid =
            batches.iter().all(|batch| batch.columns().iter().all(|column| column.to_data().validate_full().is_ok()));
        say(&format!("{} values, valid {valid}", sums.sum::<usize>()));
    }
}

/// Does a put up to a step, tells so, and waits to be killed.
async fn produce(socket: &Path, step: &str) {
    let packets = Packets::connect(socket).await.expect("connected");
    let send = async |request, message: Message, fds: &[std::os::fd::BorrowedFd<'_>]| {
        packets.send(&Frame { request, has_more: false, message }, fds).await.expect("sent");
    };
    let answer = async || packets.receive().await.expect("received").expect("an answer").message;
    send(1, Hello { version: VERSION, ..Hello::default() }.into(), &[]).await;
    assert!(matches!(answer().await, Message::HelloOk(_)));
    if step != "hello" {
        send(2, Begin { table: "t".into(), ..Begin::default() }.into(), &[]).await;
        assert!(matches!(answer().await, Message::BeginOk(_)));
    }
    let segment = (!["hello", "begun"].contains(&step)).then(large_segment);
    if let Some(segment) = segment.filter(|_| step != "written") {
        let fd = segment.lend_memfd().expect("lent").expect("a memfd");
        let (bytes, rows) = (segment.file_bytes().len() as u64, segment.rows());
        let message = Segment { put: 1, sequence: 0, bytes, rows, file: String::new() };
        send(3, message.into(), &[fd.as_fd()]).await;
        if step != "sent" {
            assert!(matches!(answer().await, Message::SegmentOk(_)));
        }
        if step == "committed" {
            // Its answer is not waited for.
            send(4, Commit { put: 1, segments: 1 }.into(), &[]).await;
        }
    }
    say(step);
}

const ROWS: usize = 200_000;

fn large_segment() -> airlane_segment::Segment {
    let values = arrow_array::Int64Array::from_iter_values(0..ROWS as i64);
    let batch = RecordBatch::try_from_iter([("n", std::sync::Arc::new(values) as _)]).expect("a batch");
    let schema = TableSchema::from_arrow(&batch.schema()).expect("a schema");
    let options = WriterOptions { segment_small_bytes_max: ByteSize::bytes(0), ..WriterOptions::default() };
    let mut writer = TableWriter::new(schema, options, Box::new(SealedMemfds::new(MemoryBudget::unlimited())));
    writer.append(&batch).expect("laid out");
    writer.finish().expect("sealed").remove(0)
}

/// A process of the test. Dropping it kills it.
struct Other {
    child: Child,
    told: BufReader<ChildStdout>,
}

impl Other {
    fn spawn(role: &str, url: &str, socket: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.args(["--exact", "local::killed::other_process", "--nocapture"]);
        command.env(ROLE, role).env(URL, url).env(SOCKET, socket);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let told = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, told }
    }

    /// The next thing that it tells.
    fn hears(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.told.read_line(&mut line).expect("a line") > 0, "it has ended");
            if let Some((_, told)) = line.split_once("told ") {
                return told.trim().to_owned();
            }
        }
    }

    fn ask(&mut self) -> String {
        writeln!(self.child.stdin.as_mut().expect("its input"), "go").expect("asked");
        self.hears()
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Gone, or going.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h3_a_producer_killed_at_any_step_leaves_all_or_nothing() {
    let server = start(|_| {}).await;
    let exchange = server.handle.exchange();
    let free = exchange.memory_free();
    for step in STEPS.into_iter().cycle().take(18) {
        let mut producer = Other::spawn(step, &server.url(), &server.socket);
        assert_eq!(producer.hears(), step);
        producer.kill();
        if step == "committed" {
            eventually("a commit that was sent is done", async || exchange.list(&Caller::local(), "t").len() == 1)
                .await;
            assert_eq!(exchange.list(&Caller::local(), "t")[0].rows, ROWS as u64);
            exchange.drop_table(&Caller::local(), &name("t")).await.expect("dropped");
        } else {
            assert!(exchange.list(&Caller::local(), "t").is_empty(), "{step}");
        }
        eventually(step, async || exchange.memory_free() == free).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h3_a_consumer_that_is_killed_gives_back_what_it_held() {
    let server = start(|_| {}).await;
    let client = server.connect().await;
    let exchange = server.handle.exchange();
    let free = exchange.memory_free();
    let (_, batches) = tables::sample("flights");
    let options = PutOptions { durability: Some(Durability::Ephemeral), ..PutOptions::default() };
    put(&client, "t", batches.clone(), options).await.expect("put");
    let mut consumer = Other::spawn("consumer", &server.url(), &server.socket);
    assert_eq!(consumer.hears(), format!("{} rows", batches.iter().map(RecordBatch::num_rows).sum::<usize>()));
    client.drop_table(&name("t")).await.expect("dropped");
    assert!(consumer.ask().ends_with("valid true"), "what it has stays");
    assert!(exchange.memory_free() < free, "and counts");
    consumer.kill();
    eventually("its memory is free", async || exchange.memory_free() == free).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h3_a_server_that_is_killed_harms_no_reader_and_clients_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = ServerProcess::start(&folder, 0);
    let socket = folder.path().join("private/local.sock");
    let options = ConnectOptions { local_socket: Some(socket.clone()), ..ConnectOptions::default() };
    let client = Client::connect_with(&server.url(), &options).await.expect("connected");
    assert!(client.shares_memory());
    let (_, batches) = tables::sample("flights");
    put(&client, "t", batches.clone(), PutOptions::default()).await.expect("put");
    let held = batches_of(&client, "t").await;
    let mut consumer = Other::spawn("consumer", &server.url(), &socket);
    consumer.hears();
    let port = server.port;
    server.child.kill().expect("killed");
    server.child.wait().expect("gone");
    assert!(consumer.ask().ends_with("valid true"));
    assert_eq!(held, batches_again(&batches, &held));
    let _server = ServerProcess::start(&folder, port);
    eventually("the client reads again, by shared memory", async || {
        client.get("t").await.is_ok_and(|stream| stream.transport() == Transport::SharedMemory)
    })
    .await;
    assert_eq!(batches_of(&client, "t").await.len(), held.len());
}

/// The rows of some batches, cut as others are.
fn batches_again(rows: &[RecordBatch], cuts: &[RecordBatch]) -> Vec<RecordBatch> {
    let all = arrow_select::concat::concat_batches(cuts[0].schema_ref(), rows).expect("one batch");
    let mut start = 0;
    let cut = cuts.iter().map(|cut| {
        start += cut.num_rows();
        all.slice(start - cut.num_rows(), cut.num_rows())
    });
    cut.collect()
}

/// The server as users start it.
struct ServerProcess {
    child: Child,
    port: u16,
}

impl ServerProcess {
    fn start(folder: &TempDir, port: u16) -> Self {
        let (told, data) = (folder.path().join("port"), folder.path().join("data"));
        let _ = std::fs::remove_file(&told);
        let mut command = Command::new(env!("CARGO_BIN_EXE_airlane"));
        command.arg("serve").args(["--port", &port.to_string()]).arg("--port-file").arg(&told);
        command.arg("--data-dir").arg(&data).arg("--local-socket").arg(folder.path().join("private/local.sock"));
        let child = command.stderr(Stdio::null()).stdin(Stdio::null()).spawn().expect("a server");
        let begun = Instant::now();
        let port = loop {
            if let Ok(port) = std::fs::read_to_string(&told).unwrap_or_default().trim().parse() {
                break port;
            }
            assert!(begun.elapsed() < PATIENCE, "the server starts");
            std::thread::sleep(Duration::from_millis(5));
        };
        Self { child, port }
    }

    fn url(&self) -> String {
        format!("grpc://127.0.0.1:{}", self.port)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h4_a_process_of_another_user_is_kept_out() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root can start processes of other users");
        return;
    }
    let server = start(|_| {}).await;
    // So that the socket and its own folder decide.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(server.folder.path(), open).expect("open to all");
    // Others need not be able to run this test's own binary.
    let connect = |uid: u32| {
        let mut command = Command::new("python3");
        command.args(["-c", CONNECT]).arg(&server.socket).uid(uid).gid(uid).current_dir("/");
        let output = command.output().expect("python3");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(connect(65_534), "PermissionError");
    assert_eq!(connect(0), "in");
}

/// Connects to the socket that it is told, and says how that went.
const CONNECT: &str = "
import socket, sys
try:
    socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(sys.argv[1])
    print('in')
except OSError as error:
    print(type(error).__name__)
";

#[tokio::test(flavor = "multi_thread")]
async fn a_small_dev_shm_bounds_nothing() {
    // A namespace of mounts of its own, as a container has it.
    let can =
        Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", "/dev/shm"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: no namespace of mounts can be made here");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("private/local.sock");
    let port = folder.path().join("port");
    let script = format!(
        "mount -t tmpfs -o size=64m tmpfs /dev/shm && exec {} serve --port 0 --port-file {} --data-dir {} --local-socket {}",
        env!("CARGO_BIN_EXE_airlane"),
        port.display(),
        folder.path().join("data").display(),
        socket.display()
    );
    let child =
        Command::new("unshare").args(["-m", "sh", "-c", &script]).stderr(Stdio::null()).spawn().expect("a server");
    let mut server = ServerProcess { child, port: 0 };
    eventually("the server starts", async || port.exists()).await;
    server.port = std::fs::read_to_string(&port).expect("a port").trim().parse().expect("a number");
    let options = ConnectOptions { local_socket: Some(socket), ..ConnectOptions::default() };
    let client = Client::connect_with(&server.url(), &options).await.expect("connected");
    let values = arrow_array::Int64Array::from_iter_values(0..1 << 20);
    let batch = RecordBatch::try_from_iter([("n", std::sync::Arc::new(values) as _)]).expect("a batch");
    let options = PutOptions { durability: Some(Durability::Ephemeral), ..PutOptions::default() };
    let receipt = put(&client, "t", vec![batch; 16], options).await.expect("128 MiB");
    assert!(receipt.bytes >= 128 << 20);
    assert_eq!(batches_of(&client, "t").await.iter().map(RecordBatch::num_rows).sum::<usize>(), 16 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_in_a_folder_that_others_can_write_in_is_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).expect("a folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&shared, open).expect("open to all");
    let mut options = airlane_testkit::TestServer::options(folder.path());
    options.local.socket = LocalSocket::At(shared.join("local.sock"));
    let refused = airlane::server::run(options).await.expect_err("refused");
    assert!(refused.message().contains("others can write"), "{refused}");
}
