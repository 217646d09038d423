//! Clients that go away in the midst.

use bytes::{Bytes, BytesMut};
use h2::Reason;

use super::harness::*;
use super::raw::*;
use super::tables::*;

/// A durable put of several segments, as bytes, without its last message.
pub(super) async fn unfinished_put(name: &str) -> Bytes {
    let batches: Vec<_> = (0..100).map(|index| numbers(index * 100_000, 100_000)).collect();
    let messages = encoded(name, &batches).await;
    let mut bytes = BytesMut::new();
    messages[..messages.len() - 1].iter().for_each(|message| bytes.extend_from_slice(&grpc_of(message)));
    bytes.freeze()
}

/// What this process holds of a server's folder: files of segments, open or mapped.
pub(super) fn held(server: &TestServer) -> Vec<String> {
    let segments = server.folder.path().join("data").join("segments");
    let mut found: Vec<String> = std::fs::read_dir(&segments)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path().display().to_string())
        .collect();
    let prefix = segments.display().to_string();
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    found.extend(maps.lines().filter(|line| line.contains(&prefix)).map(str::to_owned));
    for entry in std::fs::read_dir("/proc/self/fd").expect("descriptors").flatten() {
        let target = std::fs::read_link(entry.path()).unwrap_or_default().display().to_string();
        found.extend(target.starts_with(&prefix).then_some(target));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_put_that_breaks_off_leaves_nothing() {
    let server = TestServer::start().await;
    let bytes = unfinished_put("broken").await;
    for encoding in ["identity", "gzip"] {
        // The stream ends at the end of a message: only the way it ends tells that it is not whole.
        for reason in [Reason::CANCEL, Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
            let line = Line::connect(&server).await;
            let mut call = line.call(DO_PUT, &[("grpc-encoding", encoding)]).await;
            call.send(bytes.clone());
            eventually("the put arrives", || !held(&server).is_empty()).await;
            call.reset(reason);
            eventually(&format!("{encoding}, {reason:?}: nothing is held"), || held(&server).is_empty()).await;
            assert_eq!(server.tables(), [""; 0], "{encoding}, {reason:?}");
        }
        let line = Line::connect(&server).await;
        let mut call = line.call(DO_PUT, &[("grpc-encoding", encoding)]).await;
        call.send(bytes.clone());
        eventually("the put arrives", || !held(&server).is_empty()).await;
        drop((call, line));
        eventually(&format!("{encoding}, a cut line: nothing is held"), || held(&server).is_empty()).await;
        assert_eq!(server.tables(), [""; 0], "{encoding}, a cut line");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_after_a_few_rows_commits_nothing() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    put(&mut client, "small", &[numbers(0, 3)]).await.expect("a table");
    let messages = encoded("small", &[numbers(0, 10), numbers(10, 10)]).await;
    for encoding in ["identity", "gzip"] {
        for count in 0..=messages.len() {
            for reason in [Reason::CANCEL, Reason::NO_ERROR] {
                let line = Line::connect(&server).await;
                let mut call = line.call(DO_PUT, &[("grpc-encoding", encoding)]).await;
                messages[..count].iter().for_each(|message| call.send(grpc_of(message)));
                call.reset(reason);
                // A later call on the same line is answered after the reset was seen.
                let mut later = line.call(DO_GET, &[]).await;
                later.send(grpc_of(&arrow_flight::Ticket::new("small")));
                later.end();
                later.answer().await;
                let info = server.handle.exchange().list(&airlane_model::Caller::local(), "small").remove(0);
                assert_eq!(info.version.get(), 1, "{encoding}, {count} messages, {reason:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_lets_the_version_go() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let batches: Vec<_> = (0..100).map(|index| numbers(index * 100_000, 100_000)).collect();
    for way in ["reset", "cut"] {
        put(&mut client, "read", &batches).await.expect("a table");
        let line = Line::connect(&server).await;
        let mut call = line.call(DO_GET, &[]).await;
        call.send(grpc_of(&arrow_flight::Ticket::new("read")));
        call.end();
        let mut body = call.stall().await;
        let first = body.data().await.expect("data").expect("data");
        assert!(!first.is_empty());

        let table = "read".parse().expect("a name");
        server.handle.exchange().drop_table(&airlane_model::Caller::local(), &table).await.expect("dropped");
        assert!(!held(&server).is_empty(), "the reader keeps its version");
        if way == "reset" {
            drop(body);
            eventually("the version is let go", || held(&server).is_empty()).await;
        } else {
            drop(line);
            eventually("the version is let go", || held(&server).is_empty()).await;
        }
    }
}
