//! Bad rows: the first one as an error, or all as a batch.

use std::sync::Arc;

use airlane_model::{Error, Result, codes};
use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt64Array};
use arrow_buffer::BooleanBuffer;
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::filter::filter;

use super::internal;
use super::plan::REASON_COLUMNS;
use super::rules::Rule;
use crate::yaml::shorten;

/// The schema of rows that are set aside.
pub(super) fn schema(input: &SchemaRef) -> SchemaRef {
    let [row, rule, column, reason] = REASON_COLUMNS;
    let added = [(row, DataType::UInt64), (rule, DataType::Utf8), (column, DataType::Utf8), (reason, DataType::Utf8)];
    let added = added.into_iter().map(|(name, data_type)| Arc::new(Field::new(name, data_type, false)));
    let fields: Vec<Arc<Field>> = input.fields().iter().cloned().chain(added).collect();
    Arc::new(Schema::new_with_metadata(fields, input.metadata().clone()))
}

/// The error of the first bad row. Of several rules that it breaks, the first is named.
pub(super) fn first(
    table: &str,
    rules: &[Rule],
    findings: &[(usize, BooleanBuffer)],
    batch: &RecordBatch,
    first: u64,
) -> Error {
    let firsts = findings.iter().filter_map(|(number, mask)| Some((mask.set_indices().next()?, *number)));
    let Some((row, number)) = firsts.min() else { return internal("no row is bad") };
    let rule = &rules[number];
    let message = reason(rule, batch, row);
    let place = format!("table \"{}\", row {}, column \"{}\"", shorten(table), first + row as u64, shorten(&rule.name));
    Error::new(codes::CONTRACT_BROKEN, message)
        .at(place)
        .hint(format!("rule `{}`: correct the value, or set bad rows aside by the mode `quarantine`", rule.rule))
}

/// The bad rows as they came, and for each the first rule that it breaks.
pub(super) fn batch(
    schema: &SchemaRef,
    rules: &[Rule],
    findings: &[(usize, BooleanBuffer)],
    bad: &BooleanBuffer,
    batch: &RecordBatch,
    first: u64,
) -> Result<RecordBatch> {
    let predicate = BooleanArray::new(bad.clone(), None);
    let columns: Result<Vec<ArrayRef>, _> = batch.columns().iter().map(|column| filter(column, &predicate)).collect();
    let mut columns = columns.map_err(internal)?;
    let (mut rule_names, mut names, mut reasons) = (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let rows: Vec<usize> = bad.set_indices().collect();
    for row in &rows {
        let broken = findings.iter().find(|(_, mask)| mask.value(*row));
        let (number, _) = broken.ok_or_else(|| internal("a row breaks no rule"))?;
        let rule = &rules[*number];
        rule_names.append_value(rule.rule);
        names.append_value(&rule.name);
        reasons.append_value(reason(rule, batch, *row));
    }
    let numbers: UInt64Array = rows.iter().map(|row| first + *row as u64).collect();
    columns.extend([
        Arc::new(numbers) as ArrayRef,
        Arc::new(rule_names.finish()),
        Arc::new(names.finish()),
        Arc::new(reasons.finish()),
    ]);
    RecordBatch::try_new(schema.clone(), columns).map_err(internal)
}

/// Why a value is bad: the value as it came, and what it must be.
fn reason(rule: &Rule, batch: &RecordBatch, row: usize) -> String {
    let says = &rule.says;
    match batch.column_by_name(&rule.name) {
        Some(column) if column.is_valid(row) => {
            let value = array_value_to_string(column, row).unwrap_or_default();
            format!("`{}` is not {says}", shorten(&value))
        }
        _ => format!("a null is not {says}").replace("is not not null", "stands where none may"),
    }
}
