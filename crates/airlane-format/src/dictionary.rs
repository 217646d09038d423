//! One dictionary per column for a whole file: each batch's dictionary is mapped into a union that only grows.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowDictionaryKeyType;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, PrimitiveArray, RecordBatch, RecordBatchOptions, downcast_integer, make_array,
};
use arrow_buffer::ArrowNativeType;
use arrow_data::ArrayData;
use arrow_row::{OwnedRow, RowConverter, SortField};
use arrow_schema::{ArrowError, DataType};

/// The unions of a file's dictionaries, in depth-first order of the schema.
#[derive(Default)]
pub(crate) struct DictionaryUnion {
    unions: Vec<Union>,
}

struct Union {
    converter: RowConverter,
    positions: HashMap<OwnedRow, usize>,
    rows: Vec<OwnedRow>,
    values: ArrayRef,
    /// The batch dictionary that was mapped last: batches mostly share theirs.
    last: Option<(ArrayData, Arc<[usize]>)>,
}

impl DictionaryUnion {
    /// The batch with every dictionary replaced by the union so far, grown by the batch's values.
    pub(crate) fn unify(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let schema = batch.schema();
        if !schema.fields().iter().any(|field| holds_dictionary(field.data_type())) {
            return Ok(batch.clone());
        }
        let mut walk = Walk { unions: &mut self.unions, next: 0 };
        let columns = batch.columns().iter().map(|column| walk.array(column)).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(schema, columns, &options)
    }
}

fn holds_dictionary(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, _) => true,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _)
        | DataType::RunEndEncoded(_, field) => holds_dictionary(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_dictionary(field.data_type())),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| holds_dictionary(field.data_type())),
        _ => false,
    }
}

struct Walk<'a> {
    unions: &'a mut Vec<Union>,
    next: usize,
}

impl Walk<'_> {
    fn array(&mut self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        if !holds_dictionary(array.data_type()) {
            return Ok(array.clone());
        }
        if let DataType::Dictionary(_, values) = array.data_type() {
            let index = self.next;
            self.next += 1;
            if index == self.unions.len() {
                self.unions.push(Union::new(values)?);
            }
            return self.unions[index].map(array);
        }
        let data = array.to_data();
        let children = data.child_data().iter().map(|child| {
            let child = make_array(child.clone());
            Ok(self.array(&child)?.to_data())
        });
        let children = children.collect::<Result<Vec<_>, ArrowError>>()?;
        Ok(make_array(data.into_builder().child_data(children).build()?))
    }
}

impl Union {
    fn new(values: &DataType) -> Result<Self, ArrowError> {
        Ok(Self {
            converter: RowConverter::new(vec![SortField::new(values.clone())])?,
            positions: HashMap::new(),
            rows: Vec::new(),
            values: arrow_array::new_empty_array(values),
            last: None,
        })
    }

    fn map(&mut self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let positions = self.positions_of(array.as_any_dictionary().values())?;
        macro_rules! rekey {
            ($key:ty) => {
                self.rekey::<$key>(array, &positions)
            };
        }
        downcast_integer! {
            key_type(array) => (rekey),
            other => Err(ArrowError::InvalidArgumentError(format!("{other} is no key of a dictionary")))
        }
    }

    /// For each value of a dictionary its position in the union.
    fn positions_of(&mut self, values: &ArrayRef) -> Result<Arc<[usize]>, ArrowError> {
        let data = values.to_data();
        if let Some((last, positions)) = &self.last
            && last.ptr_eq(&data)
        {
            return Ok(positions.clone());
        }
        let rows = self.converter.convert_columns(std::slice::from_ref(values))?;
        let known = self.rows.len();
        let positions: Arc<[usize]> = rows
            .iter()
            .map(|row| {
                let row = row.owned();
                *self.positions.entry(row.clone()).or_insert_with(|| {
                    self.rows.push(row);
                    self.rows.len() - 1
                })
            })
            .collect();
        if self.rows.len() > known {
            let columns = self.converter.convert_rows(self.rows.iter().map(OwnedRow::row))?;
            self.values = columns.into_iter().next().unwrap_or_else(|| self.values.clone());
        }
        self.last = Some((data, positions.clone()));
        Ok(positions)
    }

    fn rekey<K: ArrowDictionaryKeyType>(&self, array: &ArrayRef, positions: &[usize]) -> Result<ArrayRef, ArrowError> {
        let dictionary = array.as_dictionary::<K>();
        let keys = dictionary.keys().iter().map(|key| {
            let Some(key) = key else { return Ok(None) };
            let position = positions.get(key.as_usize()).copied().unwrap_or_default();
            K::Native::from_usize(position).map(Some).ok_or(ArrowError::DictionaryKeyOverflowError)
        });
        let keys = keys.collect::<Result<PrimitiveArray<K>, ArrowError>>()?;
        Ok(Arc::new(DictionaryArray::try_new(keys, self.values.clone())?))
    }
}

fn key_type(array: &ArrayRef) -> DataType {
    match array.data_type() {
        DataType::Dictionary(key, _) => key.as_ref().clone(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
