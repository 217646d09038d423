//! Tables that go in and come out.

use std::time::Duration;

use airlane_handover::Message;
use airlane_handover::message::{Begin, Commit, Open, Quota, Release, Renew};
use airlane_local::LocalOptions;
use airlane_model::{ByteSize, Caller};
use airlane_store::StoreOptions;
use arrow_array::cast::AsArray;

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_table_passes_from_one_process_to_another() {
    let server = server();
    let mut producer = server.client().await;
    let segments = segments(3, 20_000);
    let committed = producer.put(named("eu/prices"), &segments).await;
    assert_eq!((committed.ticket.as_str(), committed.rows, committed.version), ("eu/prices@1", 60_000, 1));
    let mut consumer = server.client().await;
    let (table, descriptors) = consumer.open(&committed.ticket).await;
    assert_eq!((table.rows, table.homes.len(), table.segments.len()), (60_000, 3, 3));
    assert_eq!(table.schema[..], segments[0].schema().message()[..]);
    // The very memory of the producer.
    let inode = |fd: &std::os::fd::OwnedFd| rustix::fs::fstat(fd).expect("facts").st_ino;
    let produced: Vec<_> = segments.iter().map(|segment| inode(&memfd(segment))).collect();
    assert_eq!(descriptors.iter().map(inode).collect::<Vec<_>>(), produced);
    let batches = map(&table, descriptors);
    let keys = batches.iter().flat_map(|batch| {
        let keys = batch.column(0).as_primitive::<arrow_array::types::Int64Type>();
        keys.values().to_vec()
    });
    assert!(keys.eq(0..60_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_needs_no_name() {
    let server = server();
    let mut client = server.client().await;
    let committed = client.put(Begin::default(), &segments(1, 9)).await;
    assert!(committed.table.starts_with("handover-"), "{}", committed.table);
    assert_eq!(committed.durability, "ephemeral");
    let info = &server.exchange.list(&Caller::local(), "handover-")[0];
    assert_eq!(info.retention.to_string(), "ttl=1h");
    let (table, descriptors) = client.open(&committed.ticket).await;
    assert_eq!(rows(&map(&table, descriptors)), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_many_descriptors_comes_in_parts() {
    let server = server();
    let mut client = server.client().await;
    // Each is too large for the heap.
    client.put(named("t"), &segments(130, 20_000)).await;
    let (table, descriptors) = client.open("t").await;
    assert_eq!((table.homes.len(), table.rows), (130, 130 * 20_000));
    assert_eq!(rows(&map(&table, descriptors)), table.rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_and_keys_are_those_of_all_doors() {
    let server = server();
    let mut client = server.client().await;
    let parts = segments(2, 10);
    let keyed = Begin { idempotency_key: "run 7".into(), ..named("t") };
    let first = client.put(keyed.clone(), &parts[..1]).await;
    let again = client.put(keyed.clone(), &parts[..1]).await;
    assert_eq!((first.version, again.version), (1, 1), "one put");
    let put = client.begin(keyed).await;
    client.segment(put, 0, &parts[1]).await;
    assert_eq!(client.refusal(Commit { put, segments: 1 }).await, "idempotency_conflict");
    let more = Begin { mode: "append".into(), retention: vec!["versions=3".into()], ..named("t") };
    let appended = client.put(more, &parts[1..]).await;
    assert_eq!((appended.version, appended.rows, appended.rows_put), (2, 20, 10));
    let (table, descriptors) = client.open("t@1").await;
    assert_eq!(rows(&map(&table, descriptors)), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_a_reader_that_lets_go_of_nothing_is_refused_and_harms_nobody_else() {
    let large = segments(1, 20_000);
    let bytes = large[0].file_bytes().len() as u64;
    let options = LocalOptions { leased_bytes_max: ByteSize::bytes(2 * bytes), ..LocalOptions::default() };
    let server = server_with(StoreOptions::new(None), options);
    let mut client = server.client().await;
    client.put(named("t"), &large).await;
    let (one, _one) = client.open("t").await;
    let (_, _two) = client.open("t").await;
    assert_eq!(client.refusal(Open { ticket: "t".into() }).await, "quota_exceeded");
    let Message::Quota(quota) = client.ask(Quota::default()).await else { panic!("no quota") };
    assert_eq!((quota.leased_bytes, quota.leased_bytes_max), (2 * bytes, 2 * bytes));
    // The same caller elsewhere has the same quota; streams go on.
    let mut other = server.client().await;
    assert_eq!(other.refusal(Open { ticket: "t".into() }).await, "quota_exceeded");
    let ticket = "t".parse().expect("a ticket");
    let mut stream = server.exchange.read(&Caller::local(), &ticket).expect("a stream");
    assert!(stream.next_batch().expect("a batch").is_some());
    client.send(Release { leases: vec![one.lease, 77], ended: Vec::new() }, &[]).await;
    client.open("t").await;
    // A client that is gone holds nothing.
    drop(client);
    loop {
        let Message::Quota(quota) = other.ask(Quota::default()).await else { panic!("no quota") };
        if quota.leased_bytes == 0 {
            break;
        }
    }
    other.open("t").await;
}

/// What there is to know of a small table takes less.
const FACTS_BYTES_MAX: u64 = 16 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn memory_counts_until_the_last_lease_ends() {
    let server = server();
    let used = || server.exchange.memory_free();
    let free = used();
    let mut client = server.client().await;
    let large = segments(1, 20_000);
    let bytes = large[0].file_bytes().len() as u64;
    client.put(named("t"), &large).await;
    // With what there is to know of the table.
    let counts = |what: &str| {
        let taken = free.as_u64() - used().as_u64();
        assert!((bytes..bytes + FACTS_BYTES_MAX).contains(&taken), "{what}: {taken} of {bytes}");
    };
    counts("it is there");
    let (table, _descriptors) = client.open("t").await;
    server.exchange.drop_table(&Caller::local(), &"t".parse().expect("a name")).await.expect("dropped");
    counts("a reader has it");
    client.send(Release { leases: vec![table.lease], ended: Vec::new() }, &[]).await;
    // Answers come in order.
    client.ask(Quota::default()).await;
    assert_eq!(used(), free);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counted_read_is_used_when_it_has_ended_and_given_back_when_it_lapses() {
    let options = LocalOptions { lease: Duration::from_millis(300), ..LocalOptions::default() };
    let server = server_with(StoreOptions::new(None), options);
    let mut client = server.client().await;
    let once = Begin { retention: vec!["reads=1".into()], ..named("once") };
    client.put(once, &segments(1, 9)).await;
    let (lapsing, _descriptors) = client.open("once").await;
    let mut other = server.client().await;
    // Until it lapses; renewing puts that off.
    client.send(Renew { leases: vec![lapsing.lease] }, &[]).await;
    let (table, _others) = loop {
        match other.ask(Open { ticket: "once".into() }).await {
            Message::Failure(failure) => assert_eq!(failure.code, "ticket_in_use"),
            Message::Table(table) => break (table, ()),
            other => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    // What has lapsed is let go of without being counted.
    client.send(Release { leases: vec![lapsing.lease], ended: Vec::new() }, &[]).await;
    client.ask(Quota::default()).await;
    assert_eq!(server.exchange.list(&Caller::local(), "once").len(), 1);
    other.send(Release { leases: vec![table.lease], ended: vec![table.lease] }, &[]).await;
    other.ask(Quota::default()).await;
    assert!(server.exchange.list(&Caller::local(), "once").is_empty(), "it was read once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_says_so_and_lets_what_runs_end() {
    let server = server();
    let mut client = server.client().await;
    let put = client.begin(named("t")).await;
    server.drain.begin();
    server.stopping.cancel();
    let told = client.receive().await.expect("told");
    assert!(matches!((told.request, told.message), (0, Message::GoingAway(_))));
    assert_eq!(client.refusal(named("u")).await, "shutting_down");
    assert_eq!(client.refusal(Open { ticket: "t".into() }).await, "shutting_down");
    client.segment(put, 0, &segments(1, 9)[0]).await;
    assert!(matches!(client.ask(Commit { put, segments: 1 }).await, Message::Committed(_)));
    tokio::time::timeout(PATIENCE, server.drain.ended()).await.expect("nothing runs any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counted_read_can_end_while_its_rows_are_mapped() {
    let server = server();
    let mut client = server.client().await;
    let twice = Begin { retention: vec!["reads=2".into()], ..named("twice") };
    client.put(twice, &segments(1, 20_000)).await;
    for left in [1, 0] {
        let (table, descriptors) = client.open("twice").await;
        assert!(table.is_counted);
        let held = map(&table, descriptors);
        client.send(Release { leases: Vec::new(), ended: vec![table.lease, 99] }, &[]).await;
        client.ask(Quota::default()).await;
        assert_eq!(server.exchange.list(&Caller::local(), "twice").len(), left, "used once, not at its release too");
        assert_eq!(rows(&held), 20_000);
        client.send(Release { leases: vec![table.lease], ended: Vec::new() }, &[]).await;
        client.ask(Quota::default()).await;
        assert_eq!(server.exchange.list(&Caller::local(), "twice").len(), left);
    }
}

#[test]
fn a_hand_over_waits_for_no_other_thread() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).max_blocking_threads(1).enable_all().build().expect("a runtime");
    let (free, held) = std::sync::mpsc::channel::<()>();
    // What others wait for takes as long as it takes.
    runtime.spawn_blocking(move || held.recv());
    runtime.block_on(async {
        let server = server();
        let mut client = server.client().await;
        let committed = client.put(named("t"), &segments(2, 20_000)).await;
        let (table, descriptors) = client.open(&committed.ticket).await;
        assert_eq!(rows(&map(&table, descriptors)), 40_000);
    });
    drop(free);
}

#[tokio::test]
async fn a_runtime_of_one_thread_hands_over_as_well() {
    let server = server();
    let mut client = server.client().await;
    let committed = client.put(named("t"), &segments(2, 20_000)).await;
    let (table, descriptors) = client.open(&committed.ticket).await;
    assert_eq!(rows(&map(&table, descriptors)), 40_000);
}
