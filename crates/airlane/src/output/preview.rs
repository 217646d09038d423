//! The first rows of a table, for a terminal.

use airlane_model::{Error, Result, codes};
use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Schema, TimeUnit};

use super::table::{Align, Table, width};

const CELL_CHARS_MAX: usize = 32;

/// The rows as a table that is at most `columns_max` characters wide: columns that find no room are counted.
pub(crate) fn render(schema: &Schema, batches: &[RecordBatch], columns_max: usize) -> Result<String> {
    let mut columns = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let mut cells = vec![shorten(field.name()), shorten(&type_name(field.data_type()))];
        for batch in batches {
            cells.extend(texts(batch, index).map_err(|error| {
                Error::new(codes::DATA_INVALID, error.to_string()).at(format!("column \"{}\"", field.name()))
            })?);
        }
        columns.push((cells, align(field.data_type())));
    }
    let shown = fitting(&columns, columns_max);
    let hidden = columns.len() - shown;
    columns.truncate(shown);
    let mut table = Table::new(columns.iter().map(|(cells, align)| (cells[0].as_str(), *align)));
    let rows = columns.first().map_or(0, |(cells, _)| cells.len());
    table.subtitle(columns.iter().map(|(cells, _)| cells[1].clone()));
    for row in 2..rows {
        table.push(columns.iter().map(|(cells, _)| cells[row].clone()));
    }
    let mut text = table.render();
    if hidden > 0 {
        text.push_str(&format!("… and {}\n", super::human::counted(hidden as u64, "more column")));
    }
    Ok(text)
}

fn texts(batch: &RecordBatch, column: usize) -> std::result::Result<Vec<String>, arrow_schema::ArrowError> {
    let options = FormatOptions::default().with_null("null");
    let formatter = ArrayFormatter::try_new(batch.column(column), &options)?;
    (0..batch.num_rows()).map(|row| Ok(shorten(&formatter.value(row).try_to_string()?))).collect()
}

/// How many columns fit, at least one.
fn fitting(columns: &[(Vec<String>, Align)], columns_max: usize) -> usize {
    let mut taken = 0;
    let fits = |(cells, _): &&(Vec<String>, Align)| {
        taken += cells.iter().map(|cell| width(cell)).max().unwrap_or(0) + 2;
        taken <= columns_max + 2
    };
    columns.iter().take_while(fits).count().max(1).min(columns.len())
}

fn align(data_type: &DataType) -> Align {
    if data_type.is_numeric() { Align::Right } else { Align::Left }
}

/// A type as Arrow's documentation writes it.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Dictionary(key, value) => format!("dictionary<{}, {}>", type_name(key), type_name(value)),
        DataType::Timestamp(unit, None) => format!("timestamp({})", unit_name(*unit)),
        DataType::Timestamp(unit, Some(zone)) => format!("timestamp({}, {zone})", unit_name(*unit)),
        DataType::Time32(unit) => format!("time32({})", unit_name(*unit)),
        DataType::Time64(unit) => format!("time64({})", unit_name(*unit)),
        DataType::Duration(unit) => format!("duration({})", unit_name(*unit)),
        DataType::List(field) => format!("list<{}>", type_name(field.data_type())),
        DataType::LargeList(field) => format!("large_list<{}>", type_name(field.data_type())),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| format!("{}: {}", field.name(), type_name(field.data_type())));
            format!("struct<{}>", fields.collect::<Vec<_>>().join(", "))
        }
        DataType::Boolean => "bool".into(),
        other if !other.is_nested() => other.to_string().to_lowercase(),
        other => other.to_string(),
    }
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

fn shorten(text: &str) -> String {
    let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Some((end, _)) = text.char_indices().nth(CELL_CHARS_MAX) {
        text.truncate(end);
        text.pop();
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn long_texts_and_many_columns_are_cut() {
        let text = StringArray::from(vec![Some("a\nb"), Some(&"x".repeat(50)), None]);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, -20, 300]));
        let batch =
            RecordBatch::try_from_iter([("text", Arc::new(text) as ArrayRef), ("n", numbers.clone()), ("m", numbers)])
                .expect("batch");
        let shown = render(&batch.schema(), std::slice::from_ref(&batch), 40).expect("render");
        let x = "x".repeat(31);
        let rule = "─".repeat(32);
        let space = " ".repeat(28);
        assert_eq!(
            shown,
            format!(
                "text{space}      n\nutf8{space}  int64\n{rule}  ─────\na b {space}      1\n{x}…    -20\nnull{space}    300\n… and 1 more column\n"
            )
        );
    }
}
