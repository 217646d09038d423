//! Stock pyarrow opens segments and reads what stock arrow-rs would have sent.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use airlane_segment::Codec;
use airlane_segment::home::HomeKind;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::arbitrary::{Table, tables};
use super::compressed::compressed;
use super::empty::empty;
use super::homes::{small, write};
use super::property::{rows, stream};

const TABLES: usize = 150;

/// The interpreter that has pyarrow, or why there is none.
fn python() -> Result<PathBuf, String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = match std::env::var_os("AIRLANE_PYTHON") {
        Some(python) => PathBuf::from(python),
        None => workspace.join(".tools/python/bin/python"),
    };
    let found = Command::new(&python).args(["-c", "import pyarrow"]).output();
    match found {
        Ok(output) if output.status.success() => Ok(python),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("{}: {error}", python.display())),
    }
}

fn save(folder: &Path, number: usize, table: &Table) {
    for (index, segment) in write(table, small(), HomeKind::Heap).iter().enumerate() {
        fs::write(folder.join(format!("{number}-{index}.arrow")), segment.file_bytes()).unwrap();
        for (codec, suffix) in [(Codec::Lz4Frame, "by_lz4"), (Codec::Zstd, "by_zstd")] {
            // As after a pause before the first row.
            let messages: Vec<_> = empty(segment).into_iter().chain(compressed(segment, codec)).collect();
            fs::write(folder.join(format!("{number}-{index}.{suffix}")), stream(segment, &messages)).unwrap();
        }
    }
    fs::write(folder.join(format!("{number}.arrows")), stock_stream(table)).unwrap();
}

fn stock_stream(table: &Table) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &table.schema).unwrap();
    table.batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

/// Stock arrow-rs 59 forgets the offset of a union inside a sliced list, and is no witness then.
fn stock_writes_it(table: &Table) -> bool {
    let read = StreamReader::try_new(Cursor::new(stock_stream(table)), None).unwrap();
    read.collect::<Result<Vec<_>, _>>().is_ok_and(|read| rows(&read) == rows(&table.batches))
}

/// pyarrow cannot show two of the intervals as Python values, which is how dictionaries are compared.
fn can_be_compared(table: &Table) -> bool {
    table.schema.fields().iter().all(|field| {
        let name = field.data_type().to_string();
        !name.contains("Dictionary") || !(name.contains("YearMonth") || name.contains("DayTime"))
    })
}

#[test]
fn stock_pyarrow_opens_segments_and_reads_them_equal() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            println!("SKIPPED: stock_pyarrow_opens_segments_and_reads_them_equal: no pyarrow: {}", reason.trim());
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::deterministic();
    let comparable =
        tables().prop_filter("pyarrow can compare it", |table| can_be_compared(table) && stock_writes_it(table));
    for number in 0..TABLES {
        save(folder.path(), number, &comparable.new_tree(&mut runner).unwrap().current());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/layout/compare.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stdout.trim(), TABLES.to_string());
}
