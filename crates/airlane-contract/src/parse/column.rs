//! A column of a document: its type, and the rules that are not in its list of quality rules.

use std::sync::Arc;

use airlane_model::Result;
use arrow_schema::{DataType, Field, FieldRef, Fields};
use regex::{Regex, RegexBuilder};

use super::{Found, quality};
use crate::format::TimeFormat;
use crate::model::{Bound, Column, NotChecked, Values};
use crate::types::{self, COLUMNS_MAX, LEVELS_MAX, Logical};
use crate::value::{self, Value};
use crate::yaml::{Node, shorten};

/// Bytes of the program that a pattern becomes, and of what it remembers while it runs.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Different patterns of a contract.
const PATTERNS_MAX: usize = 100;
/// Values of one enumeration.
const VALUES_MAX: usize = 100_000;

/// Reads a column.
pub(super) fn read(property: &Node, found: &mut Found) -> Result<Column> {
    let name = property.get("name")?.ok_or_else(|| property.wrong("a column has no `name`"))?.text()?;
    let data_type = data_type(property, found, 1)?;
    let mut column = Column::plain(name, data_type);
    let text = |node: Option<&Node>| node.map(|node| node.text().map(str::to_owned)).transpose();
    column.description = text(property.get("description")?)?;
    column.unit = text(custom(property, "unit")?)?;
    column.unit_scale = match custom(property, "unitScale")? {
        Some(node) => Some(node.number().and_then(|_| node.text())?.to_owned()),
        None => None,
    };
    column.is_required = flag(property, "required")?;
    if let Some(options) = property.get("logicalTypeOptions")? {
        self::options(options, &mut column, found)?;
        unknown_options(options, &column, found)?;
    }
    if column.multiple_of.as_ref().is_some_and(|step| matches!(step.value, Value::Float(_))) {
        column.multiple_of = None;
        found.note(&column.name, "multipleOf", "floats are multiples of nothing exactly");
    }
    relations(property, Some(&column.name), found)?;
    if let Some(node) = property.get("physicalType")?
        && let Some(Some(length)) = types::sql_length(node.text()?)
    {
        column.length_max = Some(column.length_max.map_or(length, |other| other.min(length)));
    }
    if let Some(list) = property.get("enum")? {
        let mut items = Vec::new();
        for item in list.items()? {
            items.push(match item.is_map() {
                true => item.get("value")?.ok_or_else(|| item.wrong("an entry of `enum` has no `value`"))?,
                false => item,
            });
        }
        column.values = Some(values(list, items.into_iter(), &column)?);
    }
    quality::of_column(property, &mut column, found)?;
    lengths(property, &column)?;
    Ok(column)
}

/// A key of a mapping that is true or false; false where it is absent.
pub(super) fn flag(node: &Node, key: &str) -> Result<bool> {
    node.get(key)?.map_or(Ok(false), Node::flag)
}

/// The value of a custom property.
pub(super) fn custom<'a>(node: &'a Node, name: &str) -> Result<Option<&'a Node>> {
    let Some(list) = node.get("customProperties")? else { return Ok(None) };
    for item in list.items()? {
        if item.get("property")?.map_or(Ok(""), Node::text)? == name {
            return item.get("value");
        }
    }
    Ok(None)
}

fn data_type(property: &Node, found: &mut Found, level: usize) -> Result<DataType> {
    found.fields += 1;
    if found.fields > COLUMNS_MAX {
        return Err(property.wrong(format!("the columns have more than {COLUMNS_MAX} fields")));
    }
    if level > LEVELS_MAX {
        return Err(property.wrong(format!("the column is nested deeper than {LEVELS_MAX} levels")));
    }
    let logical = match property.get("logicalType")? {
        None => None,
        Some(node) => Some(Logical::by_name(node.text()?).ok_or_else(|| {
            node.wrong(format!("`{}` is no logical type", shorten(node.text().unwrap_or_default())))
                .hint("write one of string, date, timestamp, time, number, integer, object, array, boolean, map")
        })?),
    };
    let is_nested = matches!(logical, Some(Logical::Object | Logical::Array | Logical::Map));
    if let Some(node) = property.get("physicalType")? {
        match types::read(node.text()?) {
            Ok(data_type) => {
                found.fields += fields(&data_type) - 1;
                return match found.fields > COLUMNS_MAX {
                    true => Err(node.wrong(format!("the columns have more than {COLUMNS_MAX} fields"))),
                    false => Ok(data_type),
                };
            }
            // A database's own word for what the document describes by children.
            Err(_) if is_nested && !node.text()?.contains('<') => {}
            Err(message) => {
                return Err(node.wrong(format!("unknown type: {message}")).hint(
                    "write a type such as int32, decimal(12, 4), timestamp(us, \"UTC\") or list<string>, or leave \
                     `physicalType` out",
                ));
            }
        }
    }
    let Some(logical) = logical else {
        return Err(property.wrong("a column has neither `logicalType` nor `physicalType`"));
    };
    let options = property.get("logicalTypeOptions")?;
    let option = |key: &str| options.map_or(Ok(None), |options| options.get(key));
    let format = option("format")?.map(Node::text).transpose()?;
    let zone = match option("timezone")? {
        Some(node) if !node.flag()? => None,
        _ => Some(option("defaultTimezone")?.map_or(Ok("UTC"), Node::text)?),
    };
    if let Some(found) = logical.data_type(format, zone).map_err(|message| property.wrong(message))? {
        return Ok(found);
    }
    nested(property, logical, found, level)
}

fn nested(property: &Node, logical: Logical, found: &mut Found, level: usize) -> Result<DataType> {
    let mut child = |node: &Node, name: &str| -> Result<FieldRef> {
        inside(node, name, found)?;
        let data_type = data_type(node, found, level + 1)?;
        Ok(Arc::new(Field::new(name, data_type, !flag(node, "required")?)))
    };
    match logical {
        Logical::Array => {
            let items = property.get("items")?.ok_or_else(|| property.wrong("an array has no `items`"))?;
            Ok(DataType::List(child(items, "item")?))
        }
        Logical::Map => {
            let map = property.get("map")?.ok_or_else(|| property.wrong("a map has no `map`"))?;
            let part = |key: &str| map.get(key)?.ok_or_else(|| map.wrong(format!("a map has no `{key}`")));
            let key = child(part("key")?, "key")?;
            let key = Arc::new(key.as_ref().clone().with_nullable(false));
            let pair = Fields::from(vec![key, child(part("value")?, "value")?]);
            Ok(DataType::Map(Arc::new(Field::new("entries", DataType::Struct(pair), false)), false))
        }
        _ => {
            let list = property.get("properties")?.ok_or_else(|| property.wrong("an object has no `properties`"))?;
            let mut fields: Vec<FieldRef> = Vec::new();
            for item in list.items()? {
                let name = item.get("name")?.ok_or_else(|| item.wrong("a field has no `name`"))?.text()?;
                if fields.iter().any(|field| field.name() == name) {
                    return Err(item.wrong(format!("the field `{}` appears twice", shorten(name))));
                }
                fields.push(child(item, name)?);
            }
            Ok(DataType::Struct(fields.into()))
        }
    }
}

fn options(options: &Node, column: &mut Column, found: &mut Found) -> Result<()> {
    let bound = |key: &str, is_inside: bool| -> Result<Option<Bound>> {
        let Some(node) = options.get(key)? else { return Ok(None) };
        let text = node.text()?;
        let value = value::read(text, &column.data_type).map_err(|message| node.wrong(message))?;
        if !matches!(value, Value::Whole(_) | Value::Float(_)) {
            return Err(node.wrong(format!("a column of the type {} has no range", types::write(&column.data_type))));
        }
        Ok(Some(Bound { text: text.to_owned(), value, is_inside }))
    };
    let one = |inside: &str, outside: &str| -> Result<Option<Bound>> {
        match (bound(inside, true)?, bound(outside, false)?) {
            (Some(_), Some(_)) => Err(options.wrong(format!("`{inside}` and `{outside}` are both given"))),
            (inside, outside) => Ok(inside.or(outside)),
        }
    };
    let minimum = one("minimum", "exclusiveMinimum")?;
    let maximum = one("maximum", "exclusiveMaximum")?;
    if let (Some(low), Some(high)) = (&minimum, &maximum) {
        let order = value::order(&low.value, &high.value);
        let is_empty = order.is_none_or(|order| order.is_gt() || order.is_eq() && !(low.is_inside && high.is_inside));
        if is_empty {
            let message = format!("no value is from {} to {}", shorten(&low.text), shorten(&high.text));
            return Err(options.wrong(format!("impossible range: {message}")));
        }
    }
    let multiple_of = bound("multipleOf", true)?;
    if let Some(Bound { value: Value::Whole(step), text, .. }) = &multiple_of
        && !step.is_positive()
    {
        return Err(options.wrong(format!("`multipleOf` of {} is not above 0", shorten(text))));
    }
    (column.minimum, column.maximum, column.multiple_of) = (minimum, maximum, multiple_of);
    let count = |key: &str| options.get(key)?.map(Node::count).transpose();
    column.length_min = count("minLength")?.or(count("minItems")?);
    column.length_max = count("maxLength")?.or(count("maxItems")?);
    if let Some(node) = options.get("pattern")? {
        column.pattern = Some(pattern(node, column, found)?);
    }
    if let Some(node) = options.get("format")?
        && matches!(
            column.data_type,
            DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(_, _)
        )
    {
        column.format = Some(TimeFormat::read(node.text()?).map_err(|message| {
            node.wrong(message).hint("patterns are those of the JDK, such as `yyyy-MM-dd'T'HH:mm:ssXXX`")
        })?);
    }
    Ok(())
}

/// A pattern, for a column of texts.
pub(super) fn pattern(node: &Node, column: &Column, found: &mut Found) -> Result<Regex> {
    if !is_text(&column.data_type) {
        return Err(node.wrong(format!("a column of the type {} has no pattern", types::write(&column.data_type))));
    }
    let text = node.text()?;
    if let Some(known) = found.patterns.get(text) {
        return Ok(known.clone());
    }
    if found.patterns.len() >= PATTERNS_MAX {
        return Err(node.wrong(format!("more than {PATTERNS_MAX} different patterns")));
    }
    let mut builder = RegexBuilder::new(text);
    builder.size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX).nest_limit(64);
    let pattern = builder.build().map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        node.wrong(format!("`{}` is no regular expression: {why}", shorten(text)))
            .hint("look-around and back-references are not understood, since they cannot be matched in bounded time")
    })?;
    found.patterns.insert(text.to_owned(), pattern.clone());
    Ok(pattern)
}

/// Options that the standard has and nobody checks.
fn unknown_options(options: &Node, column: &Column, found: &mut Found) -> Result<()> {
    for key in ["uniqueItems", "minProperties", "maxProperties", "required"] {
        if options.get(key)?.is_some() {
            found.note(&column.name, key, "it is about what lies inside a value");
        }
    }
    if is_text(&column.data_type)
        && let Some(node) = options.get("format")?
    {
        found.note(&column.name, &format!("format {}", shorten(node.text()?)), "a pattern says what is meant");
    }
    Ok(())
}

/// Notes rules of what lies inside a value.
fn inside(node: &Node, name: &str, found: &mut Found) -> Result<()> {
    for key in ["quality", "enum", "unique", "logicalTypeOptions"] {
        // Some of the options say the type, and are understood.
        let is_type = |option: &str| matches!(option, "format" | "timezone" | "defaultTimezone");
        let is_rule = match node.get(key)? {
            Some(options) if options.is_map() => options.entries()?.iter().any(|(option, _)| !is_type(option)),
            other => other.is_some(),
        };
        if is_rule {
            found.note(name, key, "it is about what lies inside a value");
        }
    }
    Ok(())
}

/// Notes relations to other tables.
pub(super) fn relations(node: &Node, column: Option<&str>, found: &mut Found) -> Result<()> {
    if node.get("relationships")?.is_some() {
        found.not_checked.push(NotChecked {
            column: column.map(str::to_owned),
            rule: "relationships".to_owned(),
            why: "it is about another table".to_owned(),
        });
    }
    Ok(())
}

impl Found {
    fn note(&mut self, column: &str, rule: &str, why: &str) {
        let (column, rule, why) = (Some(column.to_owned()), rule.to_owned(), why.to_owned());
        self.not_checked.push(NotChecked { column, rule, why });
    }
}

/// Fields of a type, itself among them.
fn fields(data_type: &DataType) -> usize {
    use DataType as T;
    let of = |fields: &Fields| fields.iter().map(|field| self::fields(field.data_type())).sum::<usize>();
    1 + match data_type {
        T::List(item)
        | T::LargeList(item)
        | T::ListView(item)
        | T::LargeListView(item)
        | T::FixedSizeList(item, _)
        | T::Map(item, _)
        | T::RunEndEncoded(_, item) => fields(item.data_type()),
        T::Struct(fields) => of(fields),
        T::Union(fields, _) => fields.iter().map(|(_, field)| self::fields(field.data_type())).sum(),
        T::Dictionary(_, values) => fields(values),
        _ => 0,
    }
}

/// Values of the column's type, each once.
pub(super) fn values<'a>(list: &Node, items: impl Iterator<Item = &'a Node>, column: &Column) -> Result<Values> {
    let mut found = Values { texts: Vec::new(), values: Vec::new() };
    let mut seen = std::collections::HashSet::new();
    for item in items {
        if found.texts.len() >= VALUES_MAX {
            return Err(item.wrong(format!("an enumeration of more than {VALUES_MAX} values")));
        }
        let text = item.text()?;
        let value = value::read(text, &column.data_type).map_err(|message| item.wrong(message))?;
        if seen.insert(text) {
            found.texts.push(text.to_owned());
            found.values.push(value);
        }
    }
    if found.texts.is_empty() {
        return Err(list.wrong("an enumeration of no values"));
    }
    Ok(found)
}

fn lengths(property: &Node, column: &Column) -> Result<()> {
    let (None, None) = (column.length_min, column.length_max) else {
        if !has_length(&column.data_type) {
            let data_type = types::write(&column.data_type);
            return Err(property.wrong(format!("a column of the type {data_type} has no length")));
        }
        let (low, high) = (column.length_min.unwrap_or(0), column.length_max.unwrap_or(u64::MAX));
        if low > high {
            return Err(property.wrong(format!("impossible range: no length is from {low} to {high}")));
        }
        return Ok(());
    };
    Ok(())
}

/// Whether a column holds texts, in whatever form.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        DataType::RunEndEncoded(_, values) => is_text(values.data_type()),
        _ => false,
    }
}

fn has_length(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => true,
        T::List(_) | T::LargeList(_) | T::ListView(_) | T::LargeListView(_) | T::FixedSizeList(_, _) | T::Map(_, _) => {
            true
        }
        T::Dictionary(_, values) => has_length(values),
        T::RunEndEncoded(_, values) => has_length(values.data_type()),
        other => is_text(other),
    }
}
