//! What the hash over the rows of a put costs: the same stream laid out without and with it, in turn.
//!
//! `cargo run --release -p airlane-segment --example fingerprint`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use airlane_segment::{DecodeLimits, Intake, MemfdPool, WriterOptions};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray, StringViewArray};
use arrow_ipc::writer::{DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};

const BATCHES: usize = 128;
const ROUNDS: usize = 21;

fn main() -> Result<(), Box<dyn Error>> {
    let rows = 64_000_i64;
    let texts = || (0..rows / 4).map(|row| format!("a text of row {row}"));
    let words = (0..rows).map(|row| ["red", "green", "blue"][usize::try_from(row % 3).unwrap_or(0)]);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let floats: ArrayRef =
        Arc::new((0..rows).map(|row| (row % 9 > 0).then_some(f64::from(row as i32))).collect::<Float64Array>());
    for (name, columns) in [
        ("numbers", vec![numbers.clone(), numbers.clone()]),
        ("numbers with nulls", vec![numbers, floats]),
        (
            "texts",
            vec![Arc::new(texts().collect::<Vec<_>>().into_iter().map(Some).collect::<StringArray>()) as ArrayRef],
        ),
        ("text views", vec![Arc::new(StringViewArray::from_iter_values(texts())) as ArrayRef]),
        ("a dictionary", vec![Arc::new(words.collect::<DictionaryArray<Int32Type>>()) as ArrayRef]),
    ] {
        let names = ["a", "b"];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().zip(names).map(|(column, name)| (name, column, true)),
        )?;
        measure(name, &batch)?;
    }
    Ok(())
}

/// The schema message, the dictionaries, and one batch.
fn encode(batch: &RecordBatch) -> Result<(EncodedData, Vec<EncodedData>, EncodedData), Box<dyn Error>> {
    let (generator, options) = (IpcDataGenerator::default(), IpcWriteOptions::default());
    let mut tracker = DictionaryTracker::new(false);
    let schema = generator.schema_to_bytes_with_dictionary_tracker(&batch.schema(), &mut tracker, &options);
    let (dictionaries, rows) = generator.encode(batch, &mut tracker, &options, &mut IpcWriteContext::default())?;
    Ok((schema, dictionaries, rows))
}

fn put(batch: &RecordBatch, with: bool) -> Result<Duration, Box<dyn Error>> {
    let (schema, dictionaries, rows) = encode(batch)?;
    let homes = Box::new(MemfdPool::default());
    let limits = DecodeLimits::default();
    let intake = Intake::from_message(&schema.ipc_message, limits, WriterOptions::default(), homes)?;
    let mut intake = if with { intake.with_fingerprint() } else { intake };
    let begun = Instant::now();
    for message in dictionaries.iter().chain(std::iter::repeat_n(&rows, BATCHES)) {
        intake.begin(&message.ipc_message, message.arrow_data.len() as u64)?;
        message.arrow_data.chunks(16 << 10).try_for_each(|chunk| intake.body(chunk))?;
        intake.end()?;
    }
    assert_eq!(intake.fingerprint().is_some(), with);
    let segments = intake.finish()?;
    let time = begun.elapsed();
    assert_eq!(segments.iter().map(airlane_segment::Segment::rows).sum::<u64>(), (batch.num_rows() * BATCHES) as u64);
    Ok(time)
}

fn measure(name: &str, batch: &RecordBatch) -> Result<(), Box<dyn Error>> {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (with, times) in times.iter_mut().enumerate() {
            times.push(put(batch, with == 1)?);
        }
    }
    let [without, with] = times.map(|mut times| {
        times.sort_unstable();
        times[ROUNDS / 2]
    });
    let bytes = batch.get_array_memory_size() * BATCHES;
    let rate = bytes as f64 / without.as_secs_f64() / 1e9;
    let more = (with.as_secs_f64() / without.as_secs_f64() - 1.0) * 100.0;
    println!("{name}: {without:?} without ({rate:.1} GB/s), {with:?} with: {more:+.1} %");
    Ok(())
}
