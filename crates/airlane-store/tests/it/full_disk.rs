//! A real full disk. It takes a small file system, which only an administrator can make:
//!
//! ```text
//! mount -t tmpfs -o size=24m tmpfs /mnt/small
//! AIRLANE_TEST_SMALL_DISK=/mnt/small cargo test -p airlane-store --test it -- --ignored d5
//! ```

use std::path::PathBuf;

use airlane_model::codes;

use crate::support::*;

#[tokio::test]
#[ignore = "manual: takes a small file system, see above"]
async fn d5_a_full_disk_refuses_puts_and_drops_make_room() {
    let Ok(disk) = std::env::var("AIRLANE_TEST_SMALL_DISK") else { return };
    let folder = PathBuf::from(disk).join("data");
    let store = open(options(&folder));
    replace(&store, "kept", 0..2_000).await.expect("a put");
    // Once with files, once with rows of the catalog.
    for rows in [3_000, 50] {
        let mut tables = Vec::new();
        let error = loop {
            let table = format!("t{rows}-{}", tables.len());
            match replace(&store, &table, 0..rows).await {
                Ok(_) => tables.push(table),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), codes::STORAGE_FULL, "{error:?}");
        for _ in 0..20 {
            let error = replace(&store, "more", 0..20_000).await.expect_err("a full disk");
            assert_eq!(error.code(), codes::STORAGE_FULL, "{error:?}");
        }
        assert_eq!(store.failure(), None);
        assert_eq!(read(&store, "kept").expect("reads go on").len(), 2_000);
        assert_sound(&store).await;
        for table in &tables {
            store.drop_table(&name(table)).await.expect("drops make room");
        }
        replace(&store, "again", 0..5_000).await.expect("room again, without a restart");
        assert_sound(&store).await;
        store.drop_table(&name("again")).await.expect("a drop");
    }
    store.close().await;
    let again = open(options(&folder));
    assert_eq!(read(&again, "kept").expect("rows").len(), 2_000);
    assert_sound(&again).await;
}
