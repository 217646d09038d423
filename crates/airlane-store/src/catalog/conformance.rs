//! What every catalog must do, as cases that an implementation runs against itself.

mod forget;
mod keys;

use airlane_model::{Result, Retention, RetentionChange, SegmentId, TableId, TableName, TicketId, Timestamp, Version};
use bytes::Bytes;

use super::{
    Catalog, Change, CommitError, NewSegment, Place, StoredDictionary, StoredSegment, StoredTable, StoredVersion,
};
use crate::catalog::counts::{Counted, StoredCount, StoredCounts, Until};
use crate::uptime::Uptime;

/// Opens one catalog; once more after the earlier one was dropped, with what that one committed.
pub type Open = Box<dyn FnMut() -> Box<dyn Catalog>>;

/// Runs every case, each on a new, empty catalog.
///
/// # Panics
/// When a case fails, with its name.
pub fn run(mut subject: impl FnMut() -> Open) {
    for (name, case) in CASES {
        let outcome = case(&mut subject());
        assert!(outcome.is_ok(), "catalog case `{name}`: {outcome:?}");
    }
}

type Case = fn(&mut Open) -> Result<(), Failure>;

const CASES: &[(&str, Case)] = &[
    ("an empty catalog holds nothing", empty),
    ("a table comes back as it was committed", round_trip),
    ("appends follow one another", appends),
    ("old versions are forgotten when told so", forgets),
    ("a replace begins anew", replaces),
    ("a merge keeps its place among the others", merges),
    ("what a merge may not do is refused", merges_refused),
    ("the first rows go, with all versions before", forget::first_rows),
    ("rows that are not the first do not go", forget::refused_rows),
    ("a retention is kept, and forgets versions", retains),
    ("the owner is whoever put the whole content", owns),
    ("the uptime is the last one that was saved", saves_uptime),
    ("a drop forgets everything", drops),
    ("counts of reads are kept, one for each ticket and table", counts),
    ("a refused change takes the whole commit back", atomic),
    ("a commit may hold changes that build on one another", chained),
    ("tables come in the order of their names", ordered),
    ("the keys of puts are kept apart and in order", keys::keeps),
    ("the keys of puts outlive their tables", keys::outlive_tables),
    ("the oldest keys are forgotten when told so", keys::forget),
    ("a refused change takes keys back too", keys::atomic),
    ("keys have the hash that they always had", keys::hashes_are_fixed),
];

/// What went wrong in a case.
#[derive(Debug)]
enum Failure {
    #[expect(dead_code, reason = "shown by Debug")]
    Differs(String),
    #[expect(dead_code, reason = "shown by Debug")]
    Failed(airlane_model::Error),
    #[expect(dead_code, reason = "shown by Debug")]
    Refused(CommitError),
}

impl From<airlane_model::Error> for Failure {
    fn from(error: airlane_model::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        Self::Refused(error)
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, expected: &T) -> Result<(), Failure> {
    if got == expected {
        return Ok(());
    }
    Err(Failure::Differs(format!("{what}: got {got:?}, expected {expected:?}")))
}

fn refused(what: &str, outcome: Result<(), CommitError>) -> Result<(), Failure> {
    match outcome {
        Err(CommitError::RolledBack(_)) => Ok(()),
        other => Err(Failure::Differs(format!("{what}: expected a refusal, got {other:?}"))),
    }
}

/// Commits, and compares what is there before and after the catalog is opened again.
fn commit_and_check(open: &mut Open, changes: &[Change], expected: &[StoredTable]) -> Result<(), Failure> {
    let mut catalog = open();
    catalog.commit(changes)?;
    same("before it is opened again", &catalog.load()?, &expected.to_vec())?;
    drop(catalog);
    same("after it is opened again", &open().load()?, &expected.to_vec())
}

fn id(number: u8) -> TableId {
    TableId::from_bytes([number; 16])
}

fn name(text: &str) -> TableName {
    TableName::parse(text).expect("the cases use valid names")
}

fn version(number: u64, rows: u64) -> StoredVersion {
    let version = Version::new(number).expect("the cases count from 1");
    let committed = Timestamp::from_micros(1_000_000 + rows as i64);
    StoredVersion { version, rows, bytes: rows * 8, committed, uptime: Uptime::from_micros(rows), put: version }
}

/// A segment of `number` rows whose odd numbers are small ones, kept in the catalog.
fn segment(number: u8) -> NewSegment {
    let body = (number % 2 == 1).then(|| Bytes::from(vec![number; 5_000]));
    let place = if body.is_some() { Place::Catalog } else { Place::File };
    let facts = StoredSegment {
        id: SegmentId::from_bytes([number; 16]),
        rows: number.into(),
        payload_bytes: u64::from(number) * 64,
        file_bytes: 5_000,
        checksum: u64::MAX - u64::from(number),
        place,
        dictionaries: (0..u64::from(number) % 3)
            .map(|id| StoredDictionary { hash: u64::MAX - id, bytes: 64 })
            .collect(),
        uptime: Uptime::from_micros(u64::from(number) * 10),
    };
    NewSegment { facts, body }
}

fn segments(numbers: &[u8]) -> Vec<NewSegment> {
    numbers.iter().copied().map(segment).collect()
}

fn facts(numbers: &[u8]) -> Vec<StoredSegment> {
    numbers.iter().copied().map(|number| segment(number).facts).collect()
}

fn ids(numbers: &[u8]) -> Vec<SegmentId> {
    numbers.iter().copied().map(|number| segment(number).facts.id).collect()
}

fn create(number: u8, text: &str) -> Change {
    Change::CreateTable { id: id(number), name: name(text), created: Timestamp::from_micros(-7) }
}

fn replace(number: u8, schema: &'static [u8], stored: StoredVersion, numbers: &[u8]) -> Change {
    let schema = Bytes::from_static(schema);
    Change::ReplaceContent { table: id(number), owner: None, schema, version: stored, segments: segments(numbers) }
}

fn append(number: u8, stored: StoredVersion, numbers: &[u8]) -> Change {
    Change::AppendContent { table: id(number), version: stored, segments: segments(numbers), keep_from: Version::FIRST }
}

fn merge(number: u8, old: &[u8], new: &[u8]) -> Change {
    Change::ReplaceSegments { table: id(number), old: ids(old), new: segments(new) }
}

fn table(number: u8, text: &str, schema: &'static [u8], versions: &[StoredVersion], numbers: &[u8]) -> StoredTable {
    StoredTable {
        id: id(number),
        name: name(text),
        created: Timestamp::from_micros(-7),
        owner: None,
        retention: Retention::default(),
        schema: Bytes::from_static(schema),
        versions: versions.to_vec(),
        segments: facts(numbers),
        damage: None,
    }
}

fn retention(rules: &[(&str, &str)]) -> Retention {
    let change = rules.iter().map(|(rule, text)| RetentionChange::of(rule, text).expect("the cases use valid rules"));
    change.fold(Retention::default(), |retention, change| change.apply(retention))
}

fn retain(number: u8, retention: Retention, keep_from: u64) -> Change {
    Change::SetRetention { table: id(number), retention, keep_from: version(keep_from, 0).version }
}

fn bodies_are(catalog: &mut dyn Catalog, there: &[u8], gone: &[u8]) -> Result<(), Failure> {
    for number in there {
        let expected = segment(*number).body.unwrap_or_default();
        same("the body of a segment", &catalog.body(segment(*number).facts.id)?, &expected)?;
    }
    for number in gone {
        let found = catalog.body(segment(*number).facts.id).is_ok();
        same("whether a body that is not there is found", &found, &false)?;
    }
    Ok(())
}

fn empty(open: &mut Open) -> Result<(), Failure> {
    commit_and_check(open, &[], &[])?;
    bodies_are(&mut *open(), &[], &[1])
}

fn round_trip(open: &mut Open) -> Result<(), Failure> {
    let changes = [create(1, "eu/prices"), replace(1, b"schema", version(1, 6), &[1, 2, 3])];
    commit_and_check(open, &changes, &[table(1, "eu/prices", b"schema", &[version(1, 6)], &[1, 2, 3])])?;
    bodies_are(&mut *open(), &[1, 3], &[2])
}

fn appends(open: &mut Open) -> Result<(), Failure> {
    open().commit(&[create(1, "a"), replace(1, b"s", version(1, 1), &[1])])?;
    open().commit(&[append(1, version(2, 3), &[2]), append(1, version(3, 3), &[])])?;
    let versions = [version(1, 1), version(2, 3), version(3, 3), version(4, 10)];
    commit_and_check(open, &[append(1, version(4, 10), &[3, 4])], &[table(1, "a", b"s", &versions, &[1, 2, 3, 4])])?;
    refused("a version twice", open().commit(&[append(1, version(4, 10), &[5])]))
}

fn forgets(open: &mut Open) -> Result<(), Failure> {
    open().commit(&[create(1, "a"), replace(1, b"s", version(1, 1), &[1]), append(1, version(2, 3), &[2])])?;
    let Change::AppendContent { table: number, version: stored, segments, .. } = append(1, version(3, 6), &[3]) else {
        return Ok(());
    };
    let change = Change::AppendContent { table: number, version: stored, segments, keep_from: version(2, 0).version };
    commit_and_check(open, &[change], &[table(1, "a", b"s", &[version(2, 3), version(3, 6)], &[1, 2, 3])])
}

fn replaces(open: &mut Open) -> Result<(), Failure> {
    open().commit(&[create(1, "a"), replace(1, b"s", version(1, 1), &[1]), append(1, version(2, 3), &[2])])?;
    let replaced = [table(1, "a", b"other", &[version(3, 7)], &[7])];
    commit_and_check(open, &[replace(1, b"other", version(3, 7), &[7])], &replaced)?;
    bodies_are(&mut *open(), &[7], &[1])
}

fn merges(open: &mut Open) -> Result<(), Failure> {
    let versions = [version(1, 15), version(2, 15)];
    let content = replace(1, b"s", versions[0], &[1, 2, 3, 4, 5]);
    open().commit(&[create(1, "a"), content, append(1, versions[1], &[6])])?;
    let merged = [table(1, "a", b"s", &versions, &[1, 11, 5, 6])];
    commit_and_check(open, &[merge(1, &[2, 3, 4], &[11])], &merged)?;
    bodies_are(&mut *open(), &[1, 5, 11], &[3])?;
    let merged = [table(1, "a", b"s", &versions, &[12, 13, 5, 6])];
    commit_and_check(open, &[merge(1, &[1, 11], &[12, 13])], &merged)?;
    let merged = [table(1, "a", b"s", &[versions[0], versions[1], version(3, 20)], &[14, 7])];
    commit_and_check(open, &[merge(1, &[12, 13, 5, 6], &[14]), append(1, version(3, 20), &[7])], &merged)
}

fn merges_refused(open: &mut Open) -> Result<(), Failure> {
    open().commit(&[create(1, "a"), replace(1, b"s", version(1, 10), &[1, 2, 3, 4])])?;
    open().commit(&[create(2, "b"), replace(2, b"s", version(1, 5), &[5])])?;
    for (what, old, new) in [
        ("a run with a gap", &[1, 3][..], &[11][..]),
        ("a run in another order", &[2, 1], &[11]),
        ("a segment of another table", &[4, 5], &[11]),
        ("an unknown segment", &[9], &[11]),
        ("no segments", &[], &[11]),
        ("nothing in their place", &[1, 2], &[]),
        ("more segments than before", &[1], &[11, 12]),
    ] {
        refused(what, open().commit(&[merge(1, old, new)]))?;
    }
    let tables = [table(1, "a", b"s", &[version(1, 10)], &[1, 2, 3, 4]), table(2, "b", b"s", &[version(1, 5)], &[5])];
    commit_and_check(open, &[], &tables)?;
    bodies_are(&mut *open(), &[1, 3, 5], &[11])
}

fn retains(open: &mut Open) -> Result<(), Failure> {
    let all = retention(&[("ttl", "1h"), ("idle", "10m"), ("versions", "2"), ("pinned", "true")]);
    let changes =
        [create(1, "a"), retain(1, all, 1), replace(1, b"s", version(1, 1), &[1]), append(1, version(2, 3), &[2])];
    let mut expected = table(1, "a", b"s", &[version(1, 1), version(2, 3)], &[1, 2]);
    expected.retention = all;
    commit_and_check(open, &changes, &[expected.clone()])?;
    expected.versions.remove(0);
    expected.retention = retention(&[("versions", "1")]);
    commit_and_check(open, &[retain(1, expected.retention, 2)], &[expected.clone()])?;
    refused("a version that is not there yet", open().commit(&[retain(1, all, 3)]))?;
    refused("a table that is not there", open().commit(&[retain(2, all, 1)]))?;
    // A new content keeps it.
    expected = StoredTable { retention: expected.retention, ..table(1, "a", b"t", &[version(3, 3)], &[3]) };
    commit_and_check(open, &[replace(1, b"t", version(3, 3), &[3])], &[expected.clone()])?;
    expected.retention = Retention::default();
    commit_and_check(open, &[retain(1, Retention::default(), 1)], &[expected])
}

fn owns(open: &mut Open) -> Result<(), Failure> {
    let owned = |owner: Option<&str>, schema, stored, numbers| match replace(1, schema, stored, numbers) {
        Change::ReplaceContent { table, schema, version, segments, .. } => {
            Change::ReplaceContent { table, owner: owner.map(Into::into), schema, version, segments }
        }
        other => other,
    };
    let mut expected = StoredTable { owner: Some("ada".into()), ..table(1, "a", b"s", &[version(1, 1)], &[1]) };
    commit_and_check(open, &[create(1, "a"), owned(Some("ada"), b"s", version(1, 1), &[1])], &[expected.clone()])?;
    // Neither an append nor a retention makes it another's.
    expected = StoredTable { owner: expected.owner, ..table(1, "a", b"s", &[version(1, 1), version(2, 3)], &[1, 2]) };
    expected.retention = retention(&[("ttl", "1h")]);
    commit_and_check(open, &[append(1, version(2, 3), &[2]), retain(1, expected.retention, 1)], &[expected.clone()])?;
    let bob = owned(Some("bob, \u{1f980} 'of' eu"), b"t", version(3, 3), &[3]);
    refused("a commit with a refused change", open().commit(&[bob.clone(), create(2, "a")]))?;
    commit_and_check(open, &[], &[expected.clone()])?;
    expected = StoredTable { retention: expected.retention, ..table(1, "a", b"t", &[version(3, 3)], &[3]) };
    expected.owner = Some("bob, \u{1f980} 'of' eu".into());
    commit_and_check(open, &[bob], &[expected.clone()])?;
    expected = StoredTable { retention: expected.retention, ..table(1, "a", b"u", &[version(4, 5)], &[5]) };
    commit_and_check(open, &[owned(None, b"u", version(4, 5), &[5])], &[expected])
}

fn saves_uptime(open: &mut Open) -> Result<(), Failure> {
    let save = |micros| Change::SaveUptime { uptime: Uptime::from_micros(micros) };
    same("before the first", &open().saved_uptime()?, &Uptime::default())?;
    open().commit(&[save(5), create(1, "a"), replace(1, b"s", version(1, 1), &[1])])?;
    same("the first", &open().saved_uptime()?, &Uptime::from_micros(5))?;
    open().commit(&[save(9)])?;
    refused("a commit with a refused change", open().commit(&[save(11), create(2, "a")]))?;
    same("the last that was kept", &open().saved_uptime()?, &Uptime::from_micros(9))
}

fn counts(open: &mut Open) -> Result<(), Failure> {
    let until = Until { uptime: Uptime::from_micros(7), wall: Timestamp::from_micros(-9) };
    let ticket = |number, used| StoredCount { of: Counted::Ticket(TicketId::from_bytes([number; 16])), used, until };
    let of_table = |number, stored: u64, used| {
        let of = Counted::Table(id(number), version(stored, 0).version);
        StoredCount { of, used, until: Until::default() }
    };
    let set = |count| Change::SetCount { count };
    let check = |open: &mut Open, expected: &[StoredCount]| {
        let expected = StoredCounts { counts: expected.to_vec(), damaged: Vec::new() };
        same("the counts", &open().counts()?, &expected)
    };
    check(open, &[])?;
    open().commit(&[create(1, "a"), replace(1, b"s", version(1, 1), &[1]), set(ticket(1, 1)), set(ticket(2, 5))])?;
    // A ticket and a table may have the same id: they are counted apart.
    open().commit(&[set(of_table(1, 1, 2)), set(ticket(1, 2))])?;
    check(open, &[ticket(1, 2), ticket(2, 5), of_table(1, 1, 2)])?;
    open().commit(&[set(of_table(1, 2, 1)), Change::ForgetCount { of: ticket(2, 0).of }])?;
    check(open, &[ticket(1, 2), of_table(1, 2, 1)])?;
    let wrong = [set(ticket(1, 3)), Change::ForgetCount { of: ticket(1, 0).of }, set(ticket(9, 1))];
    let drop = Change::DropTable { table: id(1) };
    refused(
        "a commit with a refused change",
        open().commit(&[&wrong[..], &[drop.clone(), create(2, "b"), create(3, "b")]].concat()),
    )?;
    check(open, &[ticket(1, 2), of_table(1, 2, 1)])?;
    open().commit(&[drop])?;
    check(open, &[ticket(1, 2)])
}

fn drops(open: &mut Open) -> Result<(), Failure> {
    open().commit(&[create(1, "a"), replace(1, b"s", version(1, 1), &[1]), append(1, version(2, 3), &[2])])?;
    commit_and_check(open, &[Change::DropTable { table: id(1) }], &[])?;
    let mut catalog = open();
    catalog.purge()?;
    bodies_are(&mut *catalog, &[], &[1])?;
    drop(catalog);
    refused("a second drop", open().commit(&[Change::DropTable { table: id(1) }]))?;
    let again = [create(2, "a"), replace(2, b"t", version(1, 3), &[3])];
    commit_and_check(open, &again, &[table(2, "a", b"t", &[version(1, 3)], &[3])])
}

fn atomic(open: &mut Open) -> Result<(), Failure> {
    let there = [create(1, "a"), replace(1, b"s", version(1, 3), &[1, 2]), append(1, version(2, 6), &[3])];
    let expected = [table(1, "a", b"s", &[version(1, 3), version(2, 6)], &[1, 2, 3])];
    open().commit(&there)?;
    let Change::AppendContent { table: number, version: stored, segments, .. } = append(1, version(3, 10), &[4]) else {
        return Ok(());
    };
    let forgetting = Change::AppendContent { table: number, version: stored, segments, keep_from: stored.version };
    for before in [
        vec![create(2, "b"), replace(2, b"s", version(1, 4), &[4])],
        vec![append(1, version(3, 11), &[5])],
        vec![forgetting],
        vec![retain(1, retention(&[("ttl", "1h")]), 2)],
        vec![merge(1, &[1, 2], &[11])],
        vec![forget::rows(1, version(3, 3), &[1, 2])],
        vec![replace(1, b"t", version(3, 7), &[7]), append(1, version(4, 16), &[9])],
        vec![Change::DropTable { table: id(1) }],
        vec![Change::DropTable { table: id(1) }, create(2, "a"), replace(2, b"t", version(1, 13), &[13])],
    ] {
        for last in [create(3, "b"), append(9, version(1, 1), &[15]), merge(1, &[3, 2], &[15])] {
            let mut changes = vec![create(4, "b")];
            changes.extend(before.iter().cloned());
            // The name `b` is taken by the first change, in whichever way the commit goes on.
            changes.extend([last, create(5, "b")]);
            let mut catalog = open();
            refused("a commit with a refused change", catalog.commit(&changes))?;
            same("after the refusal", &catalog.load()?, &expected.to_vec())?;
            bodies_are(&mut *catalog, &[1, 3], &[5, 7, 9, 11, 13, 15])?;
        }
    }
    commit_and_check(open, &[], &expected)
}

fn chained(open: &mut Open) -> Result<(), Failure> {
    let changes = [
        create(1, "a"),
        replace(1, b"s", version(1, 1), &[1]),
        append(1, version(2, 4), &[3]),
        merge(1, &[1, 3], &[5]),
        create(2, "b"),
        replace(2, b"s", version(1, 7), &[7]),
        Change::DropTable { table: id(2) },
        create(3, "b"),
        replace(3, b"t", version(1, 9), &[9]),
        replace(3, b"u", version(2, 11), &[11]),
    ];
    let tables =
        [table(1, "a", b"s", &[version(1, 1), version(2, 4)], &[5]), table(3, "b", b"u", &[version(2, 11)], &[11])];
    commit_and_check(open, &changes, &tables)?;
    bodies_are(&mut *open(), &[5, 11], &[1, 3, 7, 9])
}

fn ordered(open: &mut Open) -> Result<(), Failure> {
    let names = ["b", "B", "a/z", "a.b", "_", "a/b/c", "0"];
    for (number, text) in (1..).zip(names) {
        open().commit(&[create(number, text), replace(number, b"s", version(1, 2), &[number * 2])])?;
    }
    let mut sorted = names;
    sorted.sort_unstable();
    let loaded = open().load()?;
    let loaded: Vec<&str> = loaded.iter().map(|table| table.name.as_str()).collect();
    same("the names", &loaded, &sorted.to_vec())
}
