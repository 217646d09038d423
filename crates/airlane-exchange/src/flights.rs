//! How a read is split into flights that can go in parallel.
//!
//! Flights are cut between segments: no record batch is cut, and no file is opened to plan whole segments. Each flight
//! sends the dictionaries of its own segments, each once as long as it stays the same.

use airlane_model::{Error, Result, RowRange, TableInfo, codes};
use airlane_store::{ReaderDictionaries, SegmentRef, Snapshot, StoredDictionary};

use crate::tickets::Reading;

/// A flight of fewer bytes costs more than it gains.
const FLIGHT_BYTES_MIN: u64 = 32 << 20;

/// The rows that a ticket names, checked against the version.
///
/// # Errors
/// `rows_out_of_range`.
pub(crate) fn rows_of(snapshot: &Snapshot, rows: Option<RowRange>) -> Result<RowRange> {
    let TableInfo { table, rows: all, .. } = snapshot.info();
    match rows {
        None => RowRange::new(0, *all),
        Some(range) if range.end <= *all => Ok(range),
        Some(range) => {
            let message = format!("row range {range} ends after the {all} rows of `{table}`");
            Err(Error::new(codes::ROWS_OUT_OF_RANGE, message).hint(format!("ask for rows between 0 and {all}")))
        }
    }
}

/// Plans the flights of a read, at most `endpoints_max`.
///
/// # Errors
/// `data_damaged`.
pub(crate) fn plan(reading: &Reading, endpoints_max: usize) -> Result<Vec<Flight>> {
    let parts = parts(reading.snapshot.segments(), reading.rows)?;
    let all_bytes: u64 = parts.iter().map(Part::bytes_alone).sum();
    let target_bytes = FLIGHT_BYTES_MIN.max(all_bytes.div_ceil(endpoints_max.max(1) as u64));
    Ok(gather(&parts, reading.rows, target_bytes))
}

/// A segment's share of a read.
#[derive(Clone, Debug)]
struct Part<'a> {
    rows: RowRange,
    /// The bodies of its record batches.
    batch_bytes: u64,
    dictionaries: &'a [StoredDictionary],
}

impl Part<'_> {
    /// What a reader receives who has none of its dictionaries.
    fn bytes_alone(&self) -> u64 {
        self.bytes_after(&mut ReaderDictionaries::default())
    }

    /// What a reader receives who has those dictionaries.
    fn bytes_after(&self, reader: &mut ReaderDictionaries) -> u64 {
        self.batch_bytes + reader.take(self.dictionaries)
    }
}

fn parts(segments: &[SegmentRef], range: RowRange) -> Result<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut base = 0;
    for segment in segments {
        let end = base + segment.rows();
        let rows = RowRange { start: base.max(range.start), end: end.min(range.end) };
        if rows.start < rows.end {
            let dictionaries = segment.dictionaries();
            let batch_bytes = if rows.rows() == segment.rows() {
                let of_dictionaries: u64 = dictionaries.iter().map(|dictionary| dictionary.bytes).sum();
                segment.payload_bytes().saturating_sub(of_dictionaries)
            } else {
                bytes_of_rows(segment, rows.start - base, rows.end - base)?
            };
            parts.push(Part { rows, batch_bytes, dictionaries });
        }
        base = end;
    }
    Ok(parts)
}

/// The bodies of some rows of a segment; it is opened to know.
fn bytes_of_rows(segment: &SegmentRef, start: u64, end: u64) -> Result<u64> {
    let segment = segment.open()?;
    let mut bytes = 0;
    for index in 0..segment.batch_count() {
        let batch = segment.batch_rows(index);
        let rows = batch.start.max(start)..batch.end.min(end);
        if rows.start < rows.end {
            bytes += segment.slice(index, rows)?.body.len() as u64;
        }
    }
    Ok(bytes)
}

/// A part of a read that goes on its own.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) rows: RowRange,
    /// The bodies that a reader of all columns receives.
    pub(crate) bytes: u64,
    reader: ReaderDictionaries,
}

impl Flight {
    fn new(part: &Part<'_>) -> Self {
        let mut reader = ReaderDictionaries::default();
        Self { rows: part.rows, bytes: part.bytes_after(&mut reader), reader }
    }
}

/// Joins neighbours to flights of about the target; at least one flight, also without rows.
fn gather(parts: &[Part<'_>], range: RowRange, target_bytes: u64) -> Vec<Flight> {
    let mut flights: Vec<Flight> = Vec::new();
    for part in parts {
        if let Some(last) = flights.last_mut() {
            let mut reader = last.reader.clone();
            let bytes = last.bytes + part.bytes_after(&mut reader);
            if bytes <= target_bytes {
                *last = Flight { rows: RowRange { end: part.rows.end, ..last.rows }, bytes, reader };
                continue;
            }
        }
        flights.push(Flight::new(part));
    }
    if flights.is_empty() {
        let rows = RowRange { start: range.start, end: range.start };
        flights.push(Flight { rows, bytes: 0, reader: ReaderDictionaries::default() });
    }
    flights
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts_of(sizes: &[(u64, u64)]) -> Vec<Part<'static>> {
        let mut start = 0;
        sizes
            .iter()
            .map(|(rows, bytes)| {
                let rows = RowRange { start, end: start + rows };
                let part = Part { rows, batch_bytes: *bytes, dictionaries: &[] };
                start = part.rows.end;
                part
            })
            .collect()
    }

    proptest! {
        #[test]
        fn flights_cover_the_rows_once_and_in_order(
            sizes in prop::collection::vec((1_u64..100, 1_u64..100), 0..40),
            target in 1_u64..500,
        ) {
            let parts = parts_of(&sizes);
            let total = sizes.iter().map(|(rows, _)| rows).sum();
            let flights = gather(&parts, RowRange { start: 0, end: total }, target);
            prop_assert_eq!(flights[0].rows.start, 0);
            prop_assert_eq!(flights[flights.len() - 1].rows.end, total);
            let bytes: u64 = sizes.iter().map(|size| size.1).sum();
            prop_assert_eq!(flights.iter().map(|flight| flight.bytes).sum::<u64>(), bytes);
            for pair in flights.windows(2) {
                prop_assert_eq!(pair[0].rows.end, pair[1].rows.start);
                prop_assert!(pair[0].rows.rows() > 0);
            }
        }
    }
}
