//! How a read is split into flights that can go in parallel.
//!
//! Flights are cut between segments: no record batch is cut, no file is opened to plan, and each flight sends the
//! dictionaries of its own segments.

use airlane_model::{Error, Result, RowRange, Ticket, codes};
use airlane_store::{SegmentRef, Snapshot};

use crate::{Endpoint, FlightPlan};

/// A flight of fewer bytes costs more than it gains.
const FLIGHT_BYTES_MIN: u64 = 32 << 20;

/// The rows that a ticket names, checked against the version.
///
/// # Errors
/// `rows_out_of_range`.
pub(crate) fn rows_of(snapshot: &Snapshot, ticket: &Ticket) -> Result<RowRange> {
    let rows = snapshot.info().rows;
    match ticket.rows {
        None => RowRange::new(0, rows),
        Some(range) if range.end <= rows => Ok(range),
        Some(range) => {
            let message = format!("row range {range} ends after the {rows} rows of `{}`", ticket.table);
            Err(Error::new(codes::ROWS_OUT_OF_RANGE, message).hint(format!("ask for rows between 0 and {rows}")))
        }
    }
}

/// Plans the flights of a ticket.
///
/// # Errors
/// `rows_out_of_range`, `data_damaged`.
pub(crate) fn plan(snapshot: &Snapshot, ticket: &Ticket, endpoints_max: usize) -> Result<FlightPlan> {
    let info = snapshot.info().clone();
    let range = rows_of(snapshot, ticket)?;
    let parts = parts(snapshot.segments(), range)?;
    let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    let target_bytes = FLIGHT_BYTES_MIN.max(bytes.div_ceil(endpoints_max.max(1) as u64));
    let whole = range.start == 0 && range.end == info.rows;
    let flights = gather(&parts, range, target_bytes);
    let endpoints = flights
        .iter()
        .map(|rows| Endpoint {
            ticket: Ticket {
                table: info.table.clone(),
                version: Some(info.version),
                table_id: Some(info.table_id),
                rows: (!whole || flights.len() > 1).then_some(*rows),
            },
            rows: rows.rows(),
        })
        .collect();
    Ok(FlightPlan { schema: snapshot.schema().clone(), rows: range.rows(), bytes, endpoints, info })
}

/// A segment's share of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    rows: RowRange,
    bytes: u64,
}

fn parts(segments: &[SegmentRef], range: RowRange) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut base = 0;
    for segment in segments {
        let end = base + segment.rows();
        let rows = RowRange { start: base.max(range.start), end: end.min(range.end) };
        if rows.start < rows.end {
            let whole = rows.rows() == segment.rows();
            let bytes = if whole {
                segment.payload_bytes()
            } else {
                bytes_of_rows(segment, rows.start - base, rows.end - base)?
            };
            parts.push(Part { rows, bytes });
        }
        base = end;
    }
    Ok(parts)
}

/// The bodies that a reader of some rows of a segment receives; the segment is opened to know.
fn bytes_of_rows(segment: &SegmentRef, start: u64, end: u64) -> Result<u64> {
    let segment = segment.open()?;
    let mut bytes: u64 = segment.dictionaries().iter().map(|dictionary| dictionary.message.body.len() as u64).sum();
    for index in 0..segment.batch_count() {
        let batch = segment.batch_rows(index);
        let rows = batch.start.max(start)..batch.end.min(end);
        if rows.start < rows.end {
            bytes += segment.slice(index, rows)?.body.len() as u64;
        }
    }
    Ok(bytes)
}

/// Joins neighbours to flights of about the target; at least one flight, also without rows.
fn gather(parts: &[Part], range: RowRange, target_bytes: u64) -> Vec<RowRange> {
    let mut flights: Vec<RowRange> = Vec::new();
    let mut flight_bytes = 0;
    for part in parts {
        match flights.last_mut() {
            Some(last) if flight_bytes + part.bytes <= target_bytes => {
                last.end = part.rows.end;
                flight_bytes += part.bytes;
            }
            _ => {
                flights.push(part.rows);
                flight_bytes = part.bytes;
            }
        }
    }
    if flights.is_empty() {
        flights.push(RowRange { start: range.start, end: range.start });
    }
    flights
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts_of(sizes: &[(u64, u64)]) -> Vec<Part> {
        let mut start = 0;
        sizes
            .iter()
            .map(|(rows, bytes)| {
                let part = Part { rows: RowRange { start, end: start + rows }, bytes: *bytes };
                start += rows;
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
            prop_assert_eq!(flights[0].start, 0);
            prop_assert_eq!(flights[flights.len() - 1].end, total);
            for pair in flights.windows(2) {
                prop_assert_eq!(pair[0].end, pair[1].start);
                prop_assert!(pair[0].rows() > 0);
            }
        }
    }
}
