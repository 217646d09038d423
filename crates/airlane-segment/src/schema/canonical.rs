//! The canonical form of a schema: dictionaries numbered from 0, depth-first.
//!
//! The order is that of arrow-ipc's schema encoder and of its dictionary encoder: what is nested in a field is
//! numbered before the field. The ids stand in the fields, where arrow-ipc's decoder looks for them.
//!
//! Whatever else a stranger may write in two ways is made one: the entries and keys of a map and the run ends of a
//! run-end encoded column never hold nulls (the format says so, and arrow-rs insists), and no time zone is `None`.

use std::sync::Arc;

use airlane_model::error::codes::SCHEMA_INVALID;
use airlane_model::{Error, Result};
use arrow_schema::{DataType, Field, Schema, UnionFields};

use super::policy::{LEVELS_MAX, place};

/// Judges what an Arrow schema of this process can hold and a schema message cannot.
pub(crate) fn judge(schema: &Schema) -> Result<()> {
    let mut path = Vec::new();
    schema.fields().iter().try_for_each(|field| judge_field(field, &mut path))
}

fn judge_field<'a>(field: &'a Field, path: &mut Vec<&'a str>) -> Result<()> {
    path.push(field.name());
    let refuse = |message: String| Err(Error::new(SCHEMA_INVALID, message).at(place(path)));
    if path.len() > LEVELS_MAX {
        return refuse(format!("the fields of the schema are nested deeper than {LEVELS_MAX} levels"));
    }
    if let DataType::Dictionary(index, value) = field.data_type() {
        if !index.is_dictionary_key_type() {
            return refuse(format!("`{index}` is no type for a dictionary index"));
        }
        if matches!(value.as_ref(), DataType::Dictionary(_, _)) {
            return refuse("the values of a dictionary are themselves a dictionary".to_owned());
        }
    }
    match values(field.data_type()) {
        DataType::Timestamp(_, Some(zone)) if zone.is_empty() => {
            refuse("a timestamp has an empty time zone".to_owned())?
        }
        nested => children(nested).into_iter().try_for_each(|child| judge_field(child, path))?,
    }
    path.pop();
    Ok(())
}

/// The schema in canonical form, and at each new id the one that was there before.
pub(crate) fn number(schema: &Schema) -> (Schema, Vec<i64>) {
    let mut ids = Vec::new();
    let fields: Vec<Field> = schema.fields().iter().map(|field| number_field(field, &mut ids)).collect();
    (Schema::new_with_metadata(fields, schema.metadata().clone()), ids)
}

/// The ids are deprecated in the public interface of arrow-schema; its decoder has no other way to know them.
#[expect(deprecated)]
fn number_field(field: &Field, ids: &mut Vec<i64>) -> Field {
    let numbered = match field.data_type() {
        DataType::Dictionary(index, value) => {
            let value = number_type(value, ids);
            let id = ids.len() as i64;
            ids.push(field.dict_id().unwrap_or_default());
            let ordered = field.dict_is_ordered().unwrap_or_default();
            let data_type = DataType::Dictionary(index.clone(), Box::new(value));
            Field::new_dict(field.name(), data_type, field.is_nullable(), id, ordered)
        }
        other => Field::new(field.name(), number_type(other, ids), field.is_nullable()),
    };
    numbered.with_metadata(field.metadata().clone())
}

fn number_type(data_type: &DataType, ids: &mut Vec<i64>) -> DataType {
    let mut number = |field: &Arc<Field>| Arc::new(number_field(field, ids));
    match data_type {
        DataType::List(child) => DataType::List(number(child)),
        DataType::LargeList(child) => DataType::LargeList(number(child)),
        DataType::ListView(child) => DataType::ListView(number(child)),
        DataType::LargeListView(child) => DataType::LargeListView(number(child)),
        DataType::FixedSizeList(child, size) => DataType::FixedSizeList(number(child), *size),
        DataType::Map(entries, sorted) => {
            let entries = number(entries);
            let data_type = match entries.data_type() {
                DataType::Struct(pair) => {
                    let key_required = |(index, field): (usize, &Arc<Field>)| match index {
                        0 => Arc::new(required(field)),
                        _ => field.clone(),
                    };
                    DataType::Struct(pair.iter().enumerate().map(key_required).collect())
                }
                other => other.clone(),
            };
            DataType::Map(Arc::new(required(&entries).with_data_type(data_type)), *sorted)
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(number).collect()),
        DataType::Union(fields, mode) => {
            let fields: UnionFields = fields.iter().map(|(id, field)| (id, number(field))).collect();
            DataType::Union(fields, *mode)
        }
        DataType::RunEndEncoded(run_ends, values) => {
            let run_ends = required(&number(run_ends));
            DataType::RunEndEncoded(Arc::new(run_ends), number(values))
        }
        // Writers that cannot leave a text out write an empty one for "no time zone".
        DataType::Timestamp(unit, Some(zone)) if zone.is_empty() => DataType::Timestamp(*unit, None),
        other => other.clone(),
    }
}

fn required(field: &Field) -> Field {
    field.clone().with_nullable(false)
}

/// The value types of the dictionaries of a canonical schema, by id.
pub(crate) fn dictionaries(schema: &Schema) -> Vec<DataType> {
    fn visit(field: &Field, found: &mut Vec<DataType>) {
        children(values(field.data_type())).into_iter().for_each(|child| visit(child, found));
        if let DataType::Dictionary(_, value) = field.data_type() {
            found.push(value.as_ref().clone());
        }
    }
    let mut found = Vec::new();
    schema.fields().iter().for_each(|field| visit(field, &mut found));
    found
}

/// The type of the values: a dictionary's value type, or the type itself.
pub(crate) fn values(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, value) => value,
        other => other,
    }
}

/// The child fields of a type that is no dictionary.
pub(crate) fn children(data_type: &DataType) -> Vec<&Field> {
    match data_type {
        DataType::List(child)
        | DataType::LargeList(child)
        | DataType::ListView(child)
        | DataType::LargeListView(child)
        | DataType::FixedSizeList(child, _)
        | DataType::Map(child, _) => vec![child],
        DataType::Struct(fields) => fields.iter().map(AsRef::as_ref).collect(),
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| field.as_ref()).collect(),
        DataType::RunEndEncoded(run_ends, values) => vec![run_ends, values],
        _ => Vec::new(),
    }
}
