//! The schema of what comes against the contract: how each column is made, or why that cannot be.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use airlane_model::{Error, codes};
use arrow_schema::{Field, Fields, Schema, SchemaRef};

use super::Mode;
use crate::coerce::{self, Cast};
use crate::model::{Column, Contract};
use crate::types::{is_same, write};
use crate::yaml::shorten;

/// Names of the columns that say why a row was set aside.
pub const REASON_COLUMNS: [&str; 4] = ["_row", "_rule", "_column", "_reason"];

/// Why a schema does not fit a contract: every reason, so that all can be mended at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaBreaks {
    /// The table, as the options named it.
    pub table: String,
    /// At least one.
    pub breaks: Vec<SchemaBreak>,
}

/// One column that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaBreak {
    /// The column.
    pub column: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for SchemaBreaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.breaks.iter().take(10).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}column `{}` {}", shorten(&one.column), one.what)?;
        }
        match self.breaks.len().saturating_sub(10) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl From<SchemaBreaks> for Error {
    fn from(breaks: SchemaBreaks) -> Self {
        let hint = breaks.breaks.first().map(|first| first.hint.clone()).unwrap_or_default();
        let place = format!("table \"{}\"", shorten(&breaks.table));
        Error::new(codes::CONTRACT_BROKEN, breaks.to_string()).at(place).hint(hint)
    }
}

/// How the columns of a checked batch are made.
pub(super) struct Plan {
    pub(super) sources: Vec<Source>,
    pub(super) output: SchemaRef,
    /// Whether a batch without bad rows is what it was.
    pub(super) is_same: bool,
    pub(super) reordered: bool,
}

/// Where a column of the output comes from.
pub(super) enum Source {
    Column { index: usize, cast: Option<Cast> },
    Nulls,
}

/// Compares, and decides what is cast.
pub(super) fn plan(contract: &Contract, input: &Schema, mode: Mode) -> Result<Plan, Vec<SchemaBreak>> {
    let mut breaks = Vec::new();
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    for (index, field) in input.fields().iter().enumerate() {
        if by_name.insert(field.name(), index).is_some() {
            breaks.push(found(field.name(), "appears twice", "rename one of the two"));
        }
        if mode.sets_aside() && REASON_COLUMNS.contains(&field.name().as_str()) {
            breaks.push(found(field.name(), "has a name that rejected rows use", "rename it"));
        }
    }
    let table = contract.table();
    let mut sources = Vec::new();
    let mut fields: Vec<Field> = Vec::new();
    let metadata = input.metadata().clone();
    for column in table.columns() {
        match by_name.get(column.name()) {
            None if column.is_required() => {
                breaks.push(found(column.name(), "is missing", "the contract requires the column: send it"));
            }
            None if !mode.casts() => {
                let hint = "send the column, all nulls if need be, or let the mode `coerce` add it";
                breaks.push(found(column.name(), "is missing", hint));
            }
            None => {
                sources.push(Source::Nulls);
                fields.push(column.field());
            }
            Some(index) => match source(column, input.field(*index), *index, mode) {
                Ok((source, field)) => {
                    sources.push(source);
                    fields.push(field);
                }
                Err(one) => breaks.push(one),
            },
        }
    }
    for (index, field) in input.fields().iter().enumerate() {
        if table.column(field.name()).is_some() {
            continue;
        }
        if table.takes_more_columns() {
            sources.push(Source::Column { index, cast: None });
            fields.push(field.as_ref().clone());
        } else {
            let hint = "leave the column out, or allow it in the contract by `additionalColumns`";
            breaks.push(found(field.name(), "is not in the contract", hint));
        }
    }
    let order: Vec<usize> = sources.iter().filter_map(Source::index).collect();
    let reordered = !order.is_sorted();
    if reordered && !mode.casts() && breaks.is_empty() {
        let moved = order.iter().enumerate().find(|(position, index)| position != *index);
        let name = moved.map_or("", |(_, index)| input.field(*index).name());
        breaks.push(found(name, "stands at another place", "send the columns in the order of the contract"));
    }
    if !breaks.is_empty() {
        return Err(breaks);
    }
    let is_same = sources.iter().enumerate().all(|(position, source)| match source {
        Source::Column { index, cast } => *index == position && cast.is_none(),
        Source::Nulls => false,
    });
    let output = Arc::new(Schema::new_with_metadata(Fields::from(fields), metadata));
    Ok(Plan { sources, output, is_same, reordered })
}

impl Source {
    fn index(&self) -> Option<usize> {
        match self {
            Self::Column { index, .. } => Some(*index),
            Self::Nulls => None,
        }
    }
}

/// The column as it comes, with the name and metadata of the input, or cast to the contract's type.
fn source(column: &Column, field: &Field, index: usize, mode: Mode) -> Result<(Source, Field), SchemaBreak> {
    let (from, to) = (field.data_type(), column.data_type());
    if !mode.casts() {
        return match is_same(from, to) {
            true => Ok((Source::Column { index, cast: None }, field.clone())),
            false => {
                let hint = match coerce::plan(from, to, column.format.as_ref()) {
                    Some(_) => "cast it, or let the mode `coerce` do that",
                    None => "send the type of the contract",
                };
                Err(found(column.name(), &differs(column, field), hint))
            }
        };
    }
    let Some(cast) = coerce::plan(from, to, column.format.as_ref()) else {
        let hint = "no cast of these types keeps what the values mean: send the type of the contract";
        return Err(found(column.name(), &differs(column, field), hint));
    };
    let cast = (!cast.is_rename() || from != to).then_some(cast);
    let made = column.field().with_metadata(field.metadata().clone());
    Ok((Source::Column { index, cast }, made))
}

fn differs(column: &Column, field: &Field) -> String {
    format!("has the type {} instead of {}", write(field.data_type()), write(column.data_type()))
}

fn found(column: &str, what: &str, hint: &str) -> SchemaBreak {
    SchemaBreak { column: column.to_owned(), what: what.to_owned(), hint: hint.to_owned() }
}
