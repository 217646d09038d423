//! Floods of frames that are cheap to send, in a size for which the tests have no time: what they take of memory, and of the
//! latency of others. The attacker comes back whenever the server ends its connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use tokio::runtime::Runtime;

use super::{Effort, ROWS, TABLE};
use crate::Result;
use crate::client::bare::{END_HEADERS, HEADERS, PREFACE, RST_STREAM, SETTINGS, header_block, put_head};
use crate::client::raw;
use crate::peer::{Kind, Peer};
use crate::process::memory_bytes;
use crate::report::{Report, percentile};
use crate::table::Shape;

const MIB: f64 = 1048576.0;
const FRAMES_PER_WRITE: u64 = 100;
/// The code by which a client takes a call back (RFC 9113, section 7).
const CANCEL: u32 = 8;
/// A frame of an empty DATA on stream 1.
const EMPTY_DATA: [u8; 9] = [0, 0, 0, 0, 0, 0, 0, 0, 1];

/// What is sent: how a connection begins, and what it repeats.
struct Flood {
    name: &'static str,
    turns: u64,
    begin: fn(&mut BytesMut),
    repeat: fn(&mut BytesMut, u32),
}

pub(super) fn measure(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let floods = [
        Flood {
            name: "1,000,000 calls that are reset at once",
            turns: effort.or_little(1_000_000, 1_000),
            begin: |_| {},
            repeat: |out, turn| {
                put_call(out, turn * 2 + 1, "DoGet");
                put_head(out, 4, RST_STREAM, 0, turn * 2 + 1);
                out.put_u32(CANCEL);
            },
        },
        Flood {
            name: "10,000,000 empty frames on a put",
            turns: effort.or_little(10_000_000, 1_000),
            begin: |out| put_call(out, 1, "DoPut"),
            repeat: |out, _| out.put_slice(&EMPTY_DATA),
        },
    ];
    for flood in floods {
        let peer = Peer::airlane(&[])?;
        let batch = Shape::Mixed.batch(ROWS)?;
        runtime.block_on(async { raw::Connection::open(peer.port).await?.put(TABLE, batch).await })?;
        run(report, effort, runtime, &peer, flood)?;
    }
    Ok(())
}

fn run(report: &mut Report, effort: &Effort, runtime: &Runtime, peer: &Peer, flood: Flood) -> Result<()> {
    let name = flood.name;
    let calls = effort.or_little(20_000, 50);
    let alone = runtime.block_on(latencies(peer.port, |made| made >= calls))?;
    let before = memory_bytes(peer.pid())? as f64;
    let (begin, port) = (Instant::now(), peer.port);
    let attacking = std::thread::spawn(move || attack(port, &flood));
    let mut highest = before;
    let among = runtime.block_on(latencies(peer.port, |made| {
        if made % 64 == 0
            && let Ok(now) = memory_bytes(peer.pid())
        {
            highest = highest.max(now as f64);
        }
        attacking.is_finished() && made >= 100
    }))?;
    let ended = attacking.join().map_err(|_| "the attacker panicked")?.map_err(|error| error.to_string())?;
    let took = begin.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(2));
    let after = (memory_bytes(peer.pid())? as f64 - before) / MIB;
    let grown = (highest - before) / MIB;
    let measured = format!("{grown:.1} MiB, {after:.1} MiB afterwards ({took:.1} s, {ended} connections ended)");
    report.figure(&format!("{name}: memory"), "< 50 MiB", measured, grown < 50.0);
    let (with, without) = (percentile(&among, 0.99), percentile(&alone, 0.99));
    let ratio = with / without;
    let measured = format!("{ratio:.2} ({with:.0} against {without:.0} µs)");
    report.figure(&format!("{name}: p99 of small gets beside it"), "< 2 ×", measured, ratio < 2.0);
    report.samples(&format!("p99 of small gets, alone, before {name}"), Kind::Airlane.name(), "µs", vec![without]);
    report.samples(&format!("p99 of small gets beside {name}"), Kind::Airlane.name(), "µs", vec![with]);
    Ok(())
}

/// Microseconds of small gets, one after the other, until there are enough.
async fn latencies(port: u16, mut is_enough: impl FnMut(usize) -> bool) -> Result<Vec<f64>> {
    let mut connection = raw::Connection::open(port).await?;
    let mut all = Vec::new();
    while !is_enough(all.len()) {
        let begin = Instant::now();
        connection.call("DoGet", raw::get_request(TABLE)).await?;
        all.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(all)
}

/// Sends all turns, over as many connections as that takes; answers how many the server ended.
fn attack(port: u16, flood: &Flood) -> std::io::Result<u64> {
    let (mut sent, mut ended) = (0, 0);
    while sent < flood.turns {
        let mut tcp = TcpStream::connect(("127.0.0.1", port))?;
        let mut answers = tcp.try_clone()?;
        // Answers are read and ignored, so that they never hold the sender up.
        let reading = std::thread::spawn(move || {
            let mut ignored = [0; 16 << 10];
            while matches!(answers.read(&mut ignored), Ok(1..)) {}
        });
        let mut out = BytesMut::from(PREFACE);
        put_head(&mut out, 0, SETTINGS, 0, 0);
        (flood.begin)(&mut out);
        let mut turn = 0;
        let mut is_open = tcp.write_all(&out.split()).is_ok();
        // Stream numbers end somewhere, too.
        while is_open && sent < flood.turns && turn < 1 << 30 {
            for _ in 0..FRAMES_PER_WRITE {
                (flood.repeat)(&mut out, turn);
                turn += 1;
            }
            sent += FRAMES_PER_WRITE;
            // A connection that the server has ended takes what is sent to it for a while.
            is_open = tcp.write_all(&out.split()).is_ok() && !reading.is_finished();
        }
        ended += u64::from(!is_open);
        // It may be gone.
        let _ = tcp.shutdown(std::net::Shutdown::Both);
        let _ = reading.join();
    }
    Ok(ended)
}

fn put_call(out: &mut BytesMut, stream: u32, method: &str) {
    let block = header_block(method);
    put_head(out, block.len(), HEADERS, END_HEADERS, stream);
    out.put_slice(&block);
}
