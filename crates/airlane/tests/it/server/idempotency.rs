//! Puts with idempotency keys over the wire: by header, by command, and by clients that lose the answer.

use arrow_flight::FlightDescriptor;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request, Status};

use super::harness::*;
use super::raw::*;
use super::rights::{guarded, token_of, with};
use super::tables::*;

const KEY: &str = "airlane-idempotency-key";
const APPEND: [(&str, &str); 2] = [(KEY, "run 7"), ("airlane-mode", "append")];

fn keyed(
    name: &str,
    key: &str,
    first: i64,
    rows: usize,
) -> Request<impl futures::Stream<Item = arrow_flight::FlightData> + use<>> {
    let messages = encode(by_path(name), numbers_schema(), vec![numbers(first, rows)]);
    let mut request = Request::new(messages);
    request.metadata_mut().insert(KEY, key.parse().expect("a header"));
    request.metadata_mut().insert("airlane-mode", "append".parse().expect("a header"));
    request
}

fn version(server: &TestServer, name: &str) -> u64 {
    let tables = server.handle.exchange().list(&airlane_model::Caller::local(), name);
    tables.first().map_or(0, |info| info.version.get())
}

fn is_conflict(status: &Status) {
    assert_eq!((status.code(), code_name(status)), (Code::AlreadyExists, "idempotency_conflict"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_put_is_repeated_on_every_way() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let receipt = put_request(&mut client, keyed("t", "run 7", 0, 1_000)).await.expect("a put");
    assert_eq!(put_request(&mut client, keyed("t", "run 7", 0, 1_000)).await.expect("the same"), receipt);
    // Compressed calls take another way through the server.
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut client = server.client().await.send_compressed(encoding);
        assert_eq!(put_request(&mut client, keyed("t", "run 7", 0, 1_000)).await.expect("the same"), receipt);
        is_conflict(&put_request(&mut client, keyed("t", "run 7", 0, 1_001)).await.expect_err("other rows"));
    }
    is_conflict(&put_request(&mut client, keyed("t", "run 7", 1, 1_000)).await.expect_err("other rows"));
    // The command says the same as the headers.
    let command = |command: &str| FlightDescriptor::new_cmd(command.as_bytes().to_vec());
    let same = command(r#"{"path":"t","mode":"append","idempotency_key":"run 7"}"#);
    let cut = vec![numbers(0, 400), numbers(400, 600)];
    let again = put_messages(&mut client, encode(same, numbers_schema(), cut)).await.expect("the same rows");
    assert_eq!((again, version(&server, "t")), (receipt, 1));
    let other = command(r#"{"path":"t","mode":"replace","idempotency_key":"run 7"}"#);
    let other = put_messages(&mut client, encode(other, numbers_schema(), vec![numbers(0, 1_000)])).await;
    is_conflict(&other.expect_err("another mode"));
    assert_eq!(
        get(&mut client, "t").await.expect("a table").1.iter().map(|batch| batch.num_rows()).sum::<usize>(),
        1_000
    );
}

/// The client sends all of its put, and its line is cut before the answer is there: it cannot know what became of it.
#[tokio::test(flavor = "multi_thread")]
async fn p7_after_a_lost_answer_a_repetition_makes_certain() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let messages = encoded("t", &[numbers(0, 10), numbers(10, 10)]).await;
    for round in 0..10 {
        let line = Line::connect(&server).await;
        let key = format!("round {round}");
        let mut call = line.call(DO_PUT, &[(KEY, &key), ("airlane-mode", "append")]).await;
        messages.iter().for_each(|message| call.send(grpc_of(message)));
        call.end();
        if round % 2 == 0 {
            eventually("the put is committed", || version(&server, "t") == round + 1).await;
        }
        drop((call, line));
        let mut request = Request::new(encode(by_path("t"), numbers_schema(), vec![numbers(0, 10), numbers(10, 10)]));
        for (name, value) in [(KEY, key.as_str()), ("airlane-mode", "append")] {
            request.metadata_mut().insert(name, value.parse().expect("a header"));
        }
        let receipt = put_request(&mut client, request).await.expect("a put");
        assert_eq!((receipt.version.get(), receipt.rows), (round + 1, (round + 1) * 20));
    }
    // Whatever the cut calls still do, they do nothing twice.
    put_request(&mut client, keyed("last", "k", 0, 1)).await.expect("a put");
    assert_eq!(version(&server, "t"), 10);
}

/// A client that stalls in its put holds no repetition up; when it goes on it is answered as that was.
#[tokio::test(flavor = "multi_thread")]
async fn p7_a_stalled_put_holds_no_repetition_up() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let messages = encoded("t", &[numbers(0, 1_000)]).await;
    let line = Line::connect(&server).await;
    let mut stalled = line.call(DO_PUT, &APPEND).await;
    messages[..messages.len() - 1].iter().for_each(|message| stalled.send(grpc_of(message)));
    // A later call on the same line is answered after the beginning of the put was seen.
    let mut later = line.call(DO_GET, &[]).await;
    later.send(grpc_of(&arrow_flight::Ticket::new("t")));
    later.end();
    later.answer().await;
    let receipt = put_request(&mut client, keyed("t", "run 7", 0, 1_000)).await.expect("a put");
    stalled.send(grpc_of(&messages[messages.len() - 1]));
    stalled.end();
    let (status, _) = stalled.answer().await;
    assert_eq!(status.code(), Code::Ok, "{status}");
    assert_eq!((version(&server, "t"), receipt.rows), (1, 1_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn s2_keys_of_other_callers_tell_nothing() {
    let rights = "[rights.anna]\neu = [\"read\", \"write\"]\n[rights.bert]\neu = [\"read\", \"write\"]\n\
                  [rights.cora]\neu = [\"read\"]\n";
    let server = guarded(&["anna", "bert", "cora"], rights).await;
    let mut client = server.client().await;
    let mut put_as = async |caller: &str, rows| {
        let mut request = keyed("eu/t", "run 7", 0, rows);
        *request.metadata_mut() = {
            let mut metadata = with(Some(&token_of(caller)), ()).metadata().clone();
            for (name, value) in APPEND {
                metadata.insert(name, value.parse().expect("a header"));
            }
            metadata
        };
        put_request(&mut client, request).await
    };
    let anna = put_as("anna", 10).await.expect("a put");
    let bert = put_as("bert", 20).await.expect("another put");
    assert_eq!((anna.version.get(), bert.version.get(), bert.rows), (1, 2, 30));
    assert_eq!(put_as("anna", 10).await.expect("the same"), anna);
    assert_eq!(put_as("bert", 20).await.expect("the same"), bert);
    // Who may not put hears nothing of what others did with this key.
    let refused = [put_as("cora", 10).await, put_as("cora", 11).await].map(|put| put.expect_err("no right"));
    refused.iter().for_each(|status| assert_eq!(code_name(status), "permission_denied"));
    assert_eq!(refused[0].message(), refused[1].message());
    // A right that is taken away is asked for each time.
    server.write_rights(&["anna", "bert"], "[rights.anna]\neu = [\"read\"]\n");
    super::rights::eventually_async("the right is gone", async || {
        put_as("anna", 10).await.is_err_and(|status| code_name(&status) == "permission_denied")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_hostile_keys_are_refused() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    // The longest is above what any header may have.
    for (bytes, code) in [(0, "option_invalid"), (256, "option_invalid"), (10_000, "limit_exceeded")] {
        let status = put_request(&mut client, keyed("t", &"k".repeat(bytes), 0, 1)).await.expect_err("no key");
        assert_eq!(code_name(&status), code, "{bytes}");
        assert!(status.message().contains("header `airlane-idempotency-key`"), "{status}");
    }
    for key in [r"a\nb", r"\u0000", r"\u001b[31m", "ключ", r"\ud83d\ude00", " k", "k "] {
        let command = format!("{{\"path\":\"t\",\"idempotency_key\":\"{key}\"}}");
        let descriptor = FlightDescriptor::new_cmd(command.into_bytes());
        let messages = encode(descriptor, numbers_schema(), vec![numbers(0, 1)]);
        let status = put_messages(&mut client, messages).await.expect_err("no key");
        assert_eq!(code_name(&status), "option_invalid", "{key}");
        assert!(status.message().is_ascii() && !status.message().contains('\u{1b}'), "{status}");
    }
    let mut request = keyed("t", "one", 0, 1);
    request.metadata_mut().append(KEY, "two".parse().expect("a header"));
    assert_eq!(code_name(&put_request(&mut client, request).await.expect_err("two keys")), "option_invalid");
    assert_eq!(server.tables(), [""; 0]);
    put_request(&mut client, keyed("t", &"k".repeat(255), 0, 1)).await.expect("the longest");
}
