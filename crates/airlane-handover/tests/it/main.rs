//! The words of the local door against the page that says them, and against rubbish.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use airlane_handover::bytes::Bytes;
use airlane_handover::frame::Frame;
use airlane_handover::message::{Commit, Failure, Hello, Quota, Release};
use airlane_handover::packets::{PacketListener, Packets, is_live};
use airlane_handover::{Channel, Message};
use airlane_model::{Error, codes};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

const SPEC: &str = include_str!("../../../../spec/handover.md");

#[test]
fn the_specification_has_each_message_by_its_number() {
    for (number, name) in Message::NAMES {
        let row = format!("| {number} | `{name}` |");
        assert!(SPEC.lines().any(|line| line.starts_with(&row)), "{row}");
    }
    let rows = SPEC.lines().filter(|line| {
        line.ends_with('|')
            && line.contains("` | client |") | line.contains("` | server |") | line.contains("` | both |")
    });
    assert_eq!(rows.count(), Message::NAMES.len());
}

#[test]
fn the_examples_of_the_specification_are_what_is_written() {
    let example = |name: &str| -> Vec<u8> {
        let line = SPEC.lines().find(|line| line.starts_with(name) && line.contains("00")).expect("an example");
        let bytes = line[name.len()..].split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte"));
        bytes.collect()
    };
    let hello = Frame { request: 1, has_more: false, message: Hello { version: 1, ..Hello::default() }.into() };
    let commit = Frame { request: 5, has_more: false, message: Commit { put: 1, segments: 2 }.into() };
    for (name, frame) in [("HELLO", hello), ("COMMIT", commit)] {
        assert_eq!(frame.encode().expect("short"), example(name));
        assert_eq!(Frame::decode(&example(name)).expect("well-formed"), frame);
    }
}

#[test]
fn an_error_is_the_same_at_the_other_end() {
    let error = Error::new(codes::MEMORY_FULL, "no room").at("put 7").hint("wait");
    let error = error.retry_after(std::time::Duration::from_millis(1500));
    let other = Failure::from(&error).error();
    assert_eq!(other.to_string(), error.to_string());
    assert_eq!(other.retry_after_time(), error.retry_after_time());
    let unknown = Failure { code: "from_the_future".into(), message: "what".into(), ..Failure::default() };
    assert_eq!(unknown.error().code(), codes::INTERNAL);
}

#[test]
fn a_message_that_is_too_long_is_not_sent() {
    let leases = vec![u64::MAX; 7_000];
    let frame = Frame { request: 1, has_more: false, message: Release { leases, ended: Vec::new() }.into() };
    assert_eq!(frame.encode().expect_err("too long").code(), codes::LIMIT_EXCEEDED);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn h4_any_bytes_are_a_message_or_an_error(
        number in 0..20_u16, flags in 0..3_u16, request: u64, body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&request.to_le_bytes());
        bytes.extend_from_slice(&body);
        if let Ok(frame) = Frame::decode(&bytes) {
            prop_assert_eq!((frame.message.number(), frame.request), (number, request));
            prop_assert_eq!(Frame::decode(&frame.encode().expect("short")).expect("well-formed"), frame);
        }
        prop_assert!(Frame::decode(&bytes[..bytes.len() - 1]).is_err(), "cut off");
    }
}

fn file(text: &str) -> OwnedFd {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file.into()
}

fn length(fd: &OwnedFd) -> i64 {
    rustix::fs::fstat(fd).expect("facts").st_size
}

#[tokio::test]
async fn descriptors_come_with_their_message_in_order() {
    let (one, other) = Packets::pair().expect("a pair");
    let files = [file("a"), file("bc"), file("def")];
    let fds: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    let frame = |request| Frame { request, has_more: request == 1, message: Quota::default().into() };
    one.send(&frame(1), &fds).await.expect("sent");
    one.send(&frame(2), &[]).await.expect("sent");
    let first = other.receive().await.expect("received").expect("a message");
    assert_eq!((first.request, first.has_more), (1, true));
    assert_eq!(first.descriptors.iter().map(length).collect::<Vec<_>>(), [1, 2, 3]);
    let flags = rustix::io::fcntl_getfd(&first.descriptors[0]).expect("flags");
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "no child gets it");
    let second = other.receive().await.expect("received").expect("a message");
    assert!(second.descriptors.is_empty() && !second.has_more);
    let many = vec![files[0].as_fd(); 129];
    assert_eq!(one.send(&frame(3), &many).await.expect_err("too many").code(), codes::LIMIT_EXCEEDED);
    drop(one);
    assert!(other.receive().await.expect("no error").is_none());
}

#[tokio::test]
async fn who_connects_is_known_and_whether_anybody_listens() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("local.sock");
    assert!(!is_live(&path));
    let listener = PacketListener::bind(&path).expect("bound");
    assert!(is_live(&path));
    let (client, _) = tokio::join!(Packets::connect(&path), listener.accept());
    let (client, accepted) = (client.expect("connected"), listener.accept().await.expect("accepted"));
    let (server, peer) = accepted;
    assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
    assert_eq!(peer.pid, Some(rustix::process::getpid().as_raw_pid()));
    client.send(&Frame { request: 7, has_more: false, message: Quota::default().into() }, &[]).await.expect("sent");
    assert_eq!(server.receive().await.expect("received").expect("a message").request, 7);
    drop(listener);
    assert!(!is_live(&path), "the file is left, and nobody listens");
}

#[tokio::test]
async fn a_stream_of_bytes_is_cut_into_messages() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (client, server) =
        tokio::join!(TcpStream::connect(listener.local_addr().expect("an address")), listener.accept());
    let (mut client, server) =
        (client.expect("connected"), Channel::Bytes(Bytes::new(server.expect("one").0).expect("a stream")));
    let frames: Vec<Frame> = (1..4)
        .map(|request| Frame { request, has_more: false, message: Commit { put: request, segments: 1 << 40 }.into() })
        .collect();
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode().expect("short")).collect();
    let sending = tokio::spawn(async move {
        for byte in bytes {
            client.write_all(&[byte]).await.expect("sent");
        }
        client.write_all(&[1, 0]).await.expect("sent");
    });
    for frame in frames {
        let received = server.receive().await.expect("received").expect("a message");
        assert_eq!((received.request, received.message), (frame.request, frame.message));
    }
    sending.await.expect("no panic");
    assert!(server.receive().await.is_err(), "it ends inside a message");
}

#[tokio::test]
async fn an_answer_is_heard_while_it_is_looked_for_and_after_that() {
    let long = std::time::Duration::from_secs(60);
    for awake in [std::time::Duration::ZERO, std::time::Duration::from_micros(50), long] {
        let (one, other) = Packets::pair().expect("a pair");
        let (one, other) = (Channel::Packets(one), Channel::Packets(other));
        // On one thread: whoever looks lets others have their turn.
        let (heard, ()) = tokio::join!(one.receive_within(awake), async {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            other.send(7, Quota::default()).await.expect("sent");
        });
        assert_eq!(heard.expect("received").expect("a message").request, 7);
        drop(other);
        assert!(one.receive_within(awake).await.expect("received").is_none(), "the end is heard at once");
    }
}
