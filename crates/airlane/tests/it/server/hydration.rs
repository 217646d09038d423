//! A10: values that many rows share are sent and kept once.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use airlane_testkit::ServerProcess;
use arrow_array::builder::StringViewBuilder;
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_schema::{Field, Schema};

use super::harness::*;
use crate::cli::{Killed, airlane};

const ROWS: usize = 100_000;
/// Every row with a value of its own would make 3 GB.
const VALUE_BYTES: usize = 30_000;
/// What a server or a client may take for one such table, and for its buffers.
const MEMORY_BYTES_MAX: u64 = 256 << 20;

fn value() -> String {
    "a long value ".chars().cycle().take(VALUE_BYTES).collect()
}

fn batch_of(column: ArrayRef) -> RecordBatch {
    let field = Field::new("v", column.data_type().clone(), true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).expect("a batch")
}

/// `rows` rows with the one value, in each of the forms that share it.
fn forms(rows: usize) -> [(&'static str, RecordBatch); 3] {
    let values = Arc::new(StringArray::from(vec![value()]));
    let dictionary = DictionaryArray::<Int32Type>::try_new(Int32Array::from(vec![0; rows]), values.clone());
    let mut views = StringViewBuilder::new();
    let block = views.append_block(value().into_bytes().into());
    for _ in 0..rows {
        views.try_append_view(block, 0, VALUE_BYTES as u32).expect("a view of the block");
    }
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![rows as i32]), values.as_ref());
    [
        ("dictionary", batch_of(Arc::new(dictionary.expect("a dictionary")))),
        ("views", batch_of(Arc::new(views.finish()))),
        ("runs", batch_of(Arc::new(runs.expect("runs")))),
    ]
}

/// What the messages of a put take.
async fn bytes_put(name: &str, batch: &RecordBatch) -> usize {
    bytes_of(&encoded(name, std::slice::from_ref(batch)).await)
}

fn bytes_of(messages: &[arrow_flight::FlightData]) -> usize {
    messages.iter().map(|message| message.data_header.len() + message.data_body.len()).sum()
}

fn rows_of(messages: &[arrow_flight::FlightData]) -> i64 {
    let batches = messages.iter().filter_map(|message| {
        let header = arrow_ipc::root_as_message(&message.data_header).expect("a message");
        header.header_as_record_batch().map(|batch| batch.length())
    });
    batches.sum()
}

fn start(folder: &tempfile::TempDir) -> ServerProcess {
    let binary = Path::new(env!("CARGO_BIN_EXE_airlane"));
    ServerProcess::start(binary, &folder.path().join("data"), [] as [&str; 0])
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_a_dictionary_of_long_values_is_never_hydrated() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(&folder);
    let mut client = client_of(&format!("127.0.0.1:{}", server.port())).await;
    let memory = memory_of(server.id());
    for (form, batch) in forms(ROWS) {
        let sent = bytes_put(form, &batch).await;
        assert!(sent < 4 << 20, "{form}: {sent} bytes");
        put(&mut client, form, std::slice::from_ref(&batch)).await.expect(form);
        let messages = get_messages(&mut client, form).await.expect(form);
        assert_eq!(rows_of(&messages), ROWS as i64, "{form}");
        assert!(bytes_of(&messages) < 2 * sent, "{form}: {} bytes of {sent} that were put", bytes_of(&messages));
        for (start, end) in [(0, 1), (0, ROWS / 2), (12_345, 67_890), (ROWS - 1, ROWS)] {
            let ticket = format!("{form}?rows={start}-{end}");
            let messages = get_messages(&mut client, &ticket).await.expect(&ticket);
            assert_eq!(rows_of(&messages), (end - start) as i64, "{ticket}");
            assert!(bytes_of(&messages) < 2 * sent, "{ticket}: {} bytes of {sent}", bytes_of(&messages));
        }
        let (schema, read) = get(&mut client, form).await.expect(form);
        assert_eq!(schema.field(0).data_type(), batch.schema().field(0).data_type(), "{form} keeps its form");
        assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), ROWS, "{form}");
    }

    // Many appends, each with the value again, are merged behind.
    const APPENDS: usize = 100;
    for (form, batch) in forms(ROWS / APPENDS) {
        let name = format!("appended_{form}");
        let mut sent = 0;
        for _ in 0..APPENDS {
            sent += bytes_put(&name, &batch).await;
            let append = arrow_flight::FlightDescriptor::new_cmd(format!(r#"{{"path":"{name}","mode":"append"}}"#));
            put_messages(&mut client, encode(append, batch.schema(), vec![batch.clone()])).await.expect(&name);
        }
        let mut segments = u64::MAX;
        while segments > 64 {
            let action = arrow_flight::Action { r#type: "describe".into(), body: name.clone().into() };
            let result = client.do_action(action).await.expect("described").into_inner().message().await;
            let described = result.expect("described").expect("a result").body;
            let described: serde_json::Value = serde_json::from_slice(&described).expect("JSON");
            segments = described["segments"].as_u64().expect("a number");
            tokio::task::yield_now().await;
        }
        let messages = get_messages(&mut client, &name).await.expect(&name);
        assert_eq!(rows_of(&messages), ROWS as i64, "{name}");
        assert!(bytes_of(&messages) < 2 * sent, "{name}: {} bytes of {sent} that were put", bytes_of(&messages));
    }
    let grown = memory_of(server.id()).saturating_sub(memory);
    assert!(grown < MEMORY_BYTES_MAX, "the server took {grown} bytes");
}

/// A client without views and runs gets each row its value again, but the server never holds many of them.
#[tokio::test(flavor = "multi_thread")]
async fn a10_plain_types_are_sent_in_bounded_parts() {
    // 300 MB are enough to tell.
    const ROWS: usize = 10_000;
    const MEMORY_BYTES_MAX: u64 = 64 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(&folder);
    let mut client = client_of(&format!("127.0.0.1:{}", server.port())).await;
    for (form, batch) in forms(ROWS) {
        put(&mut client, form, &[batch]).await.expect(form);
        let before = memory_of(server.id());
        let mut request = tonic::Request::new(arrow_flight::Ticket::new(form));
        request.metadata_mut().insert("airlane-types", "plain".parse().expect("ascii"));
        let mut stream = client.do_get(request).await.expect(form).into_inner();
        let (mut rows, mut bytes, mut memory) = (0, 0, 0);
        while let Some(message) = stream.message().await.expect(form) {
            assert!(message.data_body.len() <= 2 << 20, "{form}: a message of {} bytes", message.data_body.len());
            rows += rows_of(std::slice::from_ref(&message));
            bytes += message.data_body.len();
            memory = memory.max(memory_of(server.id()));
        }
        assert_eq!(rows, ROWS as i64, "{form}");
        assert_eq!(bytes > ROWS * VALUE_BYTES, form != "dictionary", "{form}: {bytes} bytes");
        let grown = memory.saturating_sub(before);
        assert!(grown < MEMORY_BYTES_MAX, "{form}: the server took {grown} bytes");
    }
}

/// Text formats have no dictionaries: each row gets its value again, but not all of them at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a10_text_is_written_with_bounded_memory() {
    // 90 MB are enough to tell.
    const ROWS: usize = 3_000;
    const MEMORY_BYTES_MAX: u64 = 45 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(&folder);
    let mut client = client_of(&format!("127.0.0.1:{}", server.port())).await;
    for (form, batch) in forms(ROWS) {
        put(&mut client, form, &[batch]).await.expect(form);
        for format in ["csv", "ndjson"] {
            let mut command = airlane(folder.path());
            command.args(["get", form, "--format", format, "--url", &server.url()]).stdout(Stdio::piped());
            let mut client = Killed(command.spawn().expect("the client starts"));
            let (mut stdout, id) = (client.0.stdout.take().expect("a pipe"), client.0.id());
            // It holds its last rows as long as they are not taken, so it is there to be looked at.
            let (mut taken, mut memory, mut chunk) = (0, 0, vec![0; 1 << 20]);
            while taken < ROWS * VALUE_BYTES - (4 << 20) {
                let count = stdout.read(&mut chunk).expect("read");
                assert!(count > 0, "{form} as {format} ends after {taken} bytes");
                taken += count;
                memory = memory.max(memory_of(id));
            }
            assert!(memory < MEMORY_BYTES_MAX, "{form} as {format}: the client took {memory} bytes");
            while stdout.read(&mut chunk).expect("read") > 0 {}
            assert!(client.0.wait().expect("an end").success(), "{form} as {format}");
        }
    }
}
