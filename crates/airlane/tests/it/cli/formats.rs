//! Files of every format, in and out through a server.

use std::path::Path;

use airlane_format::{Format, ReadOptions};
use airlane_testkit::{ServerProcess, tables, workspace};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::{airlane, binary, succeed};

fn read(path: &Path) -> (SchemaRef, RecordBatch) {
    let reader = airlane_format::read_path(path, &ReadOptions::default()).expect("read");
    let schema = reader.schema();
    let batches = reader.collect::<Result<Vec<_>, _>>().expect("batches");
    let all = arrow_select::concat::concat_batches(&schema, &batches).expect("one batch");
    (schema, all)
}

#[test]
fn the_samples_come_back_the_same_in_every_format() {
    let folder = tempfile::tempdir().expect("folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    let run = |arguments: &[&str]| succeed(airlane(folder.path()).args(arguments).args(["--url", &server.url()]));
    for (format, _, extensions) in Format::TABLE {
        // Text takes its time in a build without optimization: the smaller table has the same kinds of columns.
        let is_text = format.is_text();
        let sample = if is_text { "planes" } else { "flights" };
        let original = workspace().join(format!("samples/{sample}.parquet"));
        let (schema, rows) = read(&original);
        run(&["put", sample, &original.display().to_string()]);
        let file = format!("{sample}.{}", extensions[0]);
        run(&["get", sample, "-o", &file]);
        let table = format!("again-{}", extensions[0]);
        run(&["put", &table, &file, "--durability", "ephemeral"]);
        let back = format!("back.{}", extensions[0]);
        run(&["get", &table, "-o", &back]);
        let (back_schema, back_rows) = read(&folder.path().join(&back));
        assert_eq!(back_rows.num_rows(), rows.num_rows(), "{format}");
        if is_text {
            // Types are inferred again: the texts are what must be the same.
            let text = |file: &str| std::fs::read(folder.path().join(file)).expect("file");
            assert!(text(&file) == text(&back), "{format} differs from its own copy");
        } else {
            assert_eq!(back_schema.fields(), schema.fields(), "{format}");
            assert_eq!(back_rows.columns(), rows.columns(), "{format}");
        }
    }
}

#[test]
fn packed_files_come_and_go_by_their_names() {
    let folder = tempfile::tempdir().expect("folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    let run = |arguments: &[&str]| succeed(airlane(folder.path()).args(arguments).args(["--url", &server.url()]));
    std::fs::write(folder.path().join("t.csv"), "n,text\n1,x\n2,\"y\nz\"\n").expect("written");
    run(&["put", "t", "t.csv"]);
    for (name, mark) in [
        ("t.csv.gz", &[0x1f, 0x8b][..]),
        ("t.ndjson.zst", &[0x28, 0xb5, 0x2f, 0xfd]),
        ("t.json.GZ", &[0x1f, 0x8b]),
        ("t.parquet.zst", &[0x28, 0xb5, 0x2f, 0xfd]),
    ] {
        run(&["get", "t", "-o", name]);
        assert!(std::fs::read(folder.path().join(name)).expect("file").starts_with(mark), "{name}");
        run(&["put", "again", name]);
        assert_eq!(run(&["get", "again", "--format", "csv"]), "n,text\n1,x\n2,\"y\nz\"\n", "{name}");
    }
    // Bytes decide, whatever the name is.
    let packed = std::fs::read(folder.path().join("t.csv.gz")).expect("file");
    std::fs::write(folder.path().join("plain.csv"), &packed).expect("written");
    run(&["put", "again", "plain.csv"]);
    std::fs::write(folder.path().join("short.csv.gz"), &packed[..packed.len() - 6]).expect("written");
    let (code, said) =
        super::fail(airlane(folder.path()).args(["put", "short", "short.csv.gz", "--url", &server.url()]));
    assert!(code == 10 && said.contains("end too early"), "{said}");
    assert!(!run(&["ls"]).contains("short"));
}

#[test]
fn every_type_comes_back_in_both_arrow_formats() {
    let folder = tempfile::tempdir().expect("folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    let run = |arguments: &[&str]| succeed(airlane(folder.path()).args(arguments).args(["--url", &server.url()]));
    let batch = tables::every_type();
    for (format, extension) in [(Format::ArrowFile, "arrow"), (Format::ArrowStream, "arrows")] {
        let path = folder.path().join(format!("types.{extension}"));
        let output = Box::new(std::fs::File::create(&path).expect("create"));
        let mut writer = airlane_format::writer(output, batch.schema(), format).expect("writer");
        writer.write(&batch).expect("write");
        writer.finish().expect("finish");
        run(&["put", extension, &path.display().to_string()]);
        let back = format!("back.{extension}");
        run(&["get", extension, "-o", &back]);
        let (schema, rows) = read(&folder.path().join(back));
        assert_eq!(schema.fields(), batch.schema().fields());
        for (field, (got, expected)) in schema.fields().iter().zip(rows.columns().iter().zip(batch.columns())) {
            assert_eq!(got.to_data(), expected.to_data(), "{} as {format}", field.name());
        }
    }
}
