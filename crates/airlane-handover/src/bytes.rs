//! Messages without descriptors, one after another in a stream of bytes: TCP on the loopback, where sockets cannot pass
//! them. What would be passed lies in files of a folder that both can reach.

use std::io;

use airlane_model::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

use crate::channel::Received;
use crate::frame::{Frame, HEAD_BYTES, Head};
use crate::packets::broken;

/// A connection.
#[derive(Debug)]
pub struct Bytes {
    reader: Mutex<BufReader<OwnedReadHalf>>,
    writer: Mutex<OwnedWriteHalf>,
}

impl Bytes {
    /// Over a connection of TCP.
    ///
    /// # Errors
    /// What the system answers.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self { reader: Mutex::new(BufReader::new(reader)), writer: Mutex::new(writer) })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// `limit_exceeded` for what is too long; `connection_broken`.
    pub async fn send(&self, frame: &Frame) -> Result<()> {
        let bytes = frame.encode()?;
        self.writer.lock().await.write_all(&bytes).await.map_err(broken)
    }

    /// The next message, or `None` at the end.
    ///
    /// # Errors
    /// `message_invalid`, `limit_exceeded`, `connection_broken`. The connection is of no further use then.
    pub async fn receive(&self) -> Result<Option<Received>> {
        let mut reader = self.reader.lock().await;
        let mut head = [0; HEAD_BYTES];
        match reader.read(&mut head).await.map_err(broken)? {
            0 => return Ok(None),
            read => reader.read_exact(&mut head[read..]).await.map_err(broken)?,
        };
        let head = Head::decode(&head)?;
        let mut body = vec![0; head.body_bytes];
        reader.read_exact(&mut body).await.map_err(broken)?;
        let Frame { request, has_more, message } = head.with(&body)?;
        Ok(Some(Received { request, has_more, message, descriptors: Vec::new() }))
    }
}
