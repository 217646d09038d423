//! A program with Airlane inside, which starts a worker in Python, hands it a table, and takes one back.
//!
//! ```sh
//! pip install airlane-*.whl pyarrow
//! cargo run --example embedded_worker -- python3
//! ```

use std::error::Error;
use std::process::Command;
use std::sync::Arc;

use airlane::embedded::{Embedded, EmbeddedOptions, PutSpec};
use airlane_model::Right;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use futures::stream;

const WORKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/embedded_worker.py");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let python = std::env::args_os().nth(1).unwrap_or_else(|| "python3".into());
    let airlane = Embedded::start(EmbeddedOptions::default()).await?;

    let orders = orders()?;
    let (schema, rows) = (orders.schema(), stream::iter([Ok(orders)]));
    let receipt = airlane.put(PutSpec::new("desk/orders".parse()?), schema, rows).await?;
    println!("put {} with {} rows", receipt.ticket, receipt.rows);

    // The worker sees the orders, and writes where nothing else is. It is let in until the pass is dropped.
    let pass = airlane.worker("totals", &[("desk", &[Right::Read]), ("results", &[Right::Write])])?;
    let mut worker = Command::new(python);
    worker.arg(WORKER).arg(&receipt.ticket).arg("results/totals").envs(pass.environment());
    let status = tokio::task::spawn_blocking(move || worker.status()).await??;
    if !status.success() {
        return Err(format!("the worker ended with {status}").into());
    }

    let mut totals = airlane.get("results/totals")?;
    while let Some(batch) = totals.next().await? {
        let (regions, sums) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Float64Type>());
        for (region, sum) in regions.iter().zip(sums) {
            println!("{}: {}", region.unwrap_or_default(), sum.unwrap_or_default());
        }
    }
    airlane.stop().await?;
    Ok(())
}

fn orders() -> Result<RecordBatch, Box<dyn Error>> {
    let regions: StringArray = (0..100_000).map(|row| Some(["east", "north", "west"][row % 3])).collect();
    let amounts: Float64Array = (0..100_000).map(|row| Some(f64::from(row % 7))).collect();
    let schema =
        Schema::new(vec![Field::new("region", DataType::Utf8, false), Field::new("amount", DataType::Float64, false)]);
    Ok(RecordBatch::try_new(Arc::new(schema), vec![Arc::new(regions), Arc::new(amounts)])?)
}
