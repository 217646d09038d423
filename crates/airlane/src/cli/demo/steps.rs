//! What the demonstration does, and what it tells of each step.

use std::time::{Duration, Instant};

use airlane_client::{Client, PutOptions};
use airlane_model::{Durability, Error, PutMode, Receipt, Result, TableName, codes};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use serde::Serialize;

use super::samples::{self, Sample};
use crate::output::human;
use crate::output::table::{Align, Table};

/// One thing that was done.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    verb: &'static str,
    /// The table, or the ticket that was read.
    what: String,
    rows: u64,
    bytes: u64,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    time: Duration,
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// Puts, appends, lists and reads; every number that is shown was compared with what was put.
///
/// # Errors
/// What the server answers; `internal` when a read gives other rows than were put.
pub(super) async fn run(client: &Client) -> Result<Vec<Step>> {
    let samples = tokio::task::spawn_blocking(samples::read).await.map_err(crate::cli::thread_failed)??;
    let mut steps = Vec::new();
    let mut receipts = Vec::new();
    for sample in &samples {
        receipts.push(put_whole(client, sample, &mut steps).await?);
    }
    list(client, &receipts, &mut steps).await?;
    for (sample, receipt) in samples.iter().zip(&receipts) {
        steps.push(get(client, sample, receipt).await?);
    }
    Ok(steps)
}

/// Puts a table; the weather in two halves, to show an append.
async fn put_whole(client: &Client, sample: &Sample, steps: &mut Vec<Step>) -> Result<Receipt> {
    if sample.name != "weather" {
        let batches = sample.batches.clone();
        return put(client, sample, batches, PutMode::Replace, 0, steps).await;
    }
    let (first, second) = sample.halves();
    let first = put(client, sample, first, PutMode::Replace, 0, steps).await?;
    put(client, sample, second, PutMode::Append, first.bytes, steps).await
}

async fn put(
    client: &Client,
    sample: &Sample,
    batches: Vec<RecordBatch>,
    mode: PutMode,
    bytes_before: u64,
    steps: &mut Vec<Step>,
) -> Result<Receipt> {
    let table = TableName::parse(sample.name)?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let options = PutOptions { mode, durability: Some(Durability::Durable), ..PutOptions::default() };
    let begun = Instant::now();
    let batches = futures::stream::iter(batches.into_iter().map(Ok));
    let receipt = client.put(&table, sample.schema.clone(), batches, options).await?;
    let time = begun.elapsed();
    expect("rows that the receipt confirms", sample.name, receipt.rows_put, rows as u64)?;
    let verb = if mode == PutMode::Append { "append" } else { "put" };
    let bytes = receipt.bytes.saturating_sub(bytes_before);
    steps.push(Step { verb, what: sample.name.to_owned(), rows: receipt.rows_put, bytes, time });
    Ok(receipt)
}

async fn list(client: &Client, receipts: &[Receipt], steps: &mut Vec<Step>) -> Result<()> {
    let begun = Instant::now();
    let tables = client.list("").await?;
    let time = begun.elapsed();
    expect("tables listed", "the server", tables.len() as u64, receipts.len() as u64)?;
    let (rows, bytes) = (tables.iter().map(|table| table.rows).sum(), tables.iter().map(|table| table.bytes).sum());
    steps.push(Step { verb: "list", what: format!("{} tables", tables.len()), rows, bytes, time });
    Ok(())
}

async fn get(client: &Client, sample: &Sample, receipt: &Receipt) -> Result<Step> {
    let begun = Instant::now();
    let mut stream = client.get(&receipt.ticket).await?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await? {
        batches.push(batch);
    }
    let time = begun.elapsed();
    let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    expect("rows read", &receipt.ticket, rows, receipt.rows)?;
    compare(&receipt.ticket, stream.schema(), &batches, sample)?;
    Ok(Step { verb: "get", what: receipt.ticket.clone(), rows, bytes: receipt.bytes, time })
}

fn expect(what: &str, of: &str, got: u64, expected: u64) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(Error::new(codes::INTERNAL, format!("{what}: {got}, expected {expected}")).at(of))
}

/// The values that were read against those that were put, column by column.
fn compare(ticket: &str, schema: &SchemaRef, batches: &[RecordBatch], sample: &Sample) -> Result<()> {
    let failed = |error: arrow_schema::ArrowError| Error::new(codes::INTERNAL, error.to_string()).at(ticket);
    let read = arrow_select::concat::concat_batches(schema, batches).map_err(failed)?;
    let put = arrow_select::concat::concat_batches(&sample.schema, &sample.batches).map_err(failed)?;
    for (column, field) in sample.schema.fields().iter().enumerate() {
        if read.column(column) != put.column(column) {
            let message = format!("column \"{}\" was read with other values than it was put", field.name());
            return Err(Error::new(codes::INTERNAL, message).at(ticket));
        }
    }
    Ok(())
}

/// The steps as an aligned table.
pub(super) fn table(steps: &[Step]) -> String {
    let mut table = Table::new([
        ("step", Align::Left),
        ("table", Align::Left),
        ("rows", Align::Right),
        ("bytes", Align::Right),
        ("time", Align::Right),
        ("GB/s", Align::Right),
    ]);
    for Step { verb, what, rows, bytes, time } in steps {
        let rate = match *verb {
            "list" => String::new(),
            _ => human::gigabytes_per_second(*bytes, *time),
        };
        let cells =
            [(*verb).to_owned(), what.clone(), human::count(*rows), human::bytes(*bytes), human::duration(*time), rate];
        table.push(cells);
    }
    table.render()
}
