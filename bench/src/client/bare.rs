//! HTTP/2 by hand: no more of it than one call after another on one connection takes.
//!
//! A client of the shelf costs as much for a small call as the server does, and on shared processors its own waiting
//! would be measured. This one writes prepared frames and looks only at the heads of what comes back (RFC 9113,
//! section 4.1: length 3 bytes, type 1, flags 1, stream 4).

use std::time::Instant;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;
const FRAME_BYTES_MAX: usize = 16 << 10;
/// What the server may send in all on a connection.
const WINDOW_BYTES: u32 = 1 << 30;

const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// When `calls` puts each on a connection for each request began and ended, all at once.
pub(crate) async fn put_times(port: u16, requests: Vec<Bytes>, calls: usize) -> Result<Vec<(Instant, Instant)>> {
    let mut tasks = Vec::new();
    for request in requests {
        let mut line = Line::open(port).await?;
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::with_capacity(calls);
            for _ in 0..calls {
                let begin = Instant::now();
                line.call("DoPut", &request).await?;
                times.push((begin, Instant::now()));
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(times)
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    Ok(all)
}

/// Puts each of the requests, one after another.
pub(crate) async fn put_each(port: u16, requests: Vec<Bytes>) -> Result<()> {
    let mut line = Line::open(port).await?;
    for request in &requests {
        line.call("DoPut", request).await?;
    }
    Ok(())
}

struct Line {
    socket: TcpStream,
    stream: u32,
    /// What may still be sent.
    credit: u64,
    received: BytesMut,
}

impl Line {
    async fn open(port: u16) -> Result<Self> {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.set_nodelay(true)?;
        let mut hello = BytesMut::from(PREFACE);
        put_head(&mut hello, 0, SETTINGS, 0, 0);
        put_head(&mut hello, 4, WINDOW_UPDATE, 0, 0);
        hello.put_u32(WINDOW_BYTES);
        socket.write_all(&hello).await?;
        Ok(Self { socket, stream: 1, credit: 65_535, received: BytesMut::new() })
    }

    /// Calls a method. An answer without a message is an error of the server.
    async fn call(&mut self, method: &str, request: &Bytes) -> Result<()> {
        let mut out = BytesMut::new();
        let block = header_block(method);
        put_head(&mut out, block.len(), HEADERS, END_HEADERS, self.stream);
        out.extend_from_slice(&block);
        let mut parts = request.chunks(FRAME_BYTES_MAX).peekable();
        while let Some(part) = parts.next() {
            put_head(&mut out, part.len(), DATA, if parts.peek().is_none() { END_STREAM } else { 0 }, self.stream);
            out.extend_from_slice(part);
        }
        self.credit = self.credit.checked_sub(request.len() as u64).ok_or("the server gives no credit")?;
        self.socket.write_all(&out).await?;
        let mut answered = false;
        loop {
            let (kind, flags, stream, payload) = self.frame().await?;
            match kind {
                SETTINGS if flags & ACK == 0 => self.answer(SETTINGS, &[]).await?,
                PING if flags & ACK == 0 => self.answer(PING, &payload).await?,
                WINDOW_UPDATE if stream == 0 => self.credit += u64::from(payload.clone().get_u32()),
                GOAWAY | RST_STREAM => return Err(format!("{method} was broken off by the frame {kind}").into()),
                DATA if stream == self.stream => answered |= !payload.is_empty(),
                _ => {}
            }
            if stream == self.stream && matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
                self.stream += 2;
                return if answered { Ok(()) } else { Err(format!("{method} was refused").into()) };
            }
        }
    }

    async fn frame(&mut self) -> Result<(u8, u8, u32, Bytes)> {
        loop {
            if let Some(head) = self.received.first_chunk::<HEAD_BYTES>() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let (kind, flags) = (head[3], head[4]);
                let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                if self.received.len() >= HEAD_BYTES + length {
                    self.received.advance(HEAD_BYTES);
                    return Ok((kind, flags, stream, self.received.split_to(length).freeze()));
                }
            }
            if self.socket.read_buf(&mut self.received).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }

    async fn answer(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        let mut out = BytesMut::new();
        put_head(&mut out, payload.len(), kind, ACK, 0);
        out.extend_from_slice(payload);
        Ok(self.socket.write_all(&out).await?)
    }
}

/// The head of a frame (RFC 9113, section 4.1).
pub(crate) fn put_head(out: &mut BytesMut, length: usize, kind: u8, flags: u8, stream: u32) {
    out.put_slice(&(length as u32).to_be_bytes()[1..]);
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u32(stream);
}

/// The request's headers, each as a literal that is not indexed, with a new name (RFC 7541, section 6.2.2).
pub(crate) fn header_block(method: &str) -> BytesMut {
    let path = format!("/arrow.flight.protocol.FlightService/{method}");
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", &path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = BytesMut::new();
    for (name, value) in fields {
        block.put_u8(0);
        for text in [name, value] {
            block.put_u8(text.len() as u8);
            block.put_slice(text.as_bytes());
        }
    }
    block
}
