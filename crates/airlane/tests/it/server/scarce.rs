//! D5, G8: the real binary with a small disk, and with few descriptors. What it acknowledged it keeps, what it cannot do it says,
//! and it goes on by itself when there is room again.

use std::net::TcpStream;
use std::path::{Path, PathBuf};

use airlane_testkit::ServerProcess;
use tonic::{Code, Request, Status};

use super::harness::*;
use super::tables::*;
use crate::cli::binary;

const DISK_BYTES: u64 = 24 << 20;

/// A server whose data folder is a file system of its own, which ends with it.
pub(super) struct Small {
    server: ServerProcess,
    /// The file system as this process can reach it.
    disk: PathBuf,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Small {
    /// None, and said why, where nobody may mount.
    pub(super) async fn start(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display().to_string();
        let mount = format!(
            "mount -t tmpfs -o size={DISK_BYTES} tmpfs \"$0\" && exec env AIRLANE_MEMORY=16MiB AIRLANE_DATA_DIR=\"$0\"/data \"$@\""
        );
        let launcher = ["unshare", "--map-root-user", "--mount", "sh", "-c", &mount, &path];
        let server = ServerProcess::start_by(&launcher, binary(), &folder.path().join("data"));
        let server = match server {
            Ok(server) => server,
            Err(said) if said.contains("unshare") || said.contains("mount") => {
                // No skip: where it can run is up to the kernel's rules, not to what is installed.
                println!("left out: {test}: no file system can be mounted here: {said}");
                return None;
            }
            Err(said) => panic!("the server {said}"),
        };
        let disk = PathBuf::from(format!("/proc/{}/root{path}", server.id()));
        let client = client_of(&format!("127.0.0.1:{}", server.port())).await;
        Some(Self { server, disk, client, _folder: folder })
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.port())
    }

    async fn put(&mut self, name: &str, rows: usize, durability: &str) -> Result<(), Status> {
        let messages = encode(by_path(name), numbers_schema(), vec![numbers(0, rows)]);
        let mut request = Request::new(messages);
        request.metadata_mut().insert("airlane-durability", durability.parse().expect("a header"));
        put_request(&mut self.client, request).await.map(drop)
    }

    async fn drop_table(&mut self, name: &str) {
        drop_table(&mut self.client, name).await;
    }

    async fn assert_kept(&mut self, name: &str, rows: usize) {
        let (schema, batches) = get(&mut self.client, name).await.expect("reads go on");
        assert_eq!(joined(&schema, &batches), joined(&schema, &[numbers(0, rows)]), "{name}");
    }

    fn segments(&self) -> usize {
        std::fs::read_dir(self.disk.join("data/segments")).expect("a folder").count()
    }

    /// Leaves so many bytes free, at most.
    fn fill_up_to(&self, free: u64) {
        let ballast = self.disk.join("ballast");
        let _ = std::fs::remove_file(&ballast);
        let stat = rustix::fs::statvfs(&self.disk).expect("a file system");
        let bytes = (stat.f_bavail * stat.f_frsize).saturating_sub(free);
        let file = std::fs::File::create(&ballast).expect("a file");
        if bytes > 0 {
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes).expect("room");
        }
    }
}

async fn drop_table(client: &mut Client, name: &str) {
    use futures::TryStreamExt;
    let action = arrow_flight::Action { r#type: "drop".into(), body: name.as_bytes().to_vec().into() };
    let results = client.do_action(action).await.expect("drops make room").into_inner();
    results.try_collect::<Vec<_>>().await.expect("dropped");
}

fn assert_full(what: &str, status: &Status) {
    let code = code_name(status);
    assert!(["storage_full", "memory_full"].contains(&code), "{what}: {status}");
    assert_eq!(status.code(), Code::ResourceExhausted, "{what}: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn d5_a_really_full_disk_refuses_puts_and_drops_make_room() {
    let Some(mut small) = Small::start("d5_a_really_full_disk_refuses_puts_and_drops_make_room").await else { return };
    small.put("kept", 100_000, "durable").await.expect("a put");
    // With files, with rows of the catalog, and with tables that go to disk when memory is short.
    for (rows, durability) in [(131_072, "durable"), (2_000, "durable"), (131_072, "ephemeral")] {
        // The many small ones would last: most of the room is taken before.
        small.fill_up_to(if rows < 10_000 { 2 << 20 } else { DISK_BYTES });
        let mut tables = Vec::new();
        let status = loop {
            let name = format!("{durability}-{rows}-{}", tables.len());
            match small.put(&name, rows, durability).await {
                Ok(()) => tables.push(name),
                Err(status) => break status,
            }
            assert!(tables.len() < 3_000, "{durability}, {rows} rows: the disk is never full");
        };
        let what = format!("{durability}, {rows} rows, after {} tables", tables.len());
        assert_full(&what, &status);
        for _ in 0..10 {
            // As large as any, so that no room that is left is enough.
            assert_full(&what, &small.put("more", 262_144, durability).await.expect_err("a full disk"));
        }
        small.assert_kept("kept", 100_000).await;
        small.assert_kept(tables.last().expect("some"), rows).await;
        for table in &tables {
            small.drop_table(table).await;
        }
        small.put("again", rows, durability).await.expect("room again, without a restart");
        small.assert_kept("again", rows).await;
        small.drop_table("again").await;
    }
    let (status, log) = small.server.stop();
    assert!(status.success(), "{log}");
}

/// The disk becomes full at every step of a put: each is kept whole or leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn d5_a_disk_that_becomes_full_in_the_midst_of_a_put_leaves_nothing_of_it() {
    let test = "d5_a_disk_that_becomes_full_in_the_midst_of_a_put_leaves_nothing_of_it";
    let Some(mut small) = Small::start(test).await else { return };
    small.put("kept", 100_000, "durable").await.expect("a put");
    let segments = small.segments();
    let (mut taken, mut refused) = (0, 0);
    for (rows, step) in [(131_072, 32 << 10), (500, 4 << 10)] {
        for number in 0..40 {
            small.fill_up_to(number * step);
            match small.put("t", rows, "durable").await {
                Ok(()) => {
                    taken += 1;
                    small.assert_kept("t", rows).await;
                    // The ballast would take what the catalog keeps for drops as soon as one has used it.
                    small.fill_up_to(DISK_BYTES);
                    small.drop_table("t").await;
                }
                Err(status) => {
                    refused += 1;
                    assert_full(&format!("{rows} rows, {number} steps"), &status);
                    let status = get(&mut small.client, "t").await.expect_err("nothing of it");
                    assert_eq!(code_name(&status), "table_not_found");
                }
            }
            eventually("no file is left", || small.segments() == segments).await;
            small.assert_kept("kept", 100_000).await;
        }
    }
    assert!(taken > 10 && refused > 10, "{taken} were taken, {refused} refused");
    small.fill_up_to(DISK_BYTES);
    small.put("after", 131_072, "durable").await.expect("room again, without a restart");
    let (status, log) = small.server.stop();
    assert!(status.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g8_a_server_with_64_descriptors_refuses_clearly_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let limited = ["sh", "-c", "ulimit -n 64 && exec \"$0\" \"$@\""];
    let server = ServerProcess::start_by(&limited, binary(), &data).expect("64 are enough to begin");
    let address = format!("127.0.0.1:{}", server.port());
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("descriptors").count();
    let mut client = client_of(&address).await;
    let batches: Vec<_> = (0..3).map(|index| numbers(index * 100_000, 100_000)).collect();
    let mut kept = Vec::new();
    for round in 0..3 {
        let connect = || TcpStream::connect(("127.0.0.1", server.port())).expect("the kernel takes it");
        let silent: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
        eventually("the descriptors are used up", || descriptors() >= 64).await;
        for number in 0..10 {
            let name = format!("t{round}-{number}");
            // Some in a file, some in the catalog.
            let put = if number % 2 == 0 {
                put(&mut client, &name, &batches).await
            } else {
                put(&mut client, &name, &[numbers(0, 10)]).await
            };
            match put {
                Ok(_) => kept.push((name, number % 2 == 0)),
                Err(status) => {
                    let codes = ["storage_failed", "storage_full", "memory_full"];
                    assert!(codes.contains(&code_name(&status)), "{name}: {status}");
                }
            }
        }
        drop(silent);
        let mut another = client_of(&address).await;
        put(&mut another, &format!("after{round}"), &batches).await.expect("puts are taken again");
        kept.push((format!("after{round}"), true));
        assert_all(&mut another, &kept, &batches).await;
    }
    let (status, log) = server.stop();
    assert!(status.success() && !log.contains("panicked"), "{log}");
    let again = ServerProcess::start(Path::new(binary()), &data, [""; 0]);
    let mut client = client_of(&format!("127.0.0.1:{}", again.port())).await;
    assert_all(&mut client, &kept, &batches).await;
    let left = std::fs::read_dir(data.join("segments")).expect("a folder").count();
    let files = kept.iter().filter(|(_, is_large)| *is_large).count();
    assert!(left <= files, "{left} files for {files} tables");
}

async fn assert_all(client: &mut Client, kept: &[(String, bool)], batches: &[arrow_array::RecordBatch]) {
    for (name, is_large) in kept {
        let (schema, found) = get(client, name).await.expect("what was acknowledged is there");
        let expected = if *is_large { joined(&schema, batches) } else { joined(&schema, &[numbers(0, 10)]) };
        assert_eq!(joined(&schema, &found), expected, "{name}");
    }
}
