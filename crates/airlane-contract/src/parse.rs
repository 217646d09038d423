//! A document into a contract.
//!
//! 1. [`yaml`](crate::yaml) makes a tree.
//! 2. Here: what is about the whole document, and its one table.
//! 3. [`column`]: a column, its type and its rules.
//! 4. [`quality`]: the lists of quality rules, of columns and of the table.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use airlane_model::{Error, Result, codes};
use arrow_row::{RowConverter, SortField};
use arrow_schema::DataType;
use regex::Regex;

use crate::model::{Column, Contract, Freshness, Key, NotChecked, Table};
use crate::types::COLUMNS_MAX;
use crate::yaml::{self, Node, shorten};

mod column;
mod quality;

/// Keys of a table: each one is another look at every row.
const KEYS_MAX: usize = 100;

impl Contract {
    /// Reads a document that describes one table.
    ///
    /// # Errors
    /// `contract_invalid` with line and column.
    pub fn parse(document: &str) -> Result<Self> {
        Self::read(document, None)
    }

    /// Reads a document that may describe several tables, and takes one of them.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and where it has no such table.
    pub fn parse_table(document: &str, table: &str) -> Result<Self> {
        Self::read(document, Some(table))
    }

    /// As [`parse`](Self::parse), from bytes.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and for bytes that are not UTF-8.
    pub fn parse_bytes(document: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(document).map_err(|error| {
            Error::new(codes::CONTRACT_INVALID, format!("the document is not UTF-8 at byte {}", error.valid_up_to()))
        })?;
        Self::parse(text)
    }

    fn read(document: &str, table: Option<&str>) -> Result<Self> {
        let root = yaml::read(document)?;
        standard(&root)?;
        let text = |key: &str| -> Result<Option<String>> {
            root.get(key)?.map(|node| node.text().map(str::to_owned)).transpose()
        };
        let name = match text("name")? {
            Some(name) => name,
            None => text("id")?.ok_or_else(|| root.wrong("the contract has neither `name` nor `id`"))?,
        };
        let description = match root.get("description")? {
            Some(node) if node.is_map() => {
                node.get("purpose")?.map(|node| node.text().map(str::to_owned)).transpose()?
            }
            Some(node) => Some(node.text()?.to_owned()),
            None => None,
        };
        let object = choose(&root, table)?;
        Ok(Self {
            document: Arc::from(document),
            name,
            version: text("version")?,
            description,
            table: self::table(&root, object)?,
        })
    }
}

fn standard(root: &Node) -> Result<()> {
    if !root.is_map() {
        return Err(root.wrong("a contract is a mapping").hint("it begins with `apiVersion: v3.1.0`"));
    }
    match root.get("apiVersion")? {
        None => Err(root
            .wrong("the document has no `apiVersion`")
            .hint("a contract of the Open Data Contract Standard begins with `apiVersion: v3.1.0`")),
        Some(node) if !node.text()?.trim_start_matches('v').starts_with("3.") => {
            let found = shorten(node.text()?);
            Err(node.wrong(format!("version `{found}` of the standard is not understood")).hint("write v3.1.0"))
        }
        Some(_) => match root.get("kind")? {
            Some(node) if node.text()? != "DataContract" => {
                Err(node.wrong(format!("a document of the kind `{}` is no contract", shorten(node.text()?))))
            }
            _ => Ok(()),
        },
    }
}

fn choose<'a>(root: &'a Node, table: Option<&str>) -> Result<&'a Node> {
    let schema = root.get("schema")?.ok_or_else(|| root.wrong("the contract has no `schema`"))?;
    let objects = schema.items()?;
    let mut names = Vec::new();
    for object in objects {
        let name = object.get("name")?.ok_or_else(|| object.wrong("an object of the schema has no `name`"))?.text()?;
        if table.is_some_and(|table| table == name) {
            return Ok(object);
        }
        names.push(format!("`{}`", shorten(name)));
    }
    match (objects, table) {
        ([], _) => Err(schema.wrong("the schema has no objects")),
        ([only], None) => Ok(only),
        (_, None) => Err(schema
            .wrong(format!("the schema has {} objects, and a contract is about one table", objects.len()))
            .hint(format!("choose one of {}", names.join(", ")))),
        (_, Some(table)) => Err(schema
            .wrong(format!("the schema has no object `{}`", shorten(table)))
            .hint(format!("it has {}", names.join(", ")))),
    }
}

/// What is collected on the way through a table.
#[derive(Default)]
struct Found {
    fields: usize,
    /// By their text: a pattern takes much more memory than it is long.
    patterns: HashMap<String, Regex>,
    keys: Vec<Key>,
    not_checked: Vec<NotChecked>,
}

fn table(root: &Node, object: &Node) -> Result<Table> {
    let properties = object.get("properties")?.ok_or_else(|| object.wrong("the table has no `properties`"))?;
    let mut found = Found::default();
    let mut columns: Vec<Column> = Vec::new();
    let mut names = HashSet::new();
    let mut primary: Vec<(i64, String)> = Vec::new();
    for property in properties.items()? {
        if columns.len() >= COLUMNS_MAX {
            return Err(property.wrong(format!("the table has more than {COLUMNS_MAX} columns")));
        }
        let mut column = column::read(property, &mut found)?;
        if !names.insert(column.name.clone()) {
            return Err(property.wrong(format!("the column `{}` appears twice", shorten(&column.name))));
        }
        if column::flag(property, "primaryKey")? {
            let position = match property.get("primaryKeyPosition")? {
                None => i64::MAX,
                Some(node) => node.text()?.parse().map_err(|_| node.wrong("a position is a whole number"))?,
            };
            // The standard writes -1 for "none".
            primary.push((if position < 0 { i64::MAX } else { position }, column.name.clone()));
            column.is_required = true;
        }
        if column::flag(property, "unique")? {
            found.keys.push(Key { columns: vec![column.name.clone()], is_primary: false, allowed: None });
        }
        columns.push(column);
    }
    if columns.is_empty() {
        return Err(properties.wrong("the table has no columns"));
    }
    let mut table = Table {
        name: object.get("name")?.map_or(Ok(""), Node::text)?.to_owned(),
        columns,
        primary_key: Vec::new(),
        keys: Vec::new(),
        rows: Vec::new(),
        freshness: None,
        takes_more_columns: false,
        not_checked: Vec::new(),
    };
    primary_key(object, primary, &mut table)?;
    column::relations(object, None, &mut found)?;
    quality::of_table(object, &mut table, &mut found)?;
    table.takes_more_columns = match column::custom(object, "additionalColumns")? {
        Some(node) => node.flag()?,
        None => false,
    };
    table.freshness = freshness(root, &table)?;
    table.keys.append(&mut found.keys);
    // A column that is the primary key and unique is one rule.
    let mut seen = HashSet::new();
    table.keys.retain(|key| key.allowed.is_some() || seen.insert(key.columns.clone()));
    if table.keys.len() > KEYS_MAX {
        return Err(object.wrong(format!("the table has {} keys, more than {KEYS_MAX}", table.keys.len())));
    }
    for key in &table.keys {
        sortable(object, &table, key)?;
    }
    table.not_checked = found.not_checked;
    Ok(table)
}

fn primary_key(object: &Node, mut primary: Vec<(i64, String)>, table: &mut Table) -> Result<()> {
    if let Some(node) = column::custom(object, "primaryKey")? {
        if !primary.is_empty() {
            return Err(node.wrong("the primary key is said at columns and at the table"));
        }
        for (position, item) in node.items()?.iter().enumerate() {
            let name = item.text()?;
            let column = table.columns.iter_mut().find(|column| column.name == name);
            column.ok_or_else(|| unknown_column(item, name))?.is_required = true;
            primary.push((position as i64, name.to_owned()));
        }
    }
    primary.sort_by_key(|(position, _)| *position);
    table.primary_key = primary.into_iter().map(|(_, name)| name).collect();
    if !table.primary_key.is_empty() {
        table.keys.push(Key { columns: table.primary_key.clone(), is_primary: true, allowed: None });
    }
    Ok(())
}

fn unknown_column(node: &Node, name: &str) -> Error {
    node.wrong(format!("the table has no column `{}`", shorten(name)))
}

/// Keys are compared in a form that not every type has.
fn sortable(object: &Node, table: &Table, key: &Key) -> Result<()> {
    let mut names = HashSet::new();
    for name in &key.columns {
        let column = table.column(name).ok_or_else(|| unknown_column(object, name))?;
        if !names.insert(name) {
            return Err(object.wrong(format!("a key names the column `{}` twice", shorten(name))));
        }
        let is_sortable = RowConverter::supports_fields(&[SortField::new(column.data_type.clone())]);
        if column.data_type.is_nested() || !is_sortable {
            let data_type = crate::types::write(&column.data_type);
            return Err(object
                .wrong(format!("the column `{}` of the type {data_type} is in a key", shorten(name)))
                .hint("leave out `unique` and `primaryKey` there"));
        }
    }
    Ok(())
}

/// `slaProperties` with the property `freshness`, about a column of this table.
fn freshness(root: &Node, table: &Table) -> Result<Option<Freshness>> {
    let Some(list) = root.get("slaProperties")? else { return Ok(None) };
    for item in list.items()? {
        let Some(property) = item.get("property")? else { continue };
        if property.text()? != "freshness" {
            continue;
        }
        let element = item.get("element")?.ok_or_else(|| {
            item.wrong("a freshness names no `element`").hint("write the column: `element: prices.timestamp`")
        })?;
        let name = match element.text()?.split_once('.') {
            Some((of, name)) if of == table.name => name,
            Some((of, _)) if table.column(element.text()?).is_none() && names_object(root, of)? => continue,
            _ => element.text()?,
        };
        let column = table.column(name).ok_or_else(|| unknown_column(element, name))?;
        if !matches!(column.data_type, DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64) {
            return Err(element
                .wrong(format!("the column `{}` holds no moments", shorten(name)))
                .hint("freshness is that of a timestamp or a date"));
        }
        let value = item.get("value")?.ok_or_else(|| item.wrong("a freshness has no `value`"))?;
        let unit = item.get("unit")?.map_or(Ok("d"), Node::text)?;
        let seconds = match unit {
            "s" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hour" | "hours" => 3_600.0,
            "d" | "day" | "days" => 86_400.0,
            other => {
                let message = format!("`{}` is no unit of a freshness", shorten(other));
                return Err(item.wrong(message).hint("write one of s, m, h, d"));
            }
        };
        let age_max = Duration::try_from_secs_f64(value.number()? * seconds);
        let age_max =
            age_max.map_err(|_| value.wrong(format!("`{}` is no age", shorten(value.text().unwrap_or("")))))?;
        let text = format!("{} {unit}", value.text()?);
        return Ok(Some(Freshness { column: name.to_owned(), age_max, text }));
    }
    Ok(None)
}

fn names_object(root: &Node, name: &str) -> Result<bool> {
    let Some(schema) = root.get("schema")? else { return Ok(false) };
    for object in schema.items()? {
        if object.get("name")?.map_or(Ok(""), Node::text)? == name {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
