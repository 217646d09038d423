//! Lists of quality rules: the metrics of the standard's library become rules, everything else is kept and named as
//! not checked.

use airlane_model::Result;

use super::column::{pattern, values};
use super::{Found, unknown_column};
use crate::condition::{Condition, OPERATORS, RANGES};
use crate::model::{Column, Counted, Key, Metric, NotChecked, Table};
use crate::yaml::{Node, shorten};

/// The rules of a column.
pub(super) fn of_column(property: &Node, column: &mut Column, found: &mut Found) -> Result<()> {
    let Some(list) = property.get("quality")? else { return Ok(()) };
    for rule in list.items()? {
        let Some((metric, allowed)) = library(rule, Some(&column.name), found)? else { continue };
        let arguments = rule.get("arguments")?;
        let argument = |key: &str| arguments.map_or(Ok(None), |arguments| arguments.get(key));
        let metric = match metric {
            "nullValues" => Metric::Nulls,
            "missingValues" => {
                let list = argument("missingValues")?
                    .ok_or_else(|| rule.wrong("`missingValues` has no argument `missingValues`"))?;
                let nulls_too = list.items()?.iter().any(|item| item.is_null());
                let words = list.items()?.iter().filter(|item| !item.is_null());
                // A word that is no value of the column's type, such as `N/A` among numbers, is never found there.
                let words = words
                    .filter(|item| item.text().is_ok_and(|text| crate::value::read(text, &column.data_type).is_ok()));
                let words: Vec<&Node> = words.collect();
                match (words.is_empty(), nulls_too) {
                    (true, _) => Metric::Nulls,
                    (false, nulls_too) => {
                        Metric::Missing { values: values(list, words.into_iter(), column)?, nulls_too }
                    }
                }
            }
            "invalidValues" => {
                // The standard's own example has the pattern beside an empty `arguments`.
                let pattern_node = argument("pattern")?.or(rule.get("pattern")?);
                let list = argument("validValues")?.or(rule.get("validValues")?);
                let pattern = pattern_node.map(|node| pattern(node, column, found)).transpose()?;
                let values = match list {
                    None => None,
                    Some(list) => Some(values(list, list.items()?.iter(), column)?),
                };
                if pattern.is_none() && values.is_none() {
                    return Err(rule.wrong("`invalidValues` has neither `validValues` nor `pattern`"));
                }
                Metric::Invalid { values, pattern }
            }
            "duplicateValues" => {
                let allowed = (!allowed.is_none()).then_some(allowed);
                found.keys.push(Key { columns: vec![column.name.clone()], is_primary: false, allowed });
                continue;
            }
            other => {
                not_checked(rule, Some(&column.name), other, "no such metric of a column is known", found)?;
                continue;
            }
        };
        add(column, metric, allowed);
    }
    Ok(())
}

/// A metric that allows nothing is a rule of each row, where the column has none of that kind yet.
fn add(column: &mut Column, metric: Metric, allowed: Condition) {
    match metric {
        Metric::Nulls if allowed.is_none() => column.is_required = true,
        Metric::Missing { values, nulls_too } if allowed.is_none() && column.missing.is_none() => {
            column.is_required |= nulls_too;
            column.missing = Some(values);
        }
        Metric::Invalid { values, pattern }
            if allowed.is_none()
                && (values.is_none() || column.values.is_none())
                && (pattern.is_none() || column.pattern.is_none()) =>
        {
            column.values = values.or(column.values.take());
            column.pattern = pattern.or(column.pattern.take());
        }
        metric => column.counted.push(Counted { metric, allowed }),
    }
}

/// The rules of the table.
pub(super) fn of_table(object: &Node, table: &mut Table, found: &mut Found) -> Result<()> {
    let Some(list) = object.get("quality")? else { return Ok(()) };
    for rule in list.items()? {
        let Some((metric, allowed)) = library(rule, None, found)? else { continue };
        match metric {
            "rowCount" if allowed.is_percent => return Err(rule.wrong("a count of rows in percent")),
            "rowCount" => table.rows.push(allowed),
            "duplicateValues" => {
                let arguments = rule.get("arguments")?;
                let list = arguments.map_or(Ok(None), |arguments| arguments.get("properties"))?;
                let list =
                    list.ok_or_else(|| rule.wrong("`duplicateValues` of a table has no argument `properties`"))?;
                let mut columns = Vec::new();
                for item in list.items()? {
                    let name = item.text()?;
                    if table.column(name).is_none() {
                        return Err(unknown_column(item, name));
                    }
                    columns.push(name.to_owned());
                }
                if columns.is_empty() {
                    return Err(list.wrong("a key of no columns"));
                }
                let allowed = (!allowed.is_none()).then_some(allowed);
                found.keys.push(Key { columns, is_primary: false, allowed });
            }
            other => not_checked(rule, None, other, "no such metric of a table is known", found)?,
        }
    }
    Ok(())
}

/// The metric and the condition of a rule of the library; `None` for other rules, which are noted.
fn library<'a>(rule: &'a Node, column: Option<&str>, found: &mut Found) -> Result<Option<(&'a str, Condition)>> {
    let kind = rule.get("type")?.map_or(Ok("library"), Node::text)?;
    let metric = rule.get("metric")?.or(rule.get("rule")?).map(Node::text).transpose()?;
    match (kind, metric) {
        ("library", Some(metric)) => {
            let condition = condition(rule)?;
            if condition.tests.is_empty() {
                not_checked(rule, column, metric, "it says no number to compare with", found)?;
                return Ok(None);
            }
            if condition.is_impossible() {
                return Err(rule.wrong(format!("impossible range: no count is {condition}")));
            }
            Ok(Some((metric, condition)))
        }
        (kind, metric) => {
            let why = match kind {
                "text" => "it is a text for people",
                "sql" => "it is a query",
                "custom" => "it is for another engine",
                _ => "it names no metric",
            };
            not_checked(rule, column, metric.unwrap_or(kind), why, found)?;
            Ok(None)
        }
    }
}

fn condition(rule: &Node) -> Result<Condition> {
    let mut tests = Vec::new();
    for (name, test) in OPERATORS {
        if let Some(node) = rule.get(name)? {
            tests.push(test(node.number()?));
        }
    }
    for (name, test) in RANGES {
        if let Some(node) = rule.get(name)? {
            match node.items()? {
                [low, high] if low.number()? <= high.number()? => tests.push(test(low.number()?, high.number()?)),
                _ => {
                    return Err(
                        node.wrong(format!("impossible range: `{name}` takes a list of two numbers, the lower first"))
                    );
                }
            }
        }
    }
    let is_percent = match rule.get("unit")?.map_or(Ok("rows"), Node::text)? {
        "rows" | "row" => false,
        "percent" | "%" => true,
        other => {
            return Err(rule.wrong(format!("`{}` is no unit of a rule", shorten(other))).hint("write rows or percent"));
        }
    };
    Ok(Condition { tests, is_percent })
}

fn not_checked(rule: &Node, column: Option<&str>, metric: &str, why: &str, found: &mut Found) -> Result<()> {
    let name = match (rule.get("name")?, rule.get("description")?) {
        (Some(node), _) | (None, Some(node)) => node.text()?,
        (None, None) => metric,
    };
    found.not_checked.push(NotChecked {
        column: column.map(str::to_owned),
        rule: name.chars().take(200).collect(),
        why: why.to_owned(),
    });
    Ok(())
}
