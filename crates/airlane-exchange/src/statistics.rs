//! What the columns of a version hold: nulls, the smallest and the largest value.
//!
//! All rows are looked at once; who asks again for the same version is answered from what was found.

use std::cmp::Ordering;
use std::collections::VecDeque;

use airlane_model::{Caller, Error, Result, RowRange, TableId, TableInfo, TableName, Ticket, Version, codes};
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_ord::ord::{DynComparator, make_comparator};
use arrow_schema::{ArrowError, SchemaRef, SortOptions};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;

use crate::Exchange;
use crate::read::TableRead;

/// Versions whose statistics are kept.
const KEPT_MAX: usize = 64;

/// The statistics of a version.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Statistics {
    /// The table.
    #[serde(flatten)]
    pub info: TableInfo,
    /// Its columns, in order.
    pub columns: Vec<ColumnStatistics>,
}

/// A column. Values are told as text, as CSV has them; a NaN counts as larger than all numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ColumnStatistics {
    /// Its name.
    pub name: String,
    /// Its type, as Arrow writes it.
    pub r#type: String,
    /// Rows without a value.
    pub nulls: u64,
    /// Absent where there is no value, and for types without an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// As `min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
}

/// What was found, newest last.
#[derive(Debug, Default)]
pub(crate) struct KeptStatistics(Mutex<VecDeque<(TableId, Version, Vec<ColumnStatistics>)>>);

impl Exchange {
    /// The statistics of a table as it is now (blocking: all its rows may have to be looked at). It is no read, where those are
    /// counted.
    ///
    /// # Errors
    /// `table_not_found`, `data_damaged`.
    pub fn statistics(&self, caller: &Caller, table: &TableName) -> Result<Statistics> {
        let reading = self.reading(caller, &Ticket::current(table.clone()))?;
        let info = reading.snapshot.info().clone();
        if let Some(columns) = self.statistics.find(&info) {
            return Ok(Statistics { info, columns });
        }
        let rows = RowRange { start: 0, end: info.rows };
        let stream = TableRead::new(reading.snapshot, rows, None, self.store.frames().clone(), None);
        let columns = columns(stream)?;
        self.statistics.keep(&info, columns.clone());
        Ok(Statistics { info, columns })
    }
}

impl KeptStatistics {
    fn find(&self, info: &TableInfo) -> Option<Vec<ColumnStatistics>> {
        let kept = self.0.lock();
        let found = kept.iter().find(|(id, version, _)| (*id, *version) == (info.table_id, info.version))?;
        Some(found.2.clone())
    }

    fn keep(&self, info: &TableInfo, columns: Vec<ColumnStatistics>) {
        let mut kept = self.0.lock();
        kept.retain(|(id, ..)| *id != info.table_id);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((info.table_id, info.version, columns));
    }
}

fn columns(mut stream: TableRead) -> Result<Vec<ColumnStatistics>> {
    let schema: SchemaRef = stream.schema().arrow().clone();
    let mut extremes = vec![Extremes::default(); schema.fields().len()];
    while let Some(batch) = stream.next_batch()? {
        for (column, extremes) in batch.columns().iter().zip(&mut extremes) {
            extremes.see(column);
        }
    }
    let columns = schema.fields().iter().zip(extremes).map(|(field, extremes)| {
        Ok(ColumnStatistics {
            name: field.name().clone(),
            r#type: field.data_type().to_string(),
            nulls: extremes.nulls,
            min: extremes.min.as_ref().map(text).transpose()?,
            max: extremes.max.as_ref().map(text).transpose()?,
        })
    });
    columns.collect()
}

/// Of the rows so far. The values are arrays of one row.
#[derive(Clone, Debug, Default)]
struct Extremes {
    nulls: u64,
    min: Option<ArrayRef>,
    max: Option<ArrayRef>,
}

impl Extremes {
    fn see(&mut self, column: &ArrayRef) {
        // Also of values that a dictionary or a run says are null.
        let nulls = column.logical_nulls();
        self.nulls += nulls.as_ref().map_or(0, |nulls| nulls.null_count() as u64);
        // No order: nothing to tell.
        let Ok(compare) = comparator(column, column) else { return };
        let is_value = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
        let order = |one: &usize, other: &usize| compare(*one, *other);
        let least = (0..column.len()).filter(is_value).min_by(order);
        let most = (0..column.len()).filter(is_value).max_by(order);
        replace(&mut self.min, column, least, Ordering::Less);
        replace(&mut self.max, column, most, Ordering::Greater);
    }
}

fn comparator(one: &ArrayRef, other: &ArrayRef) -> std::result::Result<DynComparator, ArrowError> {
    make_comparator(one, other, SortOptions::default())
}

/// Takes a row in place of the one so far, if it compares so with it.
fn replace(best: &mut Option<ArrayRef>, column: &ArrayRef, row: Option<usize>, wanted: Ordering) {
    let Some(row) = row else { return };
    let row = column.slice(row, 1);
    let is_better = match best {
        None => true,
        Some(best) => comparator(&row, best).is_ok_and(|compare| compare(0, 0) == wanted),
    };
    if is_better {
        *best = Some(row);
    }
}

fn text(row: &ArrayRef) -> Result<String> {
    let failed = |error: ArrowError| {
        Error::new(codes::INTERNAL, format!("a value cannot be told as text: {error}")).source(error)
    };
    let options = FormatOptions::default();
    Ok(ArrayFormatter::try_new(row, &options).map_err(failed)?.value(0).to_string())
}
