//! The process is killed at every step of puts, merges, drops and starts; a restart finds what was acknowledged.
//!
//! This test binary starts itself again as the child that is killed. The child runs a fixed list of requests, one
//! after another, and prints the number of each when it is acknowledged. So the parent knows the state that must be
//! there: that after the last acknowledged request, or that after the next one, and nothing else.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use airlane_store::Store;
use airlane_store::testing::FAILPOINTS;

use crate::support::*;

const FOLDER: &str = "AIRLANE_TEST_FOLDER";
const FIRST: &str = "AIRLANE_TEST_FIRST";
const FAILPOINT: &str = "AIRLANE_FAILPOINT";
/// Requests of one child.
const REQUESTS: usize = 40;
const SIGKILL: i32 = 9;

#[derive(Clone, Debug)]
pub(crate) enum Request {
    Replace(&'static str, std::ops::Range<i64>),
    Append(&'static str, std::ops::Range<i64>),
    Drop(&'static str),
}

/// The request of this number: small and large puts, appends that come to be merged, drops.
pub(crate) fn request(number: usize) -> Request {
    let from = number as i64 * 10_000;
    match number % 16 {
        0 => Request::Replace("small", from..from + 5),
        1 => Request::Replace("large", from..from + 3_000),
        2 => Request::Append("large", from..from + 2_000),
        3 => Request::Replace("temporary", from..from + 1_000),
        4 => Request::Append("temporary", from..from + 3),
        5 => Request::Drop("temporary"),
        6 => Request::Append("small", from..from + 3),
        _ => Request::Append("growing", from..from + 50),
    }
}

/// Keys and version of each table.
pub(crate) type State = BTreeMap<String, (Vec<i64>, u64)>;

pub(crate) fn apply(state: &mut State, number: usize) {
    match request(number) {
        Request::Replace(table, keys) => {
            let version = state.get(table).map_or(0, |(_, version)| *version) + 1;
            state.insert(table.to_owned(), (keys.collect(), version));
        }
        Request::Append(table, keys) => {
            let (rows, version) = state.entry(table.to_owned()).or_default();
            rows.extend(keys);
            *version += 1;
        }
        Request::Drop(table) => {
            state.remove(table);
        }
    }
}

pub(crate) fn state_of(store: &Store) -> State {
    let table = |info: airlane_model::TableInfo| {
        let name = info.table.to_string();
        let rows = read(store, &name).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        (name, (rows, info.version.get()))
    };
    store.list("").into_iter().map(table).collect()
}

/// What the child does. It does nothing when the tests are run as usual.
#[test]
#[ignore = "manual: the child of the other tests here"]
fn child() {
    let (Ok(folder), Ok(first)) = (std::env::var(FOLDER), std::env::var(FIRST)) else { return };
    let first: usize = first.parse().expect("a number");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = open(options(Path::new(&folder)));
        for number in first..first + REQUESTS {
            let done = match request(number) {
                Request::Replace(table, keys) => replace(&store, table, keys).await.map(drop),
                Request::Append(table, keys) => append(&store, table, keys).await.map(drop),
                Request::Drop(table) => store.drop_table(&name(table)).await.map(drop),
            };
            done.unwrap_or_else(|error| panic!("request {number}: {error:?}"));
            let mut out = std::io::stdout();
            writeln!(out, "\nack {number}").and_then(|()| out.flush()).expect("a parent that reads");
        }
        store.settle().await;
        store.close().await;
    });
}

fn start(folder: &Path, first: usize, failpoint: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "kills::child", "--ignored", "--nocapture"]);
    command.env(FOLDER, folder).env(FIRST, first.to_string()).env_remove(FAILPOINT);
    command.envs(failpoint.map(|point| (FAILPOINT, point)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a child")
}

/// Reads acknowledgements until the child ends; the number of the next request.
fn follow(child: &mut Child, first: usize) -> usize {
    let mut next = first;
    let out = child.stdout.take().expect("a pipe");
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        if let Some(number) = line.strip_prefix("ack ") {
            assert_eq!(number.parse(), Ok(next), "requests are acknowledged in order");
            next += 1;
        }
    }
    next
}

/// Opens the folder after a kill, compares, and tells the number of the first request that is not there.
async fn verify(folder: &Path, expected: &mut State, next: usize, case: &str) -> usize {
    let store = open(options(folder));
    let found = state_of(&store);
    assert_sound(&store).await;
    assert_eq!(state_of(&store), found, "{case}: merging changes nothing");
    store.close().await;
    if found == *expected {
        return next;
    }
    apply(expected, next);
    for (table, state) in &found {
        assert_eq!(Some(state), expected.get(table), "{case}: table {table}, request {next}: {:?}", request(next));
    }
    assert_eq!(found.len(), expected.len(), "{case}: request {next}: {:?}", request(next));
    next + 1
}

#[tokio::test]
async fn d1_d3_killed_at_every_step_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut expected, mut first) = (State::new(), 0);
    for round in [1, 2] {
        for point in FAILPOINTS {
            let case = format!("{point}:{round}");
            let mut child = start(folder.path(), first, Some(&case));
            let next = follow(&mut child, first);
            let status = child.wait().expect("an end");
            // How often a child merges depends on its threads, and it starts only once.
            let may_end = round > 1 && (point.starts_with("merge.") || point.starts_with("start."));
            assert!(status.signal() == Some(SIGKILL) || may_end && status.success(), "{case}: {status}");
            (first..next).for_each(|number| apply(&mut expected, number));
            first = verify(folder.path(), &mut expected, next, &case).await;
        }
    }
    assert!(first > FAILPOINTS.len(), "{first} requests were done");
}

#[tokio::test]
async fn d1_killed_at_any_time_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut expected, mut first) = (State::new(), 0);
    for round in 0..12_usize {
        let mut child = start(folder.path(), first, None);
        let out = child.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(out).lines().map_while(Result::ok).filter(|line| line.starts_with("ack "));
        let wait_for = round * 3 % 11;
        let mut next = first + lines.by_ref().take(wait_for).count();
        child.kill().expect("a kill");
        next += lines.count();
        child.wait().expect("an end");
        (first..next).for_each(|number| apply(&mut expected, number));
        first = verify(folder.path(), &mut expected, next, &format!("round {round}")).await;
    }
    assert!(first >= 50, "{first} requests were done");
}
