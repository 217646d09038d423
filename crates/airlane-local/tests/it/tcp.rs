//! The same door over TCP, with files instead of descriptors.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use airlane_gate::Shown;
use airlane_handover::bytes::Bytes;
use airlane_handover::message::{Commit, Hello, HelloOk, HomeKind, Open, Release, Segment};
use airlane_handover::{Channel, Message, VERSION};
use airlane_local::LocalOptions;
use airlane_segment::{Home, Trust};
use airlane_store::StoreOptions;
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

struct Over {
    server: Server,
    _folder: tempfile::TempDir,
}

fn over(data: Option<&Path>) -> Over {
    let folder = tempfile::tempdir().expect("a folder");
    let options = LocalOptions { folder: Some(folder.path().join("local")), ..LocalOptions::default() };
    Over { server: server_with(StoreOptions::new(data.map(Path::to_owned)), options), _folder: folder }
}

impl Over {
    async fn connect(&self) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        self.server.serve(Channel::Bytes(Bytes::new(accepted.expect("accepted").0).expect("a stream")), Shown::Nothing);
        Client { channel: Channel::Bytes(Bytes::new(client.expect("connected")).expect("a stream")), request: 0 }
    }

    async fn client(&self) -> (Client, HelloOk) {
        let mut client = self.connect().await;
        let token = self.server.tokens.make().expose().to_owned();
        let ok = client.hello(&Hello { version: VERSION, token, ..Hello::default() }).await;
        (client, ok)
    }
}

async fn put(client: &mut Client, folder: &str, table: &str) -> String {
    let put = client.begin(named(table)).await;
    let segments = segments(2, 20_000);
    for (sequence, segment) in (0..).zip(&segments) {
        let (file, bytes) = (format!("s{sequence}"), segment.file_bytes());
        fs::write(Path::new(folder).join(&file), &bytes).expect("written");
        let rows = segment.rows();
        let answer = client.ask(Segment { put, sequence, bytes: bytes.len() as u64, rows, file }).await;
        assert!(matches!(answer, Message::SegmentOk(_)), "{answer:?}");
    }
    match client.ask(Commit { put, segments: 2 }).await {
        Message::Committed(committed) => committed.ticket,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_passes_through_files_of_a_private_folder() {
    let data = tempfile::tempdir().expect("a folder");
    for data in [None, Some(data.path())] {
        let over = over(data);
        let (mut client, ok) = over.client().await;
        let mode = fs::metadata(&ok.folder).expect("a folder");
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o700);
        let ticket = put(&mut client, &ok.folder, "t").await;
        assert_eq!(fs::read_dir(&ok.folder).expect("a folder").count(), 0, "what was handed over has no name any more");
        let (table, descriptors) = client.open(&ticket).await;
        assert!(descriptors.is_empty());
        let mut rows = 0;
        for segment in &table.segments {
            let home = &table.homes[segment.home as usize];
            assert_eq!(home.kind, i32::from(HomeKind::File));
            let file = fs::File::open(Path::new(&ok.folder).join(&home.file)).expect("a file");
            let home = Home::map_file(&file, home.bytes, 0).expect("mapped");
            let home = home.part(segment.offset, segment.bytes).expect("inside");
            rows += airlane_segment::Segment::open(home, Trust::Validated).expect("whole").rows();
        }
        assert_eq!(rows, 40_000);
        client.send(Release { leases: vec![table.lease], ended: Vec::new() }, &[]).await;
        client.refusal(Open { ticket: "absent".into() }).await;
        assert_eq!(fs::read_dir(&ok.folder).expect("a folder").count(), 0);
        drop(client);
        let waiting = std::time::Instant::now();
        while fs::exists(&ok.folder).expect("looked") {
            assert!(waiting.elapsed() < PATIENCE, "the folder goes with the connection");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s2_a_forged_or_replayed_token_lets_nobody_in() {
    let over = over(None);
    let used = over.server.tokens.make().expose().to_owned();
    let hello = |token: &str| Hello { version: VERSION, token: token.to_owned(), ..Hello::default() };
    over.connect().await.hello(&hello(&used)).await;
    for token in ["", "x", used.as_str(), &"0".repeat(64), &"x".repeat(10_000)] {
        let mut client = over.connect().await;
        assert_eq!(client.refusal(hello(token)).await, "credentials_refused", "{token}");
        assert!(client.receive().await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s7_files_elsewhere_are_not_taken() {
    let over = over(None);
    let (mut client, ok) = over.client().await;
    let outside = tempfile::NamedTempFile::new().expect("a file");
    let bytes = segments(1, 9)[0].file_bytes();
    fs::write(outside.path(), &bytes).expect("written");
    symlink(outside.path(), Path::new(&ok.folder).join("link")).expect("a link");
    fs::create_dir(Path::new(&ok.folder).join("folder")).expect("a folder");
    let outside = outside.path().display().to_string();
    for file in ["", "absent", "link", "folder", "../s0", outside.as_str(), "a/b", "a\0b", ".", ".."] {
        let put = client.begin(named("t")).await;
        let segment = Segment { put, sequence: 0, bytes: bytes.len() as u64, rows: 9, file: file.to_owned() };
        assert_eq!(client.refusal(segment).await, "segment_refused", "{file}");
    }
    assert!(fs::exists(&outside).expect("looked"));
}
