//! The rules of a contract, made ready for batches, and in words.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::Schema;

use super::end::Broken;
use super::masks::{Set, Test, broken};
use crate::condition::Condition;
use crate::model::{Bound, Column, Metric, Table};
use crate::report::RuleReport;
use crate::types::write;
use crate::value::Value;

/// A rule that each row keeps or breaks.
pub(super) struct Rule {
    /// The column of the output.
    pub(super) column: usize,
    pub(super) name: String,
    pub(super) rule: &'static str,
    /// What a value must be.
    pub(super) says: String,
    /// `None`: that the value came through the cast.
    test: Option<Test>,
    /// Rows that broke it.
    pub(super) rows: u64,
}

impl Rule {
    /// Whether it is about the cast of the column.
    pub(super) fn is_cast(&self) -> bool {
        self.test.is_none()
    }

    pub(super) fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        self.test.as_ref().and_then(|test| broken(test, column))
    }

    pub(super) fn report(&self) -> RuleReport {
        RuleReport { column: self.name.clone(), rule: self.rule.to_owned(), rows: self.rows }
    }
}

/// The rules of rows, column by column.
pub(super) fn of_rows(table: &Table, output: &Schema) -> Vec<Rule> {
    let mut rules = Vec::new();
    for column in table.columns() {
        // A column that may be absent is not there in the modes that do not add it, and nothing is broken.
        let Ok(index) = output.index_of(column.name()) else { continue };
        let mut add = |rule: &'static str, says: String, test: Option<Test>| {
            rules.push(Rule { column: index, name: column.name().to_owned(), rule, says, test, rows: 0 });
        };
        let data_type = write(column.data_type());
        add("type", format!("a value of the type {data_type}, without loss"), None);
        if column.is_required() {
            add("required", "not null".to_owned(), Some(Test::NotNull));
        }
        if column.minimum.is_some() || column.maximum.is_some() {
            let test = Test::Range { low: column.minimum.clone(), high: column.maximum.clone() };
            add("range", range(column), Some(test));
        }
        if let Some(Bound { text, value: Value::Whole(step), .. }) = &column.multiple_of {
            add("multipleOf", format!("a multiple of {text}"), Some(Test::MultipleOf(*step)));
        }
        if let Some(values) = &column.values {
            add("validValues", format!("one of {}", list(&values.texts)), Some(Test::OneOf(Set::new(values))));
        }
        if let Some(values) = &column.missing {
            add("missingValues", format!("none of {}", list(&values.texts)), Some(Test::NoneOf(Set::new(values))));
        }
        if let Some(pattern) = &column.pattern {
            add("pattern", format!("a text that matches `{}`", pattern.as_str()), Some(Test::Pattern(pattern.clone())));
        }
        if column.length_min.is_some() || column.length_max.is_some() {
            let (min, max) = (column.length_min.unwrap_or(0), column.length_max.unwrap_or(u64::MAX));
            let says = match column.length_max {
                None => format!("{min} or longer"),
                Some(max) if min == 0 => format!("{max} or shorter"),
                Some(max) => format!("{min} to {max} long"),
            };
            add("length", says, Some(Test::Length { min, max }));
        }
    }
    rules
}

/// The range of a column in words.
pub(crate) fn range(column: &Column) -> String {
    let low = column.minimum.as_ref().map(|low| match low.is_inside {
        true => format!("at least {}", low.text),
        false => format!("more than {}", low.text),
    });
    let high = column.maximum.as_ref().map(|high| match high.is_inside {
        true => format!("at most {}", high.text),
        false => format!("less than {}", high.text),
    });
    low.into_iter().chain(high).collect::<Vec<_>>().join(" and ")
}

/// The first values of an enumeration.
pub(crate) fn list(texts: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut shown: Vec<String> = texts.iter().take(SHOWN).map(|text| crate::yaml::shorten(text)).collect();
    if let more @ 1.. = texts.len().saturating_sub(SHOWN) {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

/// A rule about how many values of a column are of a kind.
pub(super) struct Counter {
    column: usize,
    name: String,
    metric: &'static str,
    tests: Vec<Test>,
    allowed: Condition,
    count: u64,
}

/// The rules of counts.
pub(super) fn of_counts(table: &Table, output: &Schema) -> Vec<Counter> {
    let mut counters = Vec::new();
    for column in table.columns() {
        let Ok(index) = output.index_of(column.name()) else { continue };
        for counted in &column.counted {
            let tests = match &counted.metric {
                Metric::Nulls => vec![Test::NotNull],
                Metric::Missing { values, nulls_too: true } => vec![Test::NotNull, Test::NoneOf(Set::new(values))],
                Metric::Missing { values, nulls_too: false } => vec![Test::NoneOf(Set::new(values))],
                Metric::Invalid { values, pattern } => {
                    let values = values.iter().map(|values| Test::OneOf(Set::new(values)));
                    values.chain(pattern.iter().cloned().map(Test::Pattern)).collect()
                }
            };
            counters.push(Counter {
                column: index,
                name: column.name().to_owned(),
                metric: counted.metric.name(),
                tests,
                allowed: counted.allowed.clone(),
                count: 0,
            });
        }
    }
    counters
}

impl Counter {
    pub(super) fn add(&mut self, good: &RecordBatch) {
        let column = good.column(self.column);
        let mask = self.tests.iter().fold(None, |mask, test| crate::coerce::either(mask, broken(test, column)));
        self.count += mask.map_or(0, |mask| mask.count_set_bits() as u64);
    }

    pub(super) fn judge(&self, rows: u64) -> Option<Broken> {
        let (metric, count, allowed) = (self.metric, self.count, &self.allowed);
        (!allowed.holds(count, rows)).then(|| Broken {
            columns: vec![self.name.clone()],
            rule: metric.to_owned(),
            row: None,
            what: format!("{count} of {rows} rows count as `{metric}`, the contract allows {allowed}"),
            hint: "correct the values, or change the rule".to_owned(),
        })
    }
}
