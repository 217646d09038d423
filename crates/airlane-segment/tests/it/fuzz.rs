//! Mutations of valid streams, without a fuzzer: seconds of them in every test run, as many as wanted by
//! `AIRLANE_FUZZ_ITERATIONS`.
//!
//! Each iteration draws from a generator that begins with the iteration's number, so that a failure is found again from
//! the number alone: `AIRLANE_FUZZ_FIRST=<number> AIRLANE_FUZZ_ITERATIONS=1`. The input of a failure is written to
//! `fuzz/corpus/<target>/regressions/`, and everything in there is tried again by every later run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use airlane_segment::WriterOptions;
use airlane_segment::decode::decode_panics;

use crate::memory::peak;
use crate::stream::{self, Piece};
use crate::{corpus, drive};

const ITERATIONS: u64 = 10_000;

/// What an input of a few KiB may hold at its height in this thread, decoded, laid out twice and compared: twice what
/// [`drive::limits`] allows for a body. It was 0.3 MiB in ten thousand mutations.
const PEAK_BYTES_MAX: isize = 16 << 20;

/// xorshift64*, which needs no more than a number to begin with.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Numbers at which something may turn over.
const EDGES: [i64; 20] = [
    0,
    1,
    2,
    7,
    8,
    63,
    64,
    127,
    128,
    255,
    65_535,
    1 << 24,
    i32::MAX as i64,
    1 << 31,
    1 << 40,
    1 << 62,
    i64::MAX,
    i64::MIN,
    -1,
    -2,
];

fn mutate(pieces: &mut Vec<Piece>, others: &[Vec<Piece>], dice: &mut Dice) {
    let index = dice.below(pieces.len());
    if dice.below(16) == 0 {
        match dice.below(4) {
            0 => drop(pieces.remove(index)),
            1 => pieces.insert(index, pieces[index].clone()),
            2 => {
                let other = dice.below(pieces.len());
                pieces.swap(index, other);
            }
            _ => {
                let other = &others[dice.below(others.len())];
                pieces[index] = other[dice.below(other.len())].clone();
            }
        }
        return;
    }
    let piece = &mut pieces[index];
    let bytes = if dice.below(3) == 0 && !piece.body.is_empty() { &mut piece.body } else { &mut piece.header };
    if bytes.is_empty() {
        return;
    }
    let position = dice.below(bytes.len());
    match dice.below(8) {
        0..3 => bytes[position] ^= 1 << dice.below(8),
        3..7 => {
            let width = [1, 2, 4, 8][dice.below(4)];
            let start = position / width * width;
            let edge = EDGES[dice.below(EDGES.len())];
            let near = edge.wrapping_add(dice.below(3) as i64 - 1).to_le_bytes();
            let end = (start + width).min(bytes.len());
            bytes[start..end].copy_from_slice(&near[..end - start]);
        }
        _ => bytes.truncate(position),
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a whole number"))
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

/// Mutates the messages of valid streams, `whole` or their schema alone, and runs a target on each result. An input
/// that breaks a promise is kept.
fn mutations(target: &str, whole: bool, run: impl Fn(&[u8])) {
    let mut seeds: Vec<Vec<Piece>> = corpus::seeds().iter().map(|(_, bytes)| stream::split(bytes)).collect();
    if !whole {
        seeds.iter_mut().for_each(|pieces| pieces.truncate(1));
    }
    let first = setting("AIRLANE_FUZZ_FIRST", 0);
    for iteration in first..first + setting("AIRLANE_FUZZ_ITERATIONS", ITERATIONS) {
        let mut dice = Dice::new(iteration);
        let mut pieces = seeds[dice.below(seeds.len())].clone();
        for _ in 0..=dice.below(3) {
            mutate(&mut pieces, &seeds, &mut dice);
            if pieces.is_empty() {
                break;
            }
        }
        let input = match (whole, pieces.first()) {
            (false, Some(schema)) => schema.header.clone(),
            _ => stream::join(&pieces),
        };
        let panics = decode_panics();
        let outcome = catch_unwind(AssertUnwindSafe(|| peak(|| run(&input))));
        if outcome.is_err() || decode_panics() > panics || outcome.is_ok_and(|bytes| bytes > PEAK_BYTES_MAX) {
            let folder = folder(target).join("regressions");
            std::fs::create_dir_all(&folder).expect("a folder for regressions");
            let path = folder.join(format!("mutation-{iteration}"));
            std::fs::write(&path, input).expect("writes the regression");
            let path = path.display();
            panic!(
                "{target}: mutation {iteration} broke a promise or the decoder, or took too much; its input is {path}"
            );
        }
    }
}

#[test]
fn f1_mutated_streams_are_refused_or_valid() {
    mutations("f1_decode", true, |input| drop(drive::stream(input)));
}

#[test]
fn f2_mutated_schemas_are_refused_or_canonical() {
    mutations("f2_schema", false, |input| drop(drive::schema(input)));
}

/// The mutations must be able to find something: without the check they do so at once.
#[test]
fn canary_the_stock_reader_fails_on_the_same_mutations() {
    let seeds: Vec<Vec<Piece>> =
        corpus::seeds().iter().filter(|(name, _)| name.ends_with("plain")).map(|(_, it)| stream::split(it)).collect();
    let panicked = (0..2_000).any(|iteration| {
        let mut dice = Dice::new(iteration);
        let mut pieces = seeds[dice.below(seeds.len())].clone();
        mutate(&mut pieces, &seeds, &mut dice);
        let input = stream::join(&pieces);
        let read = || {
            let reader = arrow_ipc::reader::StreamReader::try_new(input.as_slice(), None);
            reader.map(|reader| reader.map_while(Result::ok).filter(|batch| batch.num_rows() < 1_000).count())
        };
        catch_unwind(AssertUnwindSafe(read)).is_err()
    });
    assert!(panicked, "no mutation made the stock reader panic: the mutations are too tame");
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((path.display().to_string(), std::fs::read(&path).expect("a readable file")));
            }
        }
    }
    files.sort();
    files
}

fn replay(target: &str, at_least: usize, run: impl Fn(&[u8])) {
    let files = files(&folder(target));
    assert!(files.len() >= at_least, "{} files for {target}", files.len());
    for (name, input) in files {
        let panics = decode_panics();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&input)));
        assert!(outcome.is_ok() && decode_panics() == panics, "{target}: {name}");
    }
}

#[test]
fn a3_the_corpus_is_replayed_without_a_panic() {
    replay("f1_decode", corpus::seeds().len(), |input| drop(drive::stream(input)));
    replay("f2_schema", 1, |input| drop(drive::schema(input)));
    replay("f7_open", 5, |input| drop(drive::open(input)));
}

/// The files that broke other readers, from a clone of <https://github.com/apache/arrow-testing>.
#[test]
#[ignore = "manual: needs a clone of apache/arrow-testing, named by AIRLANE_ARROW_TESTING"]
fn a3_what_broke_others_is_replayed_without_a_panic() {
    let folder = std::env::var_os("AIRLANE_ARROW_TESTING").expect("AIRLANE_ARROW_TESTING names the clone");
    let mut files = files(&Path::new(&folder).join("data"));
    files.retain(|(name, _)| name.contains("arrow-ipc"));
    assert!(!files.is_empty(), "the clone has no folder data/arrow-ipc-stream");
    for (name, input) in files {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            // Between its magic and its footer a file is a stream.
            drop(drive::stream(input.strip_prefix(b"ARROW1\0\0").unwrap_or(&input)));
            drop(drive::open(&input));
        }));
        assert!(outcome.is_ok() && decode_panics() == 0, "{name}");
    }
}

/// `AIRLANE_UPDATE_SEEDS=1` writes the seeds anew, for instance after a type was added.
#[test]
fn the_seeds_are_committed() {
    let update = std::env::var_os("AIRLANE_UPDATE_SEEDS").is_some();
    let mut seeds: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for (name, bytes) in corpus::seeds() {
        if let (true, Some(schema)) = (name.ends_with("plain"), stream::split(&bytes).first()) {
            seeds.push((folder("f2_schema").join("seeds").join(&name), schema.header.clone()));
        }
        if ["utf8-plain", "deltas-plain", "every_column-plain"].contains(&name.as_str()) {
            let segments = drive::take_in(&bytes, 4096, WriterOptions::default()).expect("a valid stream");
            let file = segments[0].file_bytes().to_vec();
            seeds.push((folder("f7_open").join("seeds").join(format!("segment_{name}")), file));
        }
        seeds.push((folder("f1_decode").join("seeds").join(&name), bytes));
    }
    for (path, bytes) in seeds {
        if update {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for seeds");
            std::fs::write(&path, bytes).expect("writes the seed");
        }
        assert!(path.is_file(), "{} is missing: run this test with AIRLANE_UPDATE_SEEDS=1", path.display());
    }
}
