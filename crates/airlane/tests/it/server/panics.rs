//! G10: a fault of the server ends one call.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airlane_store::disk::{Disk, DiskFile, SystemDisk};
use futures::StreamExt;
use tonic::Code;

use super::harness::*;
use super::tables::*;

/// A disk whose code has a bug, once it is armed.
#[derive(Debug, Default)]
struct FaultyDisk {
    is_armed: AtomicBool,
}

impl FaultyDisk {
    fn panic_if_armed(&self) {
        assert!(!self.is_armed.load(Ordering::SeqCst), "a fault on purpose");
    }
}

impl Disk for FaultyDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        SystemDisk.create_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.panic_if_armed();
        SystemDisk.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.panic_if_armed();
        SystemDisk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        SystemDisk.unlink(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        SystemDisk.list(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        SystemDisk.len(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        SystemDisk.sync_dir(path)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_a_panic_is_internal_and_siblings_go_on() {
    let large: Vec<_> = (0..50).map(|index| numbers(index * 100_000, 100_000)).collect();
    let server = TestServer::start().await;
    put(&mut server.client().await, "cold", &large).await.expect("a table");
    let TestServer { mut handle, folder } = server;
    handle.stop();
    handle.wait().await.expect("a clean end");

    // Restarted, the server reads the segments of `cold` from disk when they are asked for.
    let disk = Arc::new(FaultyDisk::default());
    let data = folder.path().join("data");
    let server = TestServer::start_with(|store, _| {
        store.folder = Some(data);
        store.disk = disk.clone();
    })
    .await;
    for (encoding, mut client) in server.clients().await {
        put(&mut client, "warm", &large[..5]).await.expect("a table");
        let mut sibling = client.do_get(arrow_flight::Ticket::new("warm")).await.expect("a table").into_inner();
        sibling.next().await.expect("a schema").expect("a schema");

        disk.is_armed.store(true, Ordering::SeqCst);
        let status = get(&mut client, "cold").await.expect_err("a fault in the body of DoGet");
        assert_eq!((status.code(), code_name(&status)), (Code::Internal, "internal"), "{encoding}: {status}");
        let status = put(&mut client, "other", &large).await.expect_err("a fault in DoPut");
        assert_eq!((status.code(), code_name(&status)), (Code::Internal, "internal"), "{encoding}: {status}");
        disk.is_armed.store(false, Ordering::SeqCst);

        while let Some(message) = sibling.next().await {
            message.expect("the sibling goes on");
        }
        put(&mut client, "other", &large[..1]).await.expect("the connection goes on");
    }
    let rows: usize =
        get(&mut server.client().await, "cold").await.expect("whole").1.iter().map(|b| b.num_rows()).sum();
    assert_eq!(rows, 5_000_000);
    assert!(super::http::metric(&server, "airlane_flight_panics_total").await > 0.0);
}
