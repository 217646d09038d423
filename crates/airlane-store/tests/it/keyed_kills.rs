//! The process is killed at every step of puts that have keys; who repeats them gets what was done, and nothing twice.
//!
//! The child appends to one table, each put with a key of its own, and prints what it was answered. The parent repeats
//! from the last put that was answered on: the first of these may have been committed before the kill.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use airlane_model::{PutMode, Receipt};
use airlane_store::testing::FAILPOINTS;
use airlane_store::{PutSpec, Store};

use crate::support::*;

const FOLDER: &str = "AIRLANE_TEST_FOLDER";
const FIRST: &str = "AIRLANE_TEST_FIRST";
const FAILPOINT: &str = "AIRLANE_FAILPOINT";
/// Puts of one child.
const PUTS: i64 = 12;
const SIGKILL: i32 = 9;

/// Rows of the put of this number; some get files.
fn rows(number: i64) -> std::ops::Range<i64> {
    let from = number * 1_000;
    from..from + if number % 3 == 0 { 900 } else { 7 }
}

async fn put_numbered(store: &Store, number: i64) -> Receipt {
    let key = Some(key_of("ada", &format!("put {number}")));
    let spec = PutSpec { key, ..spec("t", PutMode::Append, None) };
    put(store, spec, rows(number)).await.expect("a put")
}

fn told(number: i64, receipt: &Receipt) -> String {
    format!("ack {number} {receipt:?}")
}

/// What the child does. It does nothing when the tests are run as usual.
#[test]
#[ignore = "manual: the child of the other test here"]
fn child() {
    let (Ok(folder), Ok(first)) = (std::env::var(FOLDER), std::env::var(FIRST)) else { return };
    let first: i64 = first.parse().expect("a number");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = open(by_hand(options(Path::new(&folder))));
        for number in first..first + PUTS {
            let receipt = put_numbered(&store, number).await;
            let mut out = std::io::stdout();
            writeln!(out, "\n{}", told(number, &receipt)).and_then(|()| out.flush()).expect("a parent that reads");
        }
        store.close().await;
    });
}

#[tokio::test]
async fn p7_d1_killed_at_every_step_a_repetition_does_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut first, mut answers, mut repeated) = (0, Vec::new(), 0);
    for point in FAILPOINTS.iter().filter(|point| point.starts_with('p')) {
        for round in [1, 2, 3] {
            let case = format!("{point}:{round}");
            let mut command = Command::new(std::env::current_exe().expect("this test"));
            command.args(["--exact", "keyed_kills::child", "--ignored", "--nocapture"]);
            command.env(FOLDER, folder.path()).env(FIRST, first.to_string()).env(FAILPOINT, &case);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut child = command.spawn().expect("a child");
            let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
            let acknowledged: Vec<_> = lines.filter(|line| line.starts_with("ack ")).collect();
            let status = child.wait().expect("an end");
            // Appends supersede nothing, so the points after that may never be reached.
            assert!(
                status.signal() == Some(SIGKILL) || point.starts_with("p12") && status.success(),
                "{case}: {status}"
            );
            answers.extend(acknowledged);

            let store = open(by_hand(options(folder.path())));
            let next = answers.len() as i64;
            let before = store.snapshot(&name("t"), None, None).map_or(0, |table| table.info().version.get());
            // The one that was not answered, and one that was.
            let receipt = put_numbered(&store, next).await;
            assert_eq!(receipt.version.get(), next.unsigned_abs() + 1, "{case}");
            repeated += u64::from(before == receipt.version.get());
            answers.push(told(next, &receipt));
            for number in [first, next] {
                let again = put_numbered(&store, number).await;
                assert_eq!(Some(&told(number, &again)), answers.get(usize::try_from(number).expect("few")), "{case}");
            }
            first = next + 1;
            let expected: Vec<i64> = (0..first).flat_map(rows).collect();
            assert_eq!(read(&store, "t").expect("rows"), expected, "{case}");
            assert_eq!(store.idempotency_keys(), first.unsigned_abs(), "{case}");
            store.close().await;
        }
    }
    assert!(repeated >= 6, "only {repeated} puts were committed and not answered");
    let store = open(options(folder.path()));
    for (number, answer) in (0..).zip(&answers) {
        assert_eq!(told(number, &put_numbered(&store, number).await), *answer);
    }
    assert_sound(&store).await;
    store.close().await;
}
