//! What is decided when all rows are there: their number, their age, and keys that came twice.

use airlane_model::{Error, Result, Timestamp, codes};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{ArrayRef, ArrowPrimitiveType, RecordBatch};
use arrow_schema::{DataType, Schema, TimeUnit};

use super::Mode;
use super::keys::Repeats;
use crate::condition::Condition;
use crate::model::{Freshness, Key, Table};
use crate::report::Report;
use crate::yaml::shorten;

/// How a put ended: it may be committed when nothing is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a put whose contract is broken must not be committed"]
pub struct Verdict {
    pub(super) table: String,
    /// What was done, for the receipt.
    pub report: Report,
    /// What all rows together break.
    pub broken: Vec<Broken>,
}

/// A rule that all rows together break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The columns that it is about; none for a count of rows.
    pub columns: Vec<String>,
    /// Its name: `rowCount`, `freshness`, `primaryKey`, `unique`, or a metric.
    pub rule: String,
    /// The first row that breaks it, where one does, counted from 0 in the stream.
    pub row: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl Verdict {
    /// The report, or the error of the first rule that is broken.
    ///
    /// # Errors
    /// `contract_broken`.
    pub fn into_result(self) -> Result<Report> {
        let Some(broken) = self.broken.into_iter().next() else { return Ok(self.report) };
        let mut place = format!("table \"{}\"", shorten(&self.table));
        if let Some(row) = broken.row {
            place.push_str(&format!(", row {row}"));
        }
        if !broken.columns.is_empty() {
            let columns: Vec<String> = broken.columns.iter().map(|name| format!("\"{}\"", shorten(name))).collect();
            place.push_str(&format!(", column {}", columns.join(", ")));
        }
        let hint = format!("rule `{}`: {}", broken.rule, broken.hint);
        Err(Error::new(codes::CONTRACT_BROKEN, broken.what).at(place).hint(hint))
    }
}

/// What is gathered from good rows.
pub(super) struct End {
    rows: Vec<Condition>,
    freshness: Option<(Freshness, usize)>,
    /// The newest moment, in nanoseconds since 1970.
    newest: Option<i128>,
}

impl End {
    pub(super) fn new(table: &Table, output: &Schema) -> Self {
        let freshness = table.freshness.clone();
        let freshness = freshness.and_then(|own| Some((own.clone(), output.index_of(&own.column).ok()?)));
        Self { rows: table.rows.clone(), freshness, newest: None }
    }

    pub(super) fn add(&mut self, good: &RecordBatch) {
        if let Some((_, column)) = &self.freshness {
            self.newest = self.newest.max(newest(good.column(*column)));
        }
    }

    pub(super) fn judge(&self, now: Timestamp, rows: u64) -> Vec<Broken> {
        let count = self.rows.iter().filter(|allowed| !allowed.holds(rows, rows)).map(|allowed| Broken {
            columns: Vec::new(),
            rule: "rowCount".to_owned(),
            row: None,
            what: format!("the put has {rows} rows, the contract allows {allowed}"),
            hint: "send all rows in one put, and no others".to_owned(),
        });
        let mut broken: Vec<Broken> = count.collect();
        let Some((freshness, _)) = &self.freshness else { return broken };
        let age_max = freshness.age_max.as_nanos().cast_signed();
        let what = match self.newest {
            None => Some("no row says of when it is".to_owned()),
            Some(newest) => {
                let age = i128::from(now.as_micros()) * 1_000 - newest;
                let seconds = age / 1_000_000_000;
                (age > age_max).then(|| format!("the newest row is {seconds} s old"))
            }
        };
        broken.extend(what.map(|what| Broken {
            columns: vec![freshness.column.clone()],
            rule: "freshness".to_owned(),
            row: None,
            what: format!("{what}, the contract allows {}", freshness.text),
            hint: "send newer rows".to_owned(),
        }));
        broken
    }
}

/// The verdict on a key.
pub(super) fn judge_key(key: &Key, repeats: &Repeats, rows: u64, mode: Mode) -> Option<Broken> {
    let first = repeats.first.as_ref();
    let rule = match (key.is_primary, &key.allowed) {
        (true, _) => "primaryKey",
        (false, None) => "unique",
        (false, Some(_)) => "duplicateValues",
    };
    let what = match &key.allowed {
        Some(allowed) if allowed.holds(repeats.count, rows) => return None,
        Some(allowed) => format!("{} rows repeat an earlier one, the contract allows {allowed}", repeats.count),
        None => {
            let first = first?;
            let more = match repeats.count {
                1 => String::new(),
                count => format!(", and {} more rows repeat an earlier one", count - 1),
            };
            format!("`{}` is in row {} already{more}", first.value, first.earlier)
        }
    };
    let hint = match mode.sets_aside() {
        true => "a key that comes twice refuses the put as a whole, since the earlier row is taken: leave one out",
        false => "leave one of the two out",
    };
    let row = first.map(|first| first.row);
    Some(Broken { columns: key.columns.clone(), rule: rule.to_owned(), row, what, hint: hint.to_owned() })
}

/// The newest moment of a column; one without a zone is UTC, a date is its midnight.
fn newest(column: &ArrayRef) -> Option<i128> {
    fn max<T: ArrowPrimitiveType>(column: &ArrayRef, nanos: i128) -> Option<i128>
    where
        T::Native: Ord + Into<i64>,
    {
        let newest: i64 = column.as_primitive::<T>().iter().flatten().max()?.into();
        Some(i128::from(newest) * nanos)
    }
    match column.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => max::<TimestampSecondType>(column, 1_000_000_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) => max::<TimestampMillisecondType>(column, 1_000_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => max::<TimestampMicrosecondType>(column, 1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => max::<TimestampNanosecondType>(column, 1),
        DataType::Date32 => max::<Date32Type>(column, 86_400_000_000_000),
        DataType::Date64 => max::<Date64Type>(column, 1_000_000),
        _ => None,
    }
}
