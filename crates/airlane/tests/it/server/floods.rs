//! G2 to G5: floods of frames that are cheap to send, by hand over a bare connection. The server ends the connection or bears
//! them; it takes no memory by it, and others are served.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread::JoinHandle;

use airlane_testkit::ServerProcess;
use bytes::{BufMut, BytesMut};

use super::harness::*;
use super::tables::*;

/// What a connection, its buffers and some calls may take; a flood that was kept takes far more.
const NOISE_BYTES: u64 = 64 << 20;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
const SETTINGS_INITIAL_WINDOW_SIZE: u16 = 4;

/// A frame as it stands on the wire (RFC 9113, section 4.1).
fn put_frame(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.put_uint(payload.len() as u64, 3);
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u32(stream);
    out.put_slice(payload);
}

/// A header that goes into no table, as HPACK has it (RFC 7541, section 6.2.2).
fn put_header(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(0);
    for text in [name, value] {
        put_number(out, 0, 7, text.len());
        out.extend_from_slice(text.as_bytes());
    }
}

/// A number after the first bits of its byte (RFC 7541, section 5.1).
fn put_number(out: &mut Vec<u8>, first: u8, bits: u8, mut number: usize) {
    let most = (1_usize << bits) - 1;
    if number < most {
        return out.push(first | number as u8);
    }
    out.push(first | most as u8);
    number -= most;
    while number >= 128 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The headers of a call.
fn call_headers(method: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_header(&mut out, ":method", "POST");
    put_header(&mut out, ":scheme", "http");
    put_header(&mut out, ":path", &format!("/arrow.flight.protocol.FlightService/{method}"));
    put_header(&mut out, ":authority", "localhost");
    put_header(&mut out, "content-type", "application/grpc");
    put_header(&mut out, "te", "trailers");
    out
}

/// How a server met a flood.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// It took all of it.
    Borne,
    /// It ended the connection, with the code of a GOAWAY if it said one.
    Ended(Option<u32>),
}

/// A connection whose answers are read by a thread of their own, so that they never hold the sender up.
struct Attacker {
    tcp: TcpStream,
    answers: JoinHandle<Option<u32>>,
}

impl Attacker {
    /// Connects with these settings.
    fn connect(port: u16, settings: &[(u16, u32)]) -> Self {
        let mut tcp = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        let mut out = BytesMut::from(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]);
        let mut payload = BytesMut::new();
        for (key, value) in settings {
            payload.put_u16(*key);
            payload.put_u32(*value);
        }
        put_frame(&mut out, SETTINGS, 0, 0, &payload);
        put_frame(&mut out, SETTINGS, ACK, 0, &[]);
        tcp.write_all(&out).expect("sent");
        let reader = tcp.try_clone().expect("a descriptor");
        Self { tcp, answers: std::thread::spawn(move || goaway_of(reader)) }
    }

    /// Sends; false when the server has ended the connection.
    fn send(&mut self, bytes: &[u8]) -> bool {
        match self.tcp.write_all(bytes) {
            Ok(()) => true,
            Err(error) => {
                let is_end = matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
                assert!(is_end, "{error}");
                false
            }
        }
    }

    /// Ends the connection where the server has not.
    fn end(self, is_borne: bool) -> End {
        // It may be gone.
        let _ = self.tcp.shutdown(std::net::Shutdown::Both);
        let goaway = self.answers.join().expect("answers");
        if is_borne && goaway.is_none_or(|code| code == 0) { End::Borne } else { End::Ended(goaway) }
    }
}

/// Reads frames to the end of a connection; answers the code of a GOAWAY.
fn goaway_of(mut tcp: TcpStream) -> Option<u32> {
    let mut code = None;
    let mut head = [0; 9];
    while tcp.read_exact(&mut head).is_ok() {
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        if tcp.read_exact(&mut payload).is_err() {
            break;
        }
        if head[3] == GOAWAY {
            code = payload.get(4..8).map(|bytes| u32::from_be_bytes(bytes.try_into().expect("four bytes")));
        }
    }
    code
}

/// Runs a flood against a server of its own: others are served meanwhile and afterwards, and it takes no memory.
async fn flood(name: &str, attack: impl Fn(u16) -> End + Send + Sync + 'static) -> End {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(Path::new(env!("CARGO_BIN_EXE_airlane")), &folder.path().join("data"), [""; 0]);
    let address = format!("127.0.0.1:{}", server.port());
    let mut client = client_of(&address).await;
    put(&mut client, "before", &[numbers(0, 100_000)]).await.expect("a table");
    get(&mut client, "before").await.expect("read");
    let memory = memory_of(server.id());
    let port = server.port();
    let attacking = tokio::task::spawn_blocking(move || attack(port));
    let (mut calls, mut highest) = (0, 0);
    loop {
        let is_over = attacking.is_finished();
        let (_, batches) = get(&mut client, "before").await.expect("others are served");
        assert_eq!(batches.iter().map(arrow_array::RecordBatch::num_rows).sum::<usize>(), 100_000, "{name}");
        calls += 1;
        highest = highest.max(memory_of(server.id()));
        if is_over {
            break;
        }
    }
    let end = attacking.await.expect("an attack");
    let grown = highest.saturating_sub(memory);
    assert!(grown < NOISE_BYTES, "{name}: {grown} bytes of memory after {calls} reads, {end:?}");
    put(&mut client, "after", &[numbers(0, 10)]).await.expect("the server goes on");
    eventually("what it took is given back", || memory_of(server.id()) < memory + NOISE_BYTES / 4).await;
    let (status, log) = server.stop();
    assert!(status.success() && !log.contains("panicked"), "{name}: {log}");
    end
}

/// Sends what each turn gives, until there was enough or the server ends the connection.
fn repeat(attacker: &mut Attacker, turns: u32, mut of: impl FnMut(&mut BytesMut, u32)) -> bool {
    const TURNS_PER_WRITE: u32 = 100;
    let mut out = BytesMut::new();
    for turn in 0..turns {
        of(&mut out, turn);
        if (turn + 1) % TURNS_PER_WRITE == 0 && !attacker.send(&out.split()) {
            return false;
        }
    }
    attacker.send(&out)
}

fn stream_of(turn: u32) -> u32 {
    turn * 2 + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn g2_rapid_resets_end_their_connection() {
    let end = flood("resets", |port| {
        let mut attacker = Attacker::connect(port, &[]);
        let headers = call_headers("DoGet");
        let is_borne = repeat(&mut attacker, 100_000, |out, turn| {
            put_frame(out, HEADERS, END_HEADERS, stream_of(turn), &headers);
            put_frame(out, RST_STREAM, 0, stream_of(turn), &8_u32.to_be_bytes());
        });
        attacker.end(is_borne)
    })
    .await;
    // ENHANCE_YOUR_CALM, unless the connection was gone before it could be read.
    assert!(matches!(end, End::Ended(None | Some(11))), "{end:?}");
}

/// By frames that break the protocol, so that the server itself resets the streams.
#[tokio::test(flavor = "multi_thread")]
async fn g2_resets_that_the_server_is_made_to_send_end_their_connection() {
    let end = flood("provoked resets", |port| {
        let mut attacker = Attacker::connect(port, &[]);
        let headers = call_headers("DoGet");
        let is_borne = repeat(&mut attacker, 100_000, |out, turn| {
            put_frame(out, HEADERS, END_HEADERS, stream_of(turn), &headers);
            // A window must not grow by nothing (RFC 9113, section 6.9).
            put_frame(out, 8, 0, stream_of(turn), &0_u32.to_be_bytes());
        });
        attacker.end(is_borne)
    })
    .await;
    assert!(matches!(end, End::Ended(None | Some(1 | 11))), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_continuations_without_end_end_their_connection() {
    for (name, payload) in [("of headers", true), ("of nothing", false)] {
        let end = flood(name, move |port| {
            let mut attacker = Attacker::connect(port, &[]);
            let mut out = BytesMut::new();
            put_frame(&mut out, HEADERS, 0, 1, &call_headers("DoGet"));
            let mut more = Vec::new();
            if payload {
                put_header(&mut more, "x-more", &"x".repeat(4096));
            }
            let is_borne = attacker.send(&out)
                && repeat(&mut attacker, 100_000, |out, _| put_frame(out, CONTINUATION, 0, 1, &more));
            attacker.end(is_borne)
        })
        .await;
        assert!(matches!(end, End::Ended(None | Some(1 | 11))), "{name}: {end:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_empty_data_frames_without_end_take_no_memory() {
    // Before the schema and after it, and on a call that reads nothing more.
    for (name, method, first) in [
        ("a put without a message", "DoPut", Vec::new()),
        ("a put that is open", "DoPut", schema_of_a_put().await),
        ("a call that is answered", "Handshake", Vec::new()),
    ] {
        let end = flood(name, move |port| {
            let mut attacker = Attacker::connect(port, &[]);
            let mut out = BytesMut::new();
            put_frame(&mut out, HEADERS, END_HEADERS, 1, &call_headers(method));
            put_frame(&mut out, DATA, 0, 1, &first);
            let is_borne =
                attacker.send(&out) && repeat(&mut attacker, 1_000_000, |out, _| put_frame(out, DATA, 0, 1, &[]));
            attacker.end(is_borne)
        })
        .await;
        assert!(matches!(end, End::Borne | End::Ended(None | Some(5 | 11))), "{name}: {end:?}");
    }
}

async fn schema_of_a_put() -> Vec<u8> {
    super::raw::grpc_of(&encoded("t", &[numbers(0, 1)]).await[0]).to_vec()
}

/// One long header in the table of HPACK, named by a byte each, in streams whose answers cannot be sent.
#[tokio::test(flavor = "multi_thread")]
async fn g5_headers_of_one_byte_in_streams_without_a_window_pin_little() {
    const NAMED: usize = 20_000;
    for (name, value_bytes) in [("long values", 3_900), ("short values", 1)] {
        let end = flood(name, move |port| {
            let mut attacker = Attacker::connect(port, &[(SETTINGS_INITIAL_WINDOW_SIZE, 0)]);
            let is_borne = repeat(&mut attacker, 2_000, |out, turn| {
                let mut headers = call_headers("DoGet");
                if turn == 0 {
                    // Into the table (RFC 7541, section 6.2.1), where it is the newest.
                    headers.push(0x40);
                    put_number(&mut headers, 0, 7, 6);
                    headers.extend_from_slice(b"x-bomb");
                    put_number(&mut headers, 0, 7, value_bytes);
                    headers.extend(std::iter::repeat_n(b'x', value_bytes));
                }
                // The newest of the table (RFC 7541, sections 2.3.3 and 6.1).
                headers.extend(std::iter::repeat_n(0x80 | 62, if value_bytes > 1 { NAMED / 100 } else { NAMED }));
                let last = headers.len().div_ceil(16_384) - 1;
                for (index, part) in headers.chunks(16_384).enumerate() {
                    let kind = if index == 0 { HEADERS } else { CONTINUATION };
                    put_frame(out, kind, if index == last { END_HEADERS } else { 0 }, stream_of(turn), part);
                }
            });
            attacker.end(is_borne)
        })
        .await;
        assert!(matches!(end, End::Borne | End::Ended(None | Some(1 | 7 | 11))), "{name}: {end:?}");
    }
}

/// As many small headers as a list may have, in as many streams as a connection may.
#[tokio::test(flavor = "multi_thread")]
async fn g12_streams_full_of_headers_take_little() {
    let end = flood("headers", |port| {
        let mut attacker = Attacker::connect(port, &[(SETTINGS_INITIAL_WINDOW_SIZE, 0)]);
        let mut headers = call_headers("DoPut");
        for number in 0..350 {
            put_header(&mut headers, &format!("x{number}"), "");
        }
        let is_borne = repeat(&mut attacker, 5_000, |out, turn| {
            put_frame(out, HEADERS, END_HEADERS, stream_of(turn), &headers);
        });
        attacker.end(is_borne)
    })
    .await;
    assert!(matches!(end, End::Borne | End::Ended(None | Some(11))), "{end:?}");
}
