//! What there is to know of tables takes memory too, and is counted for as long as it does.

use airlane_model::{ByteSize, Durability, PutMode, codes};
use airlane_store::{MemoryOptions, PutSpec, Store, StoreOptions};

use crate::support::*;

/// Puts tables of one row each until that is refused; answers how many there are then.
async fn flood(store: &Store, durability: Durability, most: usize) -> usize {
    for number in 0..most {
        let spec = spec(&format!("t{number}"), PutMode::Replace, Some(durability));
        let Err(error) = put(store, spec, 0..1).await else { continue };
        let shown = error.to_string();
        assert_eq!(error.code(), codes::MEMORY_FULL, "{shown}");
        assert!(error.code().is_retryable() && shown.contains("facts ") && shown.contains("drop tables"), "{shown}");
        return number;
    }
    panic!("{most} tables were put into a budget of {}", store.memory_budget().limit());
}

#[tokio::test]
async fn d11_a_flood_of_tiny_tables_is_refused_although_their_rows_can_go_to_disk() {
    for durability in [Durability::Ephemeral, Durability::Durable] {
        let folder = tempfile::tempdir().expect("a folder");
        let memory =
            MemoryOptions { limit: ByteSize::mib(1), disk_free_min: ByteSize::bytes(0), ..MemoryOptions::default() };
        let store = open(by_hand(StoreOptions { memory, ..options(folder.path()) }));
        let tables = flood(&store, durability, 3_000).await;
        let (facts, used, limit) = (facts_of(&store), store.memory_budget().used().as_u64(), 1 << 20);
        assert!(facts > limit / 2 && used <= limit, "{facts} of {used}, {tables} tables");
        // What is there is read, and what makes room is done.
        assert_eq!(read(&store, "t0").expect("rows"), [0]);
        for number in 0..tables / 2 {
            store.drop_table(&name(&format!("t{number}"))).await.expect("a drop");
        }
        store.settle().await;
        replace(&store, "again", 0..1).await.expect("room again");
        assert_sound(&store).await;
    }
}

#[tokio::test]
async fn facts_are_counted_until_the_last_reader_lets_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(by_hand(options(folder.path())));
    for durability in [Durability::Ephemeral, Durability::Durable] {
        assert_eq!(facts_of(&store), 0);
        let asked = |mode| spec("t", mode, Some(durability));
        put(&store, asked(PutMode::Replace), 0..10).await.expect("a put");
        let one = facts_of(&store);
        assert!((1_000..10_000).contains(&one), "{one}");
        let old = store.snapshot(&name("t"), None, None).expect("a table");
        let mut before = one;
        for first in 1..10 {
            put(&store, asked(PutMode::Append), first * 10..first * 10 + 10).await.expect("an append");
            assert!(facts_of(&store) > before, "a version and a segment more");
            before = facts_of(&store);
        }
        while store.merge_step().await {}
        store.settle().await;
        let merged = facts_of(&store);
        assert!(merged < before, "{merged}: fewer segments than the {before} were for");
        put(&store, asked(PutMode::Replace), 0..10).await.expect("a put");
        store.settle().await;
        let held = facts_of(&store) - one;
        assert!((300..one).contains(&held), "{held}: what the reader holds is a content with its segment");
        store.drop_table(&name("t")).await.expect("a drop");
        store.settle().await;
        assert_eq!(facts_of(&store), held);
        assert_eq!(keys(&old).expect("rows"), (0..10).collect::<Vec<_>>());
        drop(old);
    }
    assert_eq!(facts_of(&store), 0);
}

#[tokio::test]
async fn a_refused_put_leaves_no_facts_and_a_restart_counts_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(by_hand(options(folder.path())));
    for table in 0..20 {
        replace(&store, &format!("eu/t{table}"), 0..10).await.expect("a put");
    }
    let kept = facts_of(&store);
    let other = PutSpec { durability: Some(Durability::Ephemeral), ..spec("eu/t0", PutMode::Append, None) };
    let raced = store.put_batches(spec("new", PutMode::Replace, Some(Durability::Ephemeral)), schema()).expect("a put");
    put(&store, other, 0..1).await.expect_err("another durability");
    replace(&store, "new", 0..1).await.expect("a durable table");
    raced.commit().await.expect_err("it came later");
    store.drop_table(&name("new")).await.expect("a drop");
    store.settle().await;
    assert_eq!(facts_of(&store), kept);
    store.close().await;
    drop(store);
    let store = open(by_hand(options(folder.path())));
    assert_eq!(facts_of(&store), kept);
}
