//! The process is killed at every step at which old rows go: all of them are there, or none, and nothing else is missing.
//!
//! The child appends, lets its clock go on and has old rows go, and prints what it did. The parent opens the folder after
//! the kill and goes on from there.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use airlane_store::testing::ManualClock;
use airlane_store::{Store, StoreOptions};

use crate::retention::{NOW, bytes_found};
use crate::support::*;

const FOLDER: &str = "AIRLANE_TEST_FOLDER";
const FAILPOINT: &str = "AIRLANE_FAILPOINT";
const SIGKILL: i32 = 9;
/// Appends of one child, a quarter of an hour apart; rows go after an hour.
const APPENDS: i64 = 9;
const QUARTER: Duration = Duration::from_secs(900);

/// What old rows pass when they go.
const POINTS: [&str; 10] = [
    "p7.before",
    "p7.after",
    "p8.before",
    "p8.after",
    "p9.before",
    "p9.after",
    "drop.purged",
    "p12.before",
    "p12.after",
    "drop.after",
];

/// Rows of the append of this number; some get files.
fn rows(number: i64) -> std::ops::Range<i64> {
    let from = 1_000_000 + number * 10_000;
    from..from + if number % 2 == 0 { 2_000 } else { 7 }
}

fn over(folder: &Path, clock: &Arc<ManualClock>) -> Store {
    open(StoreOptions { clock: clock.clone(), ..by_hand(options(folder)) })
}

fn tell(what: &str, number: i64) {
    let mut out = std::io::stdout();
    writeln!(out, "\n{what} {number}").and_then(|()| out.flush()).expect("a parent that reads");
}

/// What the child does. It does nothing when the tests are run as usual.
#[test]
#[ignore = "manual: the child of the other test here"]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let clock = Arc::new(ManualClock::new(NOW));
        let store = over(Path::new(&folder), &clock);
        for number in 0..APPENDS {
            append(&store, "t", rows(number)).await.expect("an append");
            if number == 0 {
                store.set_retention(&name("t"), change(&[("window", "1h")])).await.expect("a retention");
            }
            tell("put", number);
            clock.advance(QUARTER);
            store.expire_due().await;
            store.settle().await;
            tell("gone", number - 3);
        }
        store.close().await;
    });
}

#[tokio::test]
async fn d1_d3_killed_at_every_step_old_rows_are_gone_as_a_whole_or_there() {
    let mut between = 0;
    for point in POINTS {
        let counts = if point.starts_with("p12") || point.starts_with("drop") { [1, 2, 3] } else { [6, 7, 8] };
        // Of the commits, five are of the first appends and of the rule; then old rows and appends take turns.
        for count in counts {
            let folder = tempfile::tempdir().expect("a folder");
            let case = format!("{point}:{count}");
            let mut command = Command::new(std::env::current_exe().expect("this test"));
            command.args(["--exact", "window_kills::child", "--ignored", "--nocapture"]);
            command.env(FOLDER, folder.path()).env(FAILPOINT, &case);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut child = command.spawn().expect("a child");
            let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
            let (mut put, mut gone) = (-1_i64, -1_i64);
            for line in lines {
                match line.split_once(' ') {
                    Some(("put", number)) => put = number.parse().expect("a number"),
                    Some(("gone", number)) => gone = gone.max(number.parse().expect("a number")),
                    _ => {}
                }
            }
            let status = child.wait().expect("an end");
            assert_eq!(status.signal(), Some(SIGKILL), "{case}: {status}");

            let clock = Arc::new(ManualClock::new(NOW));
            let store = over(folder.path(), &clock);
            let found = read(&store, "t").expect("rows");
            // What was told of is as it was told, and the one step after it was taken or not.
            let of = |from: i64, to: i64| (from..=to).flat_map(rows).collect::<Vec<_>>();
            let allowed = [(gone + 1, put), (gone + 1, put + 1), (gone + 2, put)];
            let which = allowed.iter().position(|(from, to)| of(*from, *to) == found);
            assert!(which.is_some(), "{case}: put {put}, gone {gone}, {} rows from {:?}", found.len(), found.first());
            between += u64::from(which == Some(2));
            assert_sound(&store).await;
            // A start removes what the process before left over.
            let first = if which == Some(2) { gone + 2 } else { gone + 1 };
            for old in 0..first {
                let text = format!("row {}", rows(old).start + 1);
                let text = if (rows(old).start + 1) % 3 == 0 { format!("row {}", rows(old).start + 2) } else { text };
                assert!(!bytes_found(folder.path(), text.as_bytes()), "{case}: {text} is still there");
            }
            // And goes on: what was old is, and what comes is kept.
            append(&store, "t", 5..8).await.expect("an append");
            clock.advance(4 * QUARTER);
            store.expire_due().await;
            assert_eq!(read(&store, "t").expect("rows"), [0_i64; 0], "{case}");
            assert!(files(folder.path()).is_empty(), "{case}");
            assert_sound(&store).await;
            store.close().await;
        }
    }
    assert!(between >= 10, "only {between} kills came between the commit and its answer");
}
