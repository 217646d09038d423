//! A stream of record batches against a contract.
//!
//! 1. [`plan`]: its schema, once.
//! 2. [`masks`]: the rules of each row, for each batch.
//! 3. [`keys`]: what is decided at the end, over all rows.

use std::fmt;

use airlane_model::contract::Mode;
use airlane_model::{ByteSize, Error, Result, Timestamp, codes};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::SchemaRef;
use arrow_select::filter::FilterBuilder;

use crate::coerce::{self, either};
use crate::model::Contract;
use crate::report::{CastReport, Report};
use crate::types::write;

mod end;
mod keys;
mod masks;
mod plan;
mod rejected;
pub(crate) mod rules;

pub use end::{Broken, Verdict};
pub use keys::Spill;
pub use plan::{REASON_COLUMNS, SchemaBreak, SchemaBreaks};

use keys::Keys;
use plan::{Plan, Source};
use rules::{Counter, Rule};

/// How a stream is checked.
pub struct CheckOptions {
    /// The name of the table, for messages.
    pub table: String,
    /// What happens to data that breaks the contract.
    pub mode: Mode,
    /// For the hashes of keys: chosen by chance, so that nobody can make keys whose hashes are equal.
    pub seed: u64,
    /// Memory for keys, of all keys of the contract together. Above it they spill.
    pub key_bytes_max: ByteSize,
    /// Where keys spill; without one, more keys than fit are refused (`limit_exceeded`).
    pub spill: Option<Box<dyn Spill>>,
}

impl CheckOptions {
    /// Options for a table: 64 MiB of keys, and no spill.
    pub fn new(table: impl Into<String>, mode: Mode, seed: u64) -> Self {
        Self { table: table.into(), mode, seed, key_bytes_max: ByteSize::mib(64), spill: None }
    }
}

impl fmt::Debug for CheckOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckOptions").field("table", &self.table).field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Checks the batches of one stream, in their order.
pub struct Checker {
    table: String,
    mode: Mode,
    input: SchemaRef,
    rejected: SchemaRef,
    plan: Plan,
    rules: Vec<Rule>,
    counters: Vec<Counter>,
    keys: Vec<(crate::model::Key, Keys)>,
    spill: Option<Box<dyn Spill>>,
    end: end::End,
    /// Rows that came.
    rows: u64,
    report: Report,
}

/// A batch that was checked.
#[derive(Debug)]
pub struct Checked {
    /// The rows to take, of [`Checker::output_schema`].
    pub good: RecordBatch,
    /// The rows to set aside, of [`Checker::rejected_schema`]: as they came, and why.
    pub rejected: Option<RecordBatch>,
}

impl Checker {
    /// Compares the schema of a stream with a contract.
    ///
    /// # Errors
    /// Every column that does not fit.
    pub fn new(contract: &Contract, input: &SchemaRef, options: CheckOptions) -> Result<Self, SchemaBreaks> {
        let CheckOptions { table, mode, seed, key_bytes_max, spill } = options;
        let fail = |breaks| SchemaBreaks { table: table.clone(), breaks };
        let plan = plan::plan(contract, input, mode).map_err(fail)?;
        let model = contract.table();
        let mut report = Report {
            contract: contract.name().to_owned(),
            version: contract.version().map(str::to_owned),
            mode: mode.name().to_owned(),
            reordered: plan.reordered,
            not_checked: model.not_checked().to_vec(),
            ..Report::default()
        };
        for (position, source) in plan.sources.iter().enumerate() {
            let field = plan.output.field(position);
            match source {
                Source::Nulls => report.added.push(field.name().clone()),
                Source::Column { index, cast: Some(cast) } if !cast.is_rename() => report.casts.push(CastReport {
                    column: field.name().clone(),
                    from: write(input.field(*index).data_type()),
                    to: write(field.data_type()),
                    values: 0,
                }),
                Source::Column { .. } => {}
            }
        }
        let budget = ByteSize::bytes(key_bytes_max.as_u64() / model.keys.len().max(1) as u64);
        let mut keys = Vec::new();
        for (index, key) in model.keys.iter().enumerate() {
            let columns = key.columns.iter().filter_map(|name| Some((plan.output.index_of(name).ok()?, name.clone())));
            let made = Keys::new(index, columns.collect(), &plan.output, budget, seed).map_err(|error| {
                let (column, what) = (key.columns.join(", "), error.message().to_owned());
                fail(vec![SchemaBreak { column, what, hint: "leave the key out of the contract".to_owned() }])
            })?;
            keys.push((key.clone(), made));
        }
        Ok(Self {
            rules: rules::of_rows(model, &plan.output),
            counters: rules::of_counts(model, &plan.output),
            end: end::End::new(model, &plan.output),
            rejected: rejected::schema(input),
            input: input.clone(),
            table,
            mode,
            plan,
            keys,
            spill,
            rows: 0,
            report,
        })
    }

    /// The schema of good rows: in the modes that do not cast it is the one that came, otherwise the contract's, with the
    /// metadata of the one that came.
    pub fn output_schema(&self) -> &SchemaRef {
        &self.plan.output
    }

    /// The schema of rows that are set aside: the one that came, and `_row`, `_rule`, `_column`, `_reason`.
    pub fn rejected_schema(&self) -> &SchemaRef {
        &self.rejected
    }

    /// Whether good batches are, unless a row is bad, the very batches that came: then their bytes may be kept.
    pub fn reads_along(&self) -> bool {
        self.plan.is_same
    }

    /// Bytes of memory that the keys take now.
    pub fn key_bytes(&self) -> usize {
        self.keys.iter().map(|(_, keys)| keys.bytes()).sum()
    }

    /// Rows that came so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Checks the next batch.
    ///
    /// # Errors
    /// `contract_broken` for the first bad row, in the modes that do not set rows aside; `limit_exceeded` for more keys
    /// than fit; what the spill has. After an error the checker is of no more use.
    pub fn check(&mut self, batch: &RecordBatch) -> Result<Checked> {
        self.fits(batch)?;
        let first = self.rows;
        self.rows += batch.num_rows() as u64;
        let (columns, lost) = self.make(batch)?;
        let mut findings: Vec<(usize, BooleanBuffer)> = Vec::new();
        for (number, rule) in self.rules.iter().enumerate() {
            let lost = lost[rule.column].as_ref();
            let mask = match rule.is_cast() {
                true => lost.cloned(),
                // What was lost is broken already.
                false => rule.broken(&columns[rule.column]).map(|mask| match lost {
                    Some(lost) => &mask & &!lost,
                    None => mask,
                }),
            };
            findings.extend(mask.filter(|mask| mask.count_set_bits() > 0).map(|mask| (number, mask)));
        }
        if findings.is_empty() {
            let good = match self.plan.is_same && batch.schema_ref() == &self.plan.output {
                true => batch.clone(),
                false => self.batch(columns, batch.num_rows())?,
            };
            self.take(&good, |row| first + row as u64)?;
            return Ok(Checked { good, rejected: None });
        }
        if !self.mode.sets_aside() {
            return Err(rejected::first(&self.table, &self.rules, &findings, batch, first));
        }
        for (number, mask) in &findings {
            self.rules[*number].rows += mask.count_set_bits() as u64;
        }
        let bad = findings.iter().fold(None, |bad, (_, mask)| either(bad, Some(mask.clone())));
        let bad = bad.unwrap_or_else(|| BooleanBuffer::new_unset(batch.num_rows()));
        let rejected = rejected::batch(&self.rejected, &self.rules, &findings, &bad, batch, first)?;
        self.report.rows_rejected += rejected.num_rows() as u64;
        let kept = !&bad;
        let count = kept.count_set_bits();
        let numbers: Vec<u64> = kept.set_indices().map(|row| first + row as u64).collect();
        let filter = FilterBuilder::new(&BooleanArray::new(kept, None)).optimize().build();
        let columns: Result<Vec<ArrayRef>> =
            columns.iter().map(|column| filter.filter(column).map_err(internal)).collect();
        let good = self.batch(columns?, count)?;
        self.take(&good, |row| numbers[row])?;
        Ok(Checked { good, rejected: Some(rejected) })
    }

    /// Judges what only all rows together show. `now` is the time for freshness.
    ///
    /// # Errors
    /// What the spill has.
    pub fn finish(mut self, now: Timestamp) -> Result<Verdict> {
        let mut broken = self.end.judge(now, self.report.rows);
        for counter in &self.counters {
            broken.extend(counter.judge(self.report.rows));
        }
        for (key, keys) in &mut self.keys {
            let repeats = keys.finish(&mut self.spill)?;
            broken.extend(end::judge_key(key, &repeats, self.report.rows, self.mode));
        }
        let mut report = self.report;
        report.broken = self.rules.iter().filter(|rule| rule.rows > 0).map(Rule::report).collect();
        Ok(Verdict { table: self.table, report, broken })
    }

    fn fits(&self, batch: &RecordBatch) -> Result<()> {
        let (own, other) = (self.input.fields(), batch.schema_ref().fields());
        let fits =
            own.len() == other.len() && own.iter().zip(other).all(|(own, other)| own.data_type() == other.data_type());
        if fits { Ok(()) } else { Err(internal("a batch has another schema than the stream")) }
    }

    /// The columns of the output, and for each the rows whose value was lost on the way.
    fn make(&mut self, batch: &RecordBatch) -> Result<(Vec<ArrayRef>, Vec<Option<BooleanBuffer>>)> {
        let mut columns = Vec::new();
        let mut lost = Vec::new();
        let mut casts = self.report.casts.iter_mut();
        for (position, source) in self.plan.sources.iter().enumerate() {
            let (column, bad) = match source {
                Source::Nulls => (coerce::nulls(self.plan.output.field(position).data_type(), batch.num_rows()), None),
                Source::Column { index, cast: None } => (batch.column(*index).clone(), None),
                Source::Column { index, cast: Some(cast) } => {
                    let column = batch.column(*index);
                    if !cast.is_rename()
                        && let Some(report) = casts.next()
                    {
                        report.values += (column.len() - column.logical_null_count()) as u64;
                    }
                    let cooked = cast.run(column).map_err(|error| {
                        let name = crate::yaml::shorten(self.plan.output.field(position).name());
                        Error::new(codes::CONTRACT_BROKEN, format!("the column cannot be cast: {error}"))
                            .at(format!("table \"{}\", column \"{name}\"", crate::yaml::shorten(&self.table)))
                            .hint("send smaller batches, or the type of the contract")
                    })?;
                    (cooked.column, cooked.bad)
                }
            };
            columns.push(column);
            lost.push(bad);
        }
        Ok((columns, lost))
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.plan.output.clone(), columns, &options).map_err(internal)
    }

    /// Counts good rows.
    fn take(&mut self, good: &RecordBatch, rows: impl Fn(usize) -> u64) -> Result<()> {
        self.report.rows += good.num_rows() as u64;
        for counter in &mut self.counters {
            counter.add(good);
        }
        self.end.add(good);
        for (_, keys) in &mut self.keys {
            keys.add(good, &rows, &mut self.spill)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker").field("table", &self.table).field("rows", &self.rows).finish_non_exhaustive()
    }
}

pub(crate) fn internal(error: impl ToString) -> Error {
    Error::new(codes::INTERNAL, format!("checking a contract: {}", error.to_string()))
}

#[cfg(test)]
mod tests;
