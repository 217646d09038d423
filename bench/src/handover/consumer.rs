//! The process that is handed tables.

use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use airlane_client::{Client, ConnectOptions, Transport};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::latency::now;
use crate::Result;

/// A consumer that runs. Dropping it ends it.
pub(super) struct Consumer {
    child: Child,
    tickets: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Consumer {
    pub(super) fn spawn(port: u16, socket: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["handover-consumer", &port.to_string(), socket]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let tickets = child.stdin.take().ok_or("no stdin")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        Ok(Self { child, tickets, answers })
    }

    /// Has a table read: when its first value was, and when all of them were summed.
    pub(super) fn read(&mut self, ticket: &str) -> Result<(u64, u64)> {
        // One piece: a reader is woken by each.
        self.tickets.write_all(format!("{ticket}\n").as_bytes())?;
        self.tickets.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let mut times = line.split_whitespace().map(str::parse);
        match (times.next(), times.next()) {
            (Some(first), Some(summed)) => Ok((first?, summed?)),
            _ => Err(format!("the consumer answers `{}`", line.trim()).into()),
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // It is gone, or it goes.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the process does.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [port, socket] = arguments else { return Err("a consumer takes a port and a socket".into()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let options = ConnectOptions { local_socket: Some(socket.into()), ..ConnectOptions::default() };
        let client = Client::connect_with(&format!("grpc://127.0.0.1:{port}"), &options).await?;
        for ticket in stdin().lock().lines() {
            let mut stream = client.get(ticket?.trim()).await?;
            if stream.transport() != Transport::SharedMemory {
                return Err("the table came as a stream".into());
            }
            let mut batch = stream.next().await?.ok_or("no rows")?;
            std::hint::black_box(first_value(batch.column(0)));
            let first = now();
            let mut sum = 0.0;
            loop {
                sum += batch.columns().iter().map(total).sum::<f64>();
                match stream.next().await? {
                    Some(next) => batch = next,
                    None => break,
                }
            }
            std::hint::black_box(sum);
            writeln!(stdout(), "{first} {}", now())?;
            stdout().flush()?;
        }
        Ok(())
    })
}

fn first_value(column: &ArrayRef) -> f64 {
    match column.data_type() {
        DataType::Float64 => column.as_primitive::<Float64Type>().value(0),
        _ => column.as_primitive::<Int64Type>().value(0) as f64,
    }
}

/// A sum that looks at every value.
fn total(column: &ArrayRef) -> f64 {
    match column.data_type() {
        DataType::Float64 => column.as_primitive::<Float64Type>().iter().flatten().sum(),
        DataType::Int64 => column.as_primitive::<Int64Type>().values().iter().map(|value| *value as f64).sum(),
        DataType::Utf8 => {
            let bytes = column.as_string::<i32>().iter().flatten().flat_map(str::bytes);
            bytes.map(f64::from).sum()
        }
        DataType::Dictionary(_, _) => column.as_dictionary::<Int32Type>().keys().iter().flatten().map(f64::from).sum(),
        _ => 0.0,
    }
}
