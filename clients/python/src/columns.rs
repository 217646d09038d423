//! Columns as numpy takes them: through its array interface, without a copy where a column is one piece of plain numbers.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, UInt8Array, new_empty_array};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, SchemaRef, TimeUnit};
use arrow_select::concat::concat;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// The number that numpy calls "not a time".
const NOT_A_TIME: i64 = i64::MIN;

/// Memory that numpy reads in place. The array keeps it alive as long as numpy does.
#[pyclass(frozen, module = "airlane._native")]
pub(crate) struct Values {
    array: ArrayRef,
    kind: String,
}

#[pymethods]
impl Values {
    /// Version 3 of numpy's array interface; the memory is read-only.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let values = self.array.to_data();
        let width = values.data_type().primitive_width().unwrap_or(1);
        let start = values.buffers().first().map_or(0, |buffer| buffer.as_ptr() as usize);
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("typestr", &self.kind)?;
        interface.set_item("shape", (self.array.len(),))?;
        interface.set_item("data", (start + values.offset() * width, true))?;
        Ok(interface)
    }
}

/// A column: values and where they are null, or objects.
#[derive(IntoPyObject)]
pub(crate) enum Column {
    Values(Values, Option<Values>),
    Texts(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

/// The values of a column; `None` for a type that numpy does not have.
pub(crate) fn column(schema: &SchemaRef, batches: &[RecordBatch], index: usize) -> Result<Option<Column>, ArrowError> {
    let Some(field) = schema.fields().get(index) else {
        return Err(ArrowError::InvalidArgumentError(format!("there is no column {index}")));
    };
    let mut pieces: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
    let nothing = new_empty_array(field.data_type());
    let whole = match pieces.as_slice() {
        [_] => Arc::clone(batches[0].column(index)),
        _ => {
            pieces.push(&nothing);
            concat(&pieces)?
        }
    };
    of_array(whole)
}

fn of_array(array: ArrayRef) -> Result<Option<Column>, ArrowError> {
    let to = |to: &DataType| cast(&array, to);
    Ok(Some(match array.data_type() {
        DataType::Int8 => plain(array, "<i1"),
        DataType::Int16 => plain(array, "<i2"),
        DataType::Int32 => plain(array, "<i4"),
        DataType::Int64 => plain(array, "<i8"),
        DataType::UInt8 => plain(array, "<u1"),
        DataType::UInt16 => plain(array, "<u2"),
        DataType::UInt32 => plain(array, "<u4"),
        DataType::UInt64 => plain(array, "<u8"),
        DataType::Float16 => filled::<Float16Type>(array, half_nan(), "<f2"),
        DataType::Float32 => filled::<Float32Type>(array, f32::NAN, "<f4"),
        DataType::Float64 => filled::<Float64Type>(array, f64::NAN, "<f8"),
        DataType::Boolean => {
            let bits = array.as_boolean();
            let bytes = UInt8Array::from_iter_values((0..bits.len()).map(|row| u8::from(bits.value(row))));
            plain(Arc::new(UInt8Array::new(bytes.values().clone(), bits.nulls().cloned())), "|b1")
        }
        DataType::Date32 => times(&cast(&to(&DataType::Int32)?, &DataType::Int64)?, "<M8[D]"),
        DataType::Date64 => times(&to(&DataType::Int64)?, "<M8[ms]"),
        DataType::Timestamp(unit, _) => times(&to(&DataType::Int64)?, &format!("<M8[{}]", name(*unit))),
        DataType::Duration(unit) | DataType::Time64(unit) => {
            times(&to(&DataType::Int64)?, &format!("<m8[{}]", name(*unit)))
        }
        DataType::Time32(unit) => {
            times(&cast(&to(&DataType::Int32)?, &DataType::Int64)?, &format!("<m8[{}]", name(*unit)))
        }
        DataType::Utf8 => Column::Texts(array.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()),
        DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = to(&DataType::LargeUtf8)?;
            Column::Texts(texts.as_string::<i64>().iter().map(|text| text.map(str::to_owned)).collect())
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            let bytes = to(&DataType::LargeBinary)?;
            Column::Bytes(bytes.as_binary::<i64>().iter().map(|bytes| bytes.map(<[u8]>::to_vec)).collect())
        }
        DataType::Dictionary(_, values) => return of_array(to(values)?),
        _ => return Ok(None),
    }))
}

fn plain(array: ArrayRef, kind: &str) -> Column {
    let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| {
        let bytes = UInt8Array::from_iter_values(nulls.iter().map(|is_valid| u8::from(!is_valid)));
        Values { array: Arc::new(bytes), kind: "|b1".to_owned() }
    });
    Column::Values(Values { array, kind: kind.to_owned() }, nulls)
}

/// With a value that stands for nulls.
fn filled<T: ArrowPrimitiveType>(array: ArrayRef, null: T::Native, kind: &str) -> Column {
    if array.null_count() == 0 {
        return plain(array, kind);
    }
    let values = array.as_primitive::<T>();
    let filled = PrimitiveArray::<T>::from_iter_values(values.iter().map(|value| value.unwrap_or(null)));
    plain(Arc::new(filled), kind)
}

fn times(counts: &ArrayRef, kind: &str) -> Column {
    filled::<Int64Type>(Arc::clone(counts), NOT_A_TIME, kind)
}

fn half_nan() -> <Float16Type as ArrowPrimitiveType>::Native {
    <Float16Type as ArrowPrimitiveType>::Native::NAN
}

fn name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}
