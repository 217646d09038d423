//! A Python process that is steered line by line (`bench/python/worker.py`).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Result;
use crate::peer::python;

/// Where a server of ours has its local door, for the package.
const LOCAL_SOCKET: &str = "AIRLANE_LOCAL_SOCKET";

/// A process that makes tables, puts them and gets them. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What a table is for Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Arrow,
    Pandas,
}

impl Kind {
    /// The word of the worker.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Arrow => "arrow",
            Self::Pandas => "pandas",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Arrow => "Arrow table",
            Self::Pandas => "pandas frame",
        }
    }
}

/// A table that was made.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Made {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// A put that was done. Times are nanoseconds of the machine's clock, CPU is seconds.
#[derive(Debug, Deserialize)]
pub(super) struct Put {
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) ticket: String,
    pub(super) cpu: f64,
}

/// A get that was done.
#[derive(Debug, Deserialize)]
pub(super) struct Got {
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) rows: u64,
    pub(super) cpu: f64,
}

/// What is installed.
#[derive(Debug, Deserialize)]
pub(super) struct Hello {
    pub(super) build: String,
    pub(super) pandas: String,
    pub(super) python: String,
}

impl Worker {
    pub(super) fn spawn(socket: &str) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/worker.py");
        let mut command = python();
        command.arg(script).env(LOCAL_SOCKET, socket).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let requests = child.stdin.take().ok_or("no stdin")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        Ok(Self { child, requests, answers })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn hello(&mut self) -> Result<Hello> {
        self.ask(&json!({"do": "hello"}))
    }

    /// Makes the table that is put from now on, and that is compared with what comes.
    pub(super) fn make(&mut self, shape: &str, rows: u64, kind: Kind) -> Result<Made> {
        self.ask(&json!({"do": "make", "shape": shape, "rows": rows, "kind": kind.word()}))
    }

    pub(super) fn put(&mut self, way: &str) -> Result<Put> {
        self.ask(&put_request(way))
    }

    pub(super) fn get(&mut self, way: &str, ticket: &str, kind: Kind) -> Result<Got> {
        self.ask(&get_request(way, ticket, kind))
    }

    /// What came is the same as what was made here.
    pub(super) fn check(&mut self) -> Result<()> {
        self.ask::<Value>(&json!({"do": "check"})).map(drop)
    }

    /// The seconds that a sum over all columns of what came takes.
    pub(super) fn sum(&mut self) -> Result<f64> {
        Ok(self.ask::<Value>(&json!({"do": "sum"}))?["seconds"].as_f64().ok_or("no seconds")?)
    }

    /// Lets go of what came, and answers the CPU seconds of that.
    pub(super) fn forget(&mut self) -> Result<f64> {
        Ok(self.ask::<Value>(&json!({"do": "forget"}))?["cpu"].as_f64().ok_or("no CPU seconds")?)
    }

    /// Drops the table of a server.
    /// Has a way at hand under a name; what else it takes, `ways.py` says.
    pub(super) fn connect(&mut self, name: &str, way: &Value) -> Result<()> {
        let mut request = way.clone();
        request["do"] = "connect".into();
        request["name"] = name.into();
        self.ask::<Value>(&request).map(drop)
    }

    pub(super) fn drop_table(&mut self, way: &str) -> Result<()> {
        self.ask::<Value>(&json!({"do": "drop", "name": way})).map(drop)
    }

    fn ask<T: for<'a> Deserialize<'a>>(&mut self, request: &Value) -> Result<T> {
        self.send(request)?;
        self.receive()
    }

    pub(super) fn send(&mut self, request: &Value) -> Result<()> {
        writeln!(self.requests, "{request}")?;
        Ok(())
    }

    pub(super) fn receive<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            return Err("a Python worker failed".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

pub(super) fn put_request(way: &str) -> Value {
    json!({"do": "put", "name": way})
}

pub(super) fn get_request(way: &str, ticket: &str, kind: Kind) -> Value {
    json!({"do": "get", "name": way, "ticket": ticket, "kind": kind.word()})
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It is gone, or it goes.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
