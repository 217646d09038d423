//! Cases of rows that go.

use super::*;

/// The segments of these numbers go.
pub(super) fn rows(number: u8, stored: StoredVersion, numbers: &[u8]) -> Change {
    Change::ForgetRows { table: id(number), version: stored, segments: ids(numbers) }
}

/// A version that has its rows of an earlier put.
fn of_put(number: u64, rows: u64, put: u64) -> StoredVersion {
    StoredVersion { put: version(put, 0).version, ..version(number, rows) }
}

pub(super) fn first_rows(open: &mut Open) -> Result<(), Failure> {
    let content = replace(1, b"s", version(1, 6), &[1, 2, 3]);
    open().commit(&[create(1, "a"), content, append(1, version(2, 10), &[4])])?;
    open().commit(&[create(2, "b"), replace(2, b"s", version(1, 5), &[5])])?;
    let other = table(2, "b", b"s", &[version(1, 5)], &[5]);
    let left = table(1, "a", b"s", &[of_put(3, 7, 2)], &[3, 4]);
    commit_and_check(open, &[rows(1, of_put(3, 7, 2), &[1, 2])], &[left, other.clone()])?;
    let mut catalog = open();
    catalog.purge()?;
    bodies_are(&mut *catalog, &[3, 5], &[1])?;
    drop(catalog);
    // All of them may go; the table stays, and takes more.
    let changes = [rows(1, of_put(4, 0, 2), &[3, 4])];
    commit_and_check(open, &changes, &[table(1, "a", b"s", &[of_put(4, 0, 2)], &[]), other.clone()])?;
    bodies_are(&mut *open(), &[5], &[1, 3])?;
    let more = table(1, "a", b"s", &[of_put(4, 0, 2), version(5, 7)], &[7]);
    commit_and_check(open, &[append(1, version(5, 7), &[7])], &[more, other])
}

pub(super) fn refused_rows(open: &mut Open) -> Result<(), Failure> {
    open().commit(&[create(1, "a"), replace(1, b"s", version(1, 10), &[1, 2, 3, 4])])?;
    open().commit(&[create(2, "b"), replace(2, b"s", version(1, 5), &[5])])?;
    for (what, number, numbers) in [
        ("a segment in the middle", 2, &[2][..]),
        ("the first ones with a gap", 2, &[1, 3]),
        ("the first ones in another order", 2, &[2, 1]),
        ("a segment of another table", 2, &[1, 5]),
        ("an unknown segment", 2, &[9]),
        ("no segments", 2, &[]),
        ("a version that is there", 1, &[1]),
    ] {
        refused(what, open().commit(&[rows(1, version(number, 3), numbers)]))?;
    }
    let tables = [table(1, "a", b"s", &[version(1, 10)], &[1, 2, 3, 4]), table(2, "b", b"s", &[version(1, 5)], &[5])];
    commit_and_check(open, &[], &tables)?;
    bodies_are(&mut *open(), &[1, 3, 5], &[])
}
