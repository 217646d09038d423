//! A stock pyarrow client, steered line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use super::Transfer;
use crate::Result;
use crate::peer::{Kind, Peer, python};

#[derive(Debug)]
pub(crate) struct Client {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    /// Starts the client and has it load a table.
    pub(crate) fn start(table: &Path) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/pyarrow_client.py");
        let mut child = python().arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let requests = child.stdin.take().ok_or("no stdin")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut client = Self { child, requests, answers };
        client.ask(&json!({"do": "load", "file": table}))?;
        Ok(client)
    }

    /// Puts the table `times` times under one name; at Airlane as an ephemeral table.
    pub(crate) fn put(&mut self, peer: &Peer, table: &str, times: usize) -> Result<Transfer> {
        let ephemeral = peer.kind == Kind::Airlane;
        let request = json!({"do": "put", "port": peer.port, "table": table, "ephemeral": ephemeral, "times": times});
        transfer(&self.ask(&request)?)
    }

    /// Gets the table `times` times on each of `streams` connections.
    pub(crate) fn get(&mut self, peer: &Peer, table: &str, streams: usize, times: usize) -> Result<Transfer> {
        let request = json!({"do": "get", "port": peer.port, "table": table, "streams": streams, "times": times});
        transfer(&self.ask(&request)?)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn ask(&mut self, request: &Value) -> Result<Value> {
        writeln!(self.requests, "{request}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            return Err(format!("the pyarrow client failed at {request}").into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

fn transfer(answer: &Value) -> Result<Transfer> {
    let transfer = answer["seconds"].as_f64().zip(answer["rows"].as_u64());
    let (seconds, rows) = transfer.ok_or_else(|| format!("the pyarrow client answered {answer}"))?;
    Ok(Transfer { seconds, rows })
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
