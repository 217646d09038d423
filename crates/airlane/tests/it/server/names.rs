//! S7: names that are no names, by the thousand, at the door of a durable server.

use std::path::{Path, PathBuf};

use airlane_store::StoreOptions;
use arrow_flight::FlightDescriptor;
use regex::Regex;

use super::harness::*;
use super::tables::*;

const NAMES: usize = 5_000;
const SEED: u64 = 0x57A7_1C0D_E000_0007;

/// A seeded generator (SplitMix64), so that a failure comes again.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// What names of paths, devices and options are made of, with some innocent parts between.
const PIECES: [&str; 40] = [
    "..",
    "../",
    "../../",
    ".",
    "./",
    "/",
    "//",
    "...",
    "..;/",
    "%2e%2e",
    "%2e%2e%2f",
    "%2f",
    "%00",
    "%252e",
    "\\",
    "..\\",
    "C:",
    "C:\\",
    "\\\\?\\",
    "con",
    "nul",
    "aux.txt",
    "-rf",
    "--",
    "~",
    "~root",
    "$HOME",
    "`id`",
    "*",
    "\0",
    "\n",
    "\u{202e}",
    "\u{200f}",
    "\u{feff}",
    "\u{ff0e}\u{ff0e}",
    "\u{2215}",
    "PLAN-7",
    "prices",
    "eu",
    "v1.0",
];

/// A name of a few pieces, sometimes absolute, sometimes of 10 KB.
fn name(chance: &mut Chance, absolute: &Path) -> String {
    let pieces = chance.below(5) + 1;
    let mut name: String = (0..pieces).map(|_| chance.of(&PIECES)).collect();
    match chance.below(16) {
        0 => name = format!("{}/{name}", absolute.display()),
        1 => name = format!("/{name}"),
        2 => name = name.repeat(10_000 / name.len() + 1),
        3 => name = format!("{}.arrow", name),
        4 => name = format!("{}{}", "../".repeat(chance.below(40)), name),
        5 => name = format!("eu/{name}/prices"),
        _ => {}
    }
    name
}

/// One of the ways to say a name.
fn descriptor(chance: &mut Chance, name: &str) -> FlightDescriptor {
    match chance.below(4) {
        0 => FlightDescriptor::new_path(vec![name.to_owned()]),
        1 => FlightDescriptor::new_path(name.split('/').map(str::to_owned).collect()),
        2 => FlightDescriptor::new_cmd(name.to_owned()),
        _ => FlightDescriptor::new_cmd(serde_json::json!({ "path": name }).to_string()),
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match std::fs::symlink_metadata(&path).expect("an entry").is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn s7_hostile_names_make_no_file_outside_the_root() {
    // Deep enough that a few steps upwards stay inside.
    let folder = tempfile::tempdir().expect("a folder");
    let outside = folder.path().join("outside");
    let root = folder.path().join("a/b/c/d/data");
    for folder in [&outside, &root] {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    let data = root.clone();
    let server = TestServer::start_with(|store: &mut StoreOptions, _| store.folder = Some(data)).await;
    let mut client = server.client().await;
    // Large enough for a file of its own.
    let rows = numbers(0, 40_000);

    // The grammar, written down a second time.
    let grammar = Regex::new(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,7}\z").expect("a pattern");
    let run = Regex::new(r"\A(default/)?PLAN-[0-9]+\z").expect("a pattern");
    let is_name = |name: &str| grammar.is_match(name) && name.len() <= 255 && !run.is_match(name);
    let mut chance = Chance(SEED);
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for number in 0..NAMES {
        let name = name(&mut chance, &outside);
        let descriptor = descriptor(&mut chance, &name);
        let messages = encode(descriptor, rows.schema(), vec![rows.clone()]);
        match put_messages(&mut client, messages).await {
            Ok(receipt) => {
                assert!(is_name(&name) && is_name(receipt.table.as_str()), "{number}: {name:?} as {}", receipt.table);
                accepted.push(receipt.table.to_string());
            }
            Err(status) => {
                assert!(!is_name(&name), "{number}: {name:?}: {status}");
                assert!(status.message().contains("hint:"), "{number}: {name:?}: {status}");
                let codes =
                    ["table_name_invalid", "ticket_invalid", "descriptor_invalid", "option_invalid", "not_implemented"];
                assert!(codes.contains(&code_name(&status)), "{number}: {name:?}: {status}");
                refused += 1;
            }
        }
    }
    assert!(accepted.len() > 50 && refused > NAMES / 2, "{} accepted, {refused} refused", accepted.len());
    accepted.sort();
    accepted.dedup();
    assert_eq!(server.tables(), accepted);

    let kept = Regex::new(
        r"\A(LOCK|FORMAT|ticket-keys|catalog\.(db|db-wal|db-shm|reserve)|damaged|segments/[0-9a-f]{32}\.arrow)\z",
    );
    let kept = kept.expect("a pattern");
    let found = files(folder.path());
    for path in &found {
        let inside = path.strip_prefix(&root).unwrap_or_else(|_| panic!("{} is outside of the root", path.display()));
        assert!(kept.is_match(&inside.to_string_lossy()), "{} is no file of the store", path.display());
    }
    let segments = found.iter().filter(|path| path.extension().is_some_and(|extension| extension == "arrow")).count();
    assert!(segments >= accepted.len(), "{segments} files of {} tables", accepted.len());
}
