//! The kernel fails an fsync of the real server: what was acknowledged is there after a restart, and what was not is
//! there whole or not at all.
//!
//! `strace` fails the Nth `fsync` or `fdatasync` of each thread with EIO: of all, where small numbers fail the start and
//! larger ones the catalog, which every request syncs; of the segments' files alone; and of their folder alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use airlane_client::{Client, PutOptions};
use airlane_model::{Durability, Error, PutMode, Result, TableName, codes};
use airlane_testkit::ServerProcess;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use futures::stream;

use super::harness::eventually;
use crate::cli::binary;

/// A bound for the loop below.
const SYNCS_MAX: usize = 40;

/// Requests of one run.
const REQUESTS: usize = 12;

const TABLES: [&str; 4] = ["small", "large", "growing", "dropped"];

#[derive(Clone, Copy, Debug)]
enum Request {
    Put(&'static str, PutMode),
    Drop(&'static str),
}

/// The request of this number. A large put has a segment's file, the others live in the catalog.
fn request(number: usize) -> Request {
    match number % 6 {
        0 => Request::Put("small", PutMode::Replace),
        1 | 4 => Request::Put("large", PutMode::Replace),
        2 => Request::Put("growing", PutMode::Append),
        3 => Request::Put("dropped", PutMode::Replace),
        _ => Request::Drop("dropped"),
    }
}

/// What the put of this number puts: rows that tell it.
fn rows(number: usize) -> Vec<i64> {
    let from = number as i64 * 1_000_000;
    let count = if matches!(request(number), Request::Put("large", _)) { 60_000 } else { 5 };
    (from..from + count).collect()
}

/// A table: its version, and the numbers of the puts that its rows are from. `None` when there is none.
type State = Option<(u64, Vec<usize>)>;

fn apply(state: &State, number: usize) -> State {
    let (version, mut puts) = state.clone().unwrap_or_default();
    match request(number) {
        Request::Drop(_) => return None,
        Request::Put(_, PutMode::Append) => puts.push(number),
        Request::Put(..) => puts = vec![number],
    }
    Some((version + 1, puts))
}

/// The states that each table may be in.
type Possible = BTreeMap<&'static str, Vec<State>>;

async fn ask(client: &Client, number: usize) -> Result<Option<u64>> {
    let name = |table| TableName::parse(table).expect("a name");
    match request(number) {
        Request::Drop(table) => client.drop_table(&name(table)).await.map(|_| None),
        Request::Put(table, mode) => {
            let column = Arc::new(Int64Array::from(rows(number)));
            let batch = RecordBatch::try_from_iter([("n", column as _)]).expect("a batch");
            let options = PutOptions { mode, durability: Some(Durability::Durable), ..PutOptions::default() };
            let receipt = client.put(&name(table), batch.schema(), stream::iter([Ok(batch)]), options).await?;
            Ok(Some(receipt.version.get()))
        }
    }
}

/// Takes note of what a request answered.
fn note(possible: &mut Possible, number: usize, outcome: &Result<Option<u64>>) {
    let (Request::Put(table, _) | Request::Drop(table)) = request(number);
    let states = possible.get_mut(table).expect("a table of the list");
    let after: Vec<State> = states.iter().map(|state| apply(state, number)).collect();
    match outcome {
        Ok(version) => {
            *states = after;
            states.retain(|state| state.as_ref().map(|(version, _)| *version) == *version);
            assert!(!states.is_empty(), "request {number} was answered with version {version:?}");
        }
        Err(error) if kept_nothing(error) => {}
        Err(_) => states.extend(after),
    }
}

/// Whether an error says for certain that nothing of the request was kept.
fn kept_nothing(error: &Error) -> bool {
    let is_half_done = error.message().starts_with("the table is dropped, but");
    [codes::STORAGE_FAILED, codes::SHUTTING_DOWN, codes::TABLE_NOT_FOUND].contains(&error.code()) && !is_half_done
}

/// Reads everything back from a server whose disk is well, and takes what is there for what is possible.
async fn verify(data: &Path, possible: &mut Possible, case: &str) {
    let server = ServerProcess::start(binary(), data, [] as [&str; 0]);
    let client = Client::connect(&server.url()).await.expect("a connection");
    let listed = client.list("").await.expect("a list");
    for (table, states) in possible {
        let found = match listed.iter().find(|info| info.table.as_str() == *table) {
            None => None,
            Some(info) => Some((info.version.get(), read(&client, &info.ticket).await)),
        };
        let expand = |(version, puts): &(u64, Vec<usize>)| (*version, puts.iter().flat_map(|put| rows(*put)).collect());
        let is_found = |state: &State| state.as_ref().map(expand) == found;
        let state = states.iter().find(|state| is_found(state));
        let found = found.map(|(version, rows)| (version, rows.len()));
        let state = state.unwrap_or_else(|| panic!("{case}: `{table}` may be {states:?}, and is {found:?}"));
        *states = vec![state.clone()];
    }
}

async fn read(client: &Client, ticket: &str) -> Vec<i64> {
    let mut stream = client.get(ticket).await.expect("a version that is listed");
    let mut rows = Vec::new();
    while let Some(batch) = stream.next().await.expect("rows") {
        rows.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
    }
    rows
}

/// Says why the kernel cannot be asked to fail a call, if that is so.
fn no_strace() -> Option<String> {
    let options = ["-D", "-f", "-qq", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1", "-o", "/dev/null"];
    match Command::new("strace").args(options).arg("true").output() {
        Err(error) => Some(format!("no strace: {error}")),
        Ok(output) if !output.status.success() || !output.stderr.is_empty() => {
            Some(format!("strace cannot trace: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Ok(_) => None,
    }
}

/// Runs that differ in the number of the sync that fails, and what came of them.
#[derive(Debug)]
struct Series {
    calls: &'static str,
    /// Only those of this file or folder of the data folder.
    path: Option<&'static str>,
    starts_failed: usize,
    failed: usize,
    /// Of those that failed.
    in_doubt: usize,
}

impl Series {
    fn new(calls: &'static str, path: Option<&'static str>) -> Self {
        Self { calls, path, starts_failed: 0, failed: 0, in_doubt: 0 }
    }

    /// Fails the first sync, then the second, until there is none of that number any more.
    async fn run(&mut self, folder: &Path, possible: &mut Possible, number: &mut usize) {
        let data = folder.join("data");
        for nth in 1.. {
            assert!(nth < SYNCS_MAX, "a run takes no end of syncs");
            let case = format!("{} {nth} of {:?}", self.calls, self.path);
            let log = folder.join("calls");
            let log_text = log.to_str().expect("a path of text");
            let inject = format!("inject={}:error=EIO:when={nth}", self.calls);
            let trace = format!("trace={}", self.calls);
            let mut launcher = vec!["strace", "-D", "-f", "-qq", "-e", &trace, "-e", &inject, "-o", log_text];
            let path = self.path.map(|path| data.join(path).to_string_lossy().into_owned());
            launcher.extend(path.iter().flat_map(|path| ["-P", path]));
            match ServerProcess::start_by(&launcher, binary(), &data) {
                Ok(server) => self.ask_all(server, nth, possible, number).await,
                Err(_) => self.starts_failed += 1,
            }
            let calls = std::fs::read_to_string(&log).expect("the calls");
            verify(&data, possible, &case).await;
            if !calls.contains("INJECTED") {
                return;
            }
        }
    }

    async fn ask_all(&mut self, mut server: ServerProcess, nth: usize, possible: &mut Possible, number: &mut usize) {
        let client = Client::connect(&server.url()).await.expect("a connection");
        for _ in 0..REQUESTS {
            let outcome = ask(&client, *number).await;
            note(possible, *number, &outcome);
            *number += 1;
            let Err(error) = outcome else { continue };
            self.failed += 1;
            if !kept_nothing(&error) {
                self.in_doubt += 1;
                eventually("the server ends", || server.ended().is_some()).await;
                assert!(server.ended().is_some_and(|status| !status.success()), "it says that it failed");
                return;
            }
            // Every other time the process ends here, so that no later commit covers up what this one left behind.
            if nth.is_multiple_of(2) {
                break;
            }
        }
        server.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_the_nth_fsync_of_the_real_server_fails() {
    if let Some(reason) = no_strace() {
        println!("SKIPPED: d2_the_nth_fsync_of_the_real_server_fails: {reason}");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (mut possible, mut number): (Possible, _) = (TABLES.map(|table| (table, vec![None])).into(), 0);
    let mut all = Series::new("fsync,fdatasync", None);
    all.run(folder.path(), &mut possible, &mut number).await;
    assert!(all.starts_failed > 0 && all.in_doubt > 0, "{all:?}");
    // A segment that cannot be synced breaks its put off, and nothing else: the server goes on.
    for (calls, path) in [("fdatasync", None), ("fsync", Some("segments"))] {
        let mut series = Series::new(calls, path);
        series.run(folder.path(), &mut possible, &mut number).await;
        assert!(series.failed > 0 && series.in_doubt == 0 && series.starts_failed == 0, "{series:?}");
    }
}
