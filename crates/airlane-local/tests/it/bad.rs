//! Clients that do what they must not.

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use airlane_handover::message::{Abort, Begin, Commit, Hello, Open, Quota, Release, Segment, Table};
use airlane_handover::packets::Packets;
use airlane_handover::{Channel, Message, VERSION};
use airlane_model::Caller;
use airlane_segment::{MemoryBudget, SealedMemfds};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use crate::support::*;

fn raw_memfd(bytes: &[u8], seals: SealFlags) -> OwnedFd {
    let fd = rustix::fs::memfd_create(c"test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("a memfd");
    rustix::io::pwrite(&fd, bytes, 0).expect("written");
    rustix::fs::fcntl_add_seals(&fd, seals).expect("sealed");
    fd
}

const ALL: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE).union(SealFlags::SEAL);

/// The code by which a segment is refused, after which its put is gone and the connection goes on.
async fn refused(client: &mut Client, fd: Option<OwnedFd>, bytes: u64) -> String {
    let put = client.begin(named("t")).await;
    let segment = Segment { put, sequence: 0, bytes, rows: 9, file: String::new() };
    client.send(segment, &fd.as_ref().map(AsFd::as_fd).into_iter().collect::<Vec<_>>()).await;
    let Message::Failure(failure) = client.answer().await else { panic!("it was taken") };
    assert!(!failure.message.is_empty());
    assert_eq!(client.refusal(Commit { put, segments: 1 }).await, "message_order_invalid");
    failure.code
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_h2_what_is_no_sealed_memfd_is_refused_and_the_connection_goes_on() {
    let server = server();
    let mut client = server.client().await;
    let good = segments(1, 9).remove(0);
    let bytes = good.file_bytes();
    let length = bytes.len() as u64;
    for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::WRITE, SealFlags::SEAL] {
        let fd = raw_memfd(&bytes, ALL.difference(missing));
        assert_eq!(refused(&mut client, Some(fd), length).await, "segment_refused", "{missing:?}");
    }
    for announced in [0, length - 1, length + 1, u64::MAX] {
        assert_eq!(refused(&mut client, Some(memfd(&good)), announced).await, "segment_refused", "{announced}");
    }
    let holes = raw_memfd(&bytes, SealFlags::empty());
    rustix::fs::ftruncate(&holes, 1 << 30).expect("longer");
    rustix::fs::fcntl_add_seals(&holes, ALL).expect("sealed");
    assert_eq!(refused(&mut client, Some(holes), 1 << 30).await, "segment_refused");
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&bytes).expect("written");
    assert_eq!(refused(&mut client, Some(file.into()), length).await, "segment_refused");
    let socket = std::os::unix::net::UnixStream::pair().expect("a pair").0;
    assert_eq!(refused(&mut client, Some(socket.into()), length).await, "segment_refused");
    assert_eq!(refused(&mut client, None, length).await, "segment_refused");
    assert!(server.exchange.list(&Caller::local(), "").is_empty());
    client.put(named("t"), std::slice::from_ref(&good)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h4_wrong_bytes_with_the_right_seals_are_refused() {
    let server = server();
    let mut client = server.client().await;
    let good = segments(1, 9).remove(0).file_bytes();
    let memfds = SealedMemfds::new(MemoryBudget::unlimited());
    let mut refusals = 0;
    for at in (0..good.len()).step_by(7) {
        let mut wrong = good.to_vec();
        wrong[at] ^= 0x55;
        let (home, _) = memfds.pack(&[&wrong]).expect("packed");
        let length = home.bytes().len() as u64;
        let put = client.begin(named("t")).await;
        let fd = home.lend_memfd().expect("lent").expect("a memfd").try_clone_to_owned().expect("a copy");
        client.send(Segment { put, sequence: 0, bytes: length, rows: 9, file: String::new() }, &[fd.as_fd()]).await;
        match client.answer().await {
            // A changed value is a value.
            Message::SegmentOk(_) => client.send(Abort { put }, &[]).await,
            Message::Failure(failure) => {
                refusals += 1;
                assert_ne!(failure.code, "internal", "byte {at}: {}", failure.message);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refusals > 100, "{refusals}");
    // None of what was given up is there.
    assert!(server.exchange.list(&Caller::local(), "").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_out_of_order_are_refused() {
    let server = server();
    let mut client = server.client().await;
    let segments = segments(2, 9);
    assert_eq!(client.refusal(Commit { put: 1, segments: 0 }).await, "message_order_invalid");
    let put = client.begin(named("t")).await;
    assert_eq!(client.refusal(Commit { put, segments: 0 }).await, "message_order_invalid", "no schema");
    let put = client.begin(named("t")).await;
    let Message::Failure(failure) = client.segment(put, 1, &segments[1]).await else { panic!("it was taken") };
    assert_eq!(failure.code, "message_order_invalid");
    let put = client.begin(named("t")).await;
    client.segment(put, 0, &segments[0]).await;
    assert_eq!(client.refusal(Commit { put, segments: 2 }).await, "message_order_invalid");
    let bad = [
        (Begin { table: "../x".into(), ..Begin::default() }, "table_name_invalid"),
        (Begin { mode: "upsert".into(), ..named("t") }, "option_invalid"),
        (Begin { durability: "eternal".into(), ..named("t") }, "option_invalid"),
        (Begin { durability: "durable".into(), ..named("t") }, "durability_conflict"),
        (Begin { retention: vec!["ttl".into()], ..named("t") }, "option_invalid"),
        (Begin { retention: vec!["ttl=1h".into(), "ttl=2h".into()], ..named("t") }, "option_invalid"),
    ];
    for (begin, code) in bad {
        let answer = client.ask(begin.clone()).await;
        let found = match answer {
            Message::Failure(failure) => failure.code,
            // What depends on the table is refused when the first segment shows the schema.
            Message::BeginOk(ok) => match client.segment(ok.put, 0, &segments[0]).await {
                Message::Failure(failure) => failure.code,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        assert_eq!(found, code, "{begin:?}");
    }
    for _ in 0..16 {
        client.begin(named("t")).await;
    }
    assert_eq!(client.refusal(named("t")).await, "limit_exceeded");
    assert_eq!(client.refusal(Open { ticket: "absent".into() }).await, "table_not_found");
    assert_eq!(client.refusal(Open { ticket: "~1f0c22aa.e30.AAAA".into() }).await, "ticket_refused");
    assert_eq!(client.refusal(Open { ticket: "a b".into() }).await, "table_name_invalid");
}

/// Whether a client that sends this is let go.
async fn ends(server: &crate::support::Server, message: impl Into<Message>, descriptors: &[BorrowedFd<'_>]) {
    let mut client = server.client().await;
    client.send(message, descriptors).await;
    while let Some(received) = client.receive().await {
        assert!(matches!(received.message, Message::Failure(_)), "{received:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_client_s_to_send_ends_the_connection() {
    let server = server();
    let own = memfd(&segments(1, 9)[0]);
    ends(&server, Hello { version: VERSION, ..Hello::default() }, &[]).await;
    ends(&server, Table::default(), &[]).await;
    ends(&server, Quota::default(), &[own.as_fd()]).await;
    ends(&server, Segment::default(), &[own.as_fd(), own.as_fd()]).await;
    let mut first = server.connect();
    first.send(named("t"), &[]).await;
    assert!(matches!(first.answer().await, Message::Failure(_)) && first.receive().await.is_none());
    let mut old = server.connect();
    old.send(Hello::default(), &[]).await;
    assert!(matches!(old.answer().await, Message::Failure(_)) && old.receive().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_ends_the_connection_and_nothing_else() {
    let server = server();
    let head = |number: u16, flags: u16, length: u32| {
        let mut head = Vec::new();
        head.extend_from_slice(&number.to_le_bytes());
        head.extend_from_slice(&flags.to_le_bytes());
        head.extend_from_slice(&length.to_le_bytes());
        head.extend_from_slice(&[0; 8]);
        head
    };
    let rubbish = [
        vec![0],
        vec![0xff; 15],
        vec![0xff; 16],
        vec![0; 70_000],
        head(0, 0, 0),
        head(77, 0, 0),
        head(14, 2, 0),
        head(14, 0, 5),
        head(14, 0, u32::MAX),
        [head(3, 0, 3), vec![0xff, 0xff, 0xff]].concat(),
        [head(12, 0, 12), vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0]].concat(),
    ];
    for (index, bytes) in rubbish.iter().enumerate() {
        for is_greeted in [false, true] {
            let client = if is_greeted { server.client().await } else { server.connect() };
            let Channel::Packets(packets) = &client.channel else { panic!("no packets") };
            let mut control = SendAncillaryBuffer::default();
            rustix::net::sendmsg(packets, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).expect("sent");
            let mut client = client;
            while let Some(received) = client.receive().await {
                assert!(matches!(received.message, Message::Failure(_)), "{index}: {received:?}");
            }
        }
    }
    // More descriptors than one message has.
    let client = server.client().await;
    let Channel::Packets(packets) = &client.channel else { panic!("no packets") };
    let own = memfd(&segments(1, 9)[0]);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let many = vec![own.as_fd(); 200];
    assert!(control.push(SendAncillaryMessage::ScmRights(&many)));
    rustix::net::sendmsg(packets, &[IoSlice::new(&head(14, 0, 0))], &mut control, SendFlags::NOSIGNAL).expect("sent");
    let mut client = client;
    assert!(client.receive().await.is_none());
    server.client().await.put(named("t"), &segments(1, 9)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h3_who_dies_in_the_middle_leaves_nothing_behind() {
    let server = server();
    let free = server.exchange.memory_free();
    let parts = segments(2, 20_000);
    for step in 0..6 {
        let mut client = server.client().await;
        if step >= 1 {
            let put = client.begin(named("t")).await;
            for (sequence, part) in (0..).zip(&parts).take(step - 1) {
                client.segment(put, sequence, part).await;
            }
            if step == 4 {
                // It does not wait for the answer.
                client.send(Commit { put, segments: 2 }, &[]).await;
            }
            if step == 5 {
                client.send(Segment { put, sequence: 9, ..Segment::default() }, &[]).await;
            }
        }
        drop(client);
        let mut other = server.client().await;
        let waiting = std::time::Instant::now();
        loop {
            other.ask(Quota::default()).await;
            let tables = server.exchange.list(&Caller::local(), "");
            let held: u64 =
                tables.iter().map(|_| parts.iter().map(|part| part.file_bytes().len() as u64).sum::<u64>()).sum();
            // With what there is to know of the table, where it was committed.
            let facts_max = tables.len() as u64 * (16 << 10);
            if (held..=held + facts_max).contains(&(free.as_u64() - server.exchange.memory_free().as_u64())) {
                break;
            }
            assert!(waiting.elapsed() < PATIENCE, "step {step}: memory is not free again");
            tokio::task::yield_now().await;
        }
        if let Some(table) = server.exchange.list(&Caller::local(), "").first() {
            assert_eq!((step, table.rows), (4, 40_000), "all or nothing");
            server.exchange.drop_table(&Caller::local(), &table.table).await.expect("dropped");
        }
    }
}

#[tokio::test]
async fn a_silent_client_is_let_go() {
    let server = server_with(
        airlane_store::StoreOptions::new(None),
        airlane_local::LocalOptions { patience: std::time::Duration::from_millis(50), ..Default::default() },
    );
    let (client, end) = Packets::pair().expect("a pair");
    server.serve(Channel::Packets(end), airlane_gate::Shown::Nothing);
    let received = tokio::time::timeout(PATIENCE, client.receive()).await.expect("an end");
    assert!(received.expect("no error").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_a_connection_holds_so_many_tables_and_no_more() {
    let server = server();
    let mut client = server.client().await;
    client.put(named("t"), &segments(1, 9)).await;
    let mut held = Vec::new();
    for _ in 0..4_096 {
        held.push(client.open("t").await.0.lease);
    }
    assert_eq!(client.refusal(Open { ticket: "t".into() }).await, "limit_exceeded");
    client.send(Release { leases: held[..1].to_vec(), ended: Vec::new() }, &[]).await;
    client.open("t").await;
}
