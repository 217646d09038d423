//! Puts, replaces, appends with keys, tickets for one read, tables that expire, and a kill now and then; what a client was
//! told must hold all the time.
//!
//! Each writer has names of its own and remembers what it was told, so that a read can be judged:
//!
//! * I1, I4: a table is what the last acknowledged put made it, or what a put without an answer would have.
//! * I2, I5: all rows of a read are of one put, and as many as that put had.
//! * I3: an append with a key is there once, however often it was sent.
//! * I6: versions that one client reads never go backwards.
//! * a ticket for one read that was read to its end is never read again.
//! * I7, I8: in the end all tables are dropped, and no memory is counted and no file of a segment left.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use airlane_client::{Client, PutOptions, TicketOptions};
use airlane_model::{Durability, Error, IdempotencyKey, PutMode, RetentionChange, TableName, codes};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use tokio::runtime::Runtime;

use super::Effort;
use crate::Result;
use crate::peer::{Kind, Peer};
use crate::process::{memory_bytes, open_descriptors};
use crate::report::{Report, median};

const WRITERS: u64 = 4;
const TABLES: u64 = 12;

#[derive(Debug, Default)]
struct Shared {
    port: AtomicU16,
    steps: AtomicU64,
    kills: AtomicU64,
}

pub(super) fn measure(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let mut peer = Peer::airlane(&["--memory", "256MiB"])?;
    let shared = Arc::new(Shared::default());
    shared.port.store(peer.port, Ordering::Relaxed);
    // Of 30 minutes, one in three is a kill's.
    let span = Duration::from_secs(effort.or_little(effort.minutes * 180, 6));
    let kill_every = Duration::from_secs(effort.or_little(180, 2));
    let end = Instant::now() + span;
    let writers: Vec<_> =
        (0..WRITERS).map(|number| runtime.spawn(Writer::new(number, shared.clone()).run(end))).collect();
    let (mut memory, mut descriptors) = (Vec::new(), Vec::new());
    let mut next_kill = Instant::now() + kill_every;
    while Instant::now() < end && !writers.iter().any(|writer| writer.is_finished()) {
        std::thread::sleep(Duration::from_millis(500));
        memory.push(memory_bytes(peer.pid())? as f64 / 1048576.0);
        descriptors.push(open_descriptors(peer.pid())? as f64);
        if Instant::now() >= next_kill {
            next_kill += kill_every;
            peer.restart()?;
            shared.port.store(peer.port, Ordering::Relaxed);
            shared.kills.fetch_add(1, Ordering::Relaxed);
        }
    }
    let mut broken = Vec::new();
    for writer in writers {
        broken.extend(runtime.block_on(writer)?.err().map(|error| error.to_string()));
    }
    let left = runtime.block_on(left_over(&peer))?;
    broken.extend(left);
    broken.iter().for_each(|what| println!("broken: {what}"));
    let (steps, kills) = (shared.steps.load(Ordering::Relaxed), shared.kills.load(Ordering::Relaxed));
    let measured = format!("{} broken in {steps} steps and {kills} kills", broken.len());
    let measure = format!("{:.0} min of churn: what clients were told holds (I1 to I8)", span.as_secs_f64() / 60.0);
    report.figure(&measure, "0 broken", measured, broken.is_empty() && steps > 0);
    for (what, unit, values) in [("memory", "MiB", memory), ("open descriptors", "descriptors", descriptors)] {
        let third = values.len() / 3;
        let (first, last) = (median(&values[..third.max(1)]), median(&values[values.len() - third.max(1)..]));
        let measured = format!("{last:.0} {unit} against {first:.0}");
        report.figure(&format!("{what} in the last third against the first"), "≤ 1.1 ×", measured, last <= 1.1 * first);
        report.samples(&format!("{what} during the churn"), Kind::Airlane.name(), unit, values);
    }
    Ok(())
}

/// Drops all tables and looks for what they leave.
async fn left_over(peer: &Peer) -> Result<Vec<String>> {
    let client = Client::connect(&format!("grpc://127.0.0.1:{}", peer.port)).await?;
    for table in client.list("").await? {
        match client.drop_table(&table.table).await {
            Err(error) if error.code() != codes::TABLE_NOT_FOUND => return Err(error.into()),
            _ => {}
        }
    }
    let mut found = Vec::new();
    // What was being removed is given a while.
    for _ in 0..100 {
        let files = std::fs::read_dir(peer.data_dir()?.join("segments"))?.count();
        let used = counted_memory(peer.port).await?;
        found.clear();
        if files > 0 {
            found.push(format!("{files} files of segments are left (I8)"));
        }
        if used > 0.0 {
            found.push(format!("{used} bytes of memory are counted (I7)"));
        }
        if found.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(found)
}

/// What the metrics say of tables and puts.
async fn counted_memory(port: u16) -> Result<f64> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut text = String::new();
    socket.read_to_string(&mut text).await?;
    let uses = text.lines().filter_map(|line| line.strip_prefix("airlane_memory_bytes{use=\""));
    let counted = uses.filter(|line| line.starts_with("tables\"") || line.starts_with("puts\""));
    Ok(counted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// What a table may be: pairs of a put's number and its rows, one for each put whose rows it has.
type Content = Vec<(i64, u64)>;

#[derive(Clone, Debug, Default)]
struct Known {
    /// What it may be; several after a put that was not answered. An empty one: it is not there.
    may_be: Vec<Content>,
    version: u64,
    is_ephemeral: bool,
    /// It may go by itself.
    expires: bool,
}

struct Writer {
    number: u64,
    shared: Arc<Shared>,
    client: Option<Client>,
    known: BTreeMap<u64, Known>,
    kills_seen: u64,
    puts: i64,
    seed: u64,
}

impl Writer {
    fn new(number: u64, shared: Arc<Shared>) -> Self {
        let seed = 0x9E37_79B9_7F4A_7C15 ^ (number + 1);
        Self { number, shared, client: None, known: BTreeMap::new(), kills_seen: 0, puts: 0, seed }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % end
    }

    async fn run(mut self, end: Instant) -> Result<()> {
        while Instant::now() < end {
            self.notice_kills();
            let table = self.below(TABLES);
            let done = match self.below(10) {
                0..=3 => self.replace(table).await,
                4 => self.append(table).await,
                5 => self.drop_table(table).await,
                6 => self.read_once(table).await,
                _ => self.read(table).await,
            };
            match done {
                Ok(()) => _ = self.shared.steps.fetch_add(1, Ordering::Relaxed),
                Err(Failure::Broken(what)) => {
                    return Err(format!("writer {}, table {table}: {what}", self.number).into());
                }
                Err(Failure::Away) => {
                    self.client = None;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        Ok(())
    }

    /// Ephemeral tables go with their process.
    fn notice_kills(&mut self) {
        let kills = self.shared.kills.load(Ordering::Relaxed);
        if kills > self.kills_seen {
            self.kills_seen = kills;
            self.client = None;
        }
    }

    async fn client(&mut self) -> std::result::Result<Client, Failure> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let port = self.shared.port.load(Ordering::Relaxed);
        let client = Client::connect(&format!("grpc://127.0.0.1:{port}")).await.map_err(away)?;
        Ok(self.client.insert(client).clone())
    }

    fn name(&self, table: u64) -> TableName {
        TableName::parse(&format!("churn{}/t{table}", self.number)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Some tables are ephemeral, some expire: always the same, by their number.
    fn options(table: u64, mode: PutMode) -> PutOptions {
        let durability = if table.is_multiple_of(3) { Durability::Ephemeral } else { Durability::Durable };
        let retention = if table % 4 == 1 {
            RetentionChange::of("ttl", "5s").unwrap_or_default()
        } else {
            RetentionChange::default()
        };
        PutOptions { mode, durability: Some(durability), retention, ..PutOptions::default() }
    }

    fn rows(&mut self) -> u64 {
        match self.below(8) {
            0 => 200_000 + self.below(400_000),
            _ => 1 + self.below(5_000),
        }
    }

    async fn put(&mut self, table: u64, rows: u64, options: PutOptions) -> std::result::Result<(), Failure> {
        let number = self.puts;
        let client = self.client().await?;
        let values = Int64Array::from_iter_values(std::iter::repeat_n(number, rows as usize));
        let batch = RecordBatch::try_from_iter([("put", Arc::new(values) as _)]).map_err(|error| broken(&error))?;
        let batches = futures::stream::iter([Ok(batch.clone())]);
        let receipt = client.put(&self.name(table), batch.schema(), batches, options).await.map_err(away)?;
        let known = self.known.entry(table).or_default();
        known.version = known.version.max(receipt.version.get());
        Ok(())
    }

    async fn replace(&mut self, table: u64) -> std::result::Result<(), Failure> {
        self.puts += 1;
        let (number, rows) = (self.puts, self.rows());
        let known = self.known.entry(table).or_default();
        known.is_ephemeral = table.is_multiple_of(3);
        known.expires = table % 4 == 1;
        if known.may_be.is_empty() {
            known.may_be.push(Content::new());
        }
        // Until it is answered, both.
        known.may_be.push(vec![(number, rows)]);
        self.put(table, rows, Self::options(table, PutMode::Replace)).await?;
        self.known.entry(table).or_default().may_be = vec![vec![(number, rows)]];
        Ok(())
    }

    /// An append with a key, sent until it is answered.
    async fn append(&mut self, table: u64) -> std::result::Result<(), Failure> {
        // What expires between two of them, or goes with its process, would make it a put of a new table.
        if table % 4 == 1
            || table.is_multiple_of(3)
            || self.known.get(&table).is_none_or(|known| known.may_be.len() != 1)
        {
            return Ok(());
        }
        self.puts += 1;
        let (number, rows) = (self.puts, self.rows());
        let key: IdempotencyKey = format!("{}-{number}", self.number).parse().map_err(|error: Error| broken(&error))?;
        let mut options = Self::options(table, PutMode::Append);
        options.key = Some(key);
        let with = |content: &Content| content.iter().copied().chain([(number, rows)]).collect::<Content>();
        let before = self.known.entry(table).or_default().may_be.clone();
        self.known.entry(table).or_default().may_be.extend(before.iter().map(with));
        for _ in 0..200 {
            match self.put(table, rows, options.clone()).await {
                Err(Failure::Away) => {
                    self.client = None;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Ok(()) => {
                    self.known.entry(table).or_default().may_be = before.iter().map(with).collect();
                    return Ok(());
                }
                broken => return broken,
            }
        }
        Err(Failure::Away)
    }

    async fn drop_table(&mut self, table: u64) -> std::result::Result<(), Failure> {
        let client = self.client().await?;
        let known = self.known.entry(table).or_default();
        known.may_be.push(Content::new());
        match client.drop_table(&self.name(table)).await {
            Ok(_) => {}
            Err(error) if error.code() == codes::TABLE_NOT_FOUND => self.judge_absent(table)?,
            Err(error) => return Err(away(error)),
        }
        self.known.insert(table, Known { may_be: vec![Content::new()], ..Known::default() });
        Ok(())
    }

    async fn read(&mut self, table: u64) -> std::result::Result<(), Failure> {
        let client = self.client().await?;
        let name = self.name(table);
        let info = match client.describe(&name.to_string().parse().map_err(|error: Error| broken(&error))?).await {
            Ok((info, _)) => info,
            Err(error) if error.code() == codes::TABLE_NOT_FOUND => return self.judge_absent(table),
            Err(error) => return Err(away(error)),
        };
        let known = self.known.entry(table).or_default();
        let version = info.version.get();
        if version < known.version && !known.expires && !known.is_ephemeral {
            return Err(Failure::Broken(format!("version {version} after {} (I6)", known.version)));
        }
        let content = match read_all(&client, &info.ticket).await {
            Ok(content) => content,
            Err(error) if error.code() == codes::TABLE_NOT_FOUND => return self.judge_absent(table),
            Err(error) if error.code() == codes::TABLE_RECREATED => return Ok(()),
            Err(error) => return Err(away(error)),
        };
        self.judge(table, content, info.rows)
    }

    /// What is read is one of what it may be; from then on it is that.
    fn judge(&mut self, table: u64, content: Content, rows: u64) -> std::result::Result<(), Failure> {
        let known = self.known.entry(table).or_default();
        if content.iter().map(|(_, rows)| rows).sum::<u64>() != rows {
            return Err(Failure::Broken(format!("{content:?} are not {rows} rows (I2, I5)")));
        }
        if !known.may_be.contains(&content) {
            return Err(Failure::Broken(format!("{content:?} is none of {:?} (I1, I3, I4)", known.may_be)));
        }
        known.may_be = vec![content];
        Ok(())
    }

    fn judge_absent(&mut self, table: u64) -> std::result::Result<(), Failure> {
        let known = self.known.entry(table).or_default();
        let may =
            known.expires || known.is_ephemeral || known.may_be.is_empty() || known.may_be.contains(&Content::new());
        if !may {
            return Err(Failure::Broken(format!("it is not there, and may be {:?} (I1)", known.may_be)));
        }
        *known = Known { may_be: vec![Content::new()], ..Known::default() };
        Ok(())
    }

    /// A ticket for one read is read to its end, and then never again.
    async fn read_once(&mut self, table: u64) -> std::result::Result<(), Failure> {
        let client = self.client().await?;
        let ticket = self.name(table).to_string().parse().map_err(|error: Error| broken(&error))?;
        let options = TicketOptions { reads: NonZeroU64::new(1), ..TicketOptions::default() };
        let signed = match client.sign(&ticket, &options).await {
            Ok(signed) => signed,
            Err(error) if error.code() == codes::TABLE_NOT_FOUND => return self.judge_absent(table),
            Err(error) => return Err(away(error)),
        };
        match read_all(&client, &signed.ticket).await {
            Ok(content) => self.judge(table, content, signed.rows)?,
            Err(error) if error.code() == codes::TABLE_NOT_FOUND => return self.judge_absent(table),
            Err(error) => return Err(away(error)),
        }
        match read_all(&client, &signed.ticket).await {
            Ok(_) => Err(Failure::Broken("a ticket for one read was read twice".into())),
            Err(error) if error.code() == codes::TICKET_USED || error.code() == codes::TABLE_NOT_FOUND => Ok(()),
            Err(error) => Err(away(error)),
        }
    }
}

/// The puts whose rows a ticket gives, in order.
async fn read_all(client: &Client, ticket: &str) -> airlane_model::Result<Content> {
    let mut batches = client.get(ticket).await?;
    let mut content = Content::new();
    while let Some(batch) = batches.next().await? {
        for value in batch.column(0).as_primitive::<Int64Type>().values() {
            match content.last_mut() {
                Some((number, rows)) if number == value => *rows += 1,
                _ => content.push((*value, 1)),
            }
        }
    }
    Ok(content)
}

enum Failure {
    /// The server was not there, or had no room: nothing is known, and nothing is wrong.
    Away,
    /// What was promised is not so.
    Broken(String),
}

fn broken(error: &impl ToString) -> Failure {
    Failure::Broken(error.to_string())
}

fn away(error: Error) -> Failure {
    let may_be = [
        codes::SERVER_UNREACHABLE,
        codes::CONNECTION_BROKEN,
        codes::SHUTTING_DOWN,
        codes::MEMORY_FULL,
        codes::TICKET_IN_USE,
        codes::COMMIT_UNKNOWN,
        codes::CALL_CANCELLED,
    ];
    if may_be.contains(&error.code()) { Failure::Away } else { broken(&error) }
}
