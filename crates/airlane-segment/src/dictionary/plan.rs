//! Where the dictionaries of a column are, and the column without them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, GenericListViewArray, OffsetSizeTrait, PrimitiveArray,
    RunArray, StructArray, UnionArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, UnionFields};

use super::{Refusal, Unions};
use crate::encode::{dense_union, list_view, nulls};
use crate::schema::canonical::children;

/// What to do with one column.
#[derive(Debug)]
pub(super) enum Plan {
    /// No dictionary anywhere in it.
    Plain,
    /// A dictionary with this id, whose values may hold dictionaries themselves.
    Dictionary { id: usize, values: Box<Plan> },
    /// A type with children.
    Nested(Vec<Plan>),
}

impl Plan {
    /// The plan of a column. `union` makes the next union, of an index type and a value type, and answers its id: the
    /// dictionaries inside a dictionary come before it, as everywhere.
    pub(super) fn new(data_type: &DataType, union: &mut impl FnMut(&DataType, &DataType) -> usize) -> Self {
        if let DataType::Dictionary(index_type, value_type) = data_type {
            let values = Box::new(Self::new(value_type, union));
            return Self::Dictionary { id: union(index_type, value_type), values };
        }
        let plans: Vec<Self> =
            children(data_type).into_iter().map(|child| Self::new(child.data_type(), union)).collect();
        match plans.iter().all(|plan| matches!(plan, Self::Plain)) {
            true => Self::Plain,
            false => Self::Nested(plans),
        }
    }

    /// The column with indices in place of dictionaries; its children reduced to what the rows refer to, so that no
    /// union takes a value that no row has.
    pub(super) fn rewrite(&self, column: &ArrayRef, unions: &mut Unions) -> Result<ArrayRef, Refusal> {
        match self {
            Self::Plain => Ok(column.clone()),
            Self::Dictionary { id, values } => {
                let dictionary = column.as_any_dictionary();
                if !unions.all[*id].knows(dictionary.values()) {
                    let rewritten = values.rewrite(dictionary.values(), unions)?;
                    unions.all[*id].enter(dictionary.values(), rewritten)?;
                }
                unions.all[*id].rewrite(dictionary.keys(), unions.bytes_max)
            }
            Self::Nested(plans) => rewrite_nested(plans, column, unions),
        }
    }
}

fn rewrite_nested(plans: &[Plan], column: &ArrayRef, unions: &mut Unions) -> Result<ArrayRef, Refusal> {
    let only = &plans[0];
    match column.data_type() {
        DataType::Struct(_) => {
            let children = rewrite_all(plans, column.as_struct().columns(), unions)?;
            Ok(Arc::new(StructArray::try_new(fields(&children), children, nulls(column))?))
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            rewrite_list(only, list.offsets(), list.values(), column, unions)
        }
        DataType::LargeList(_) => {
            let list = column.as_list::<i64>();
            rewrite_list(only, list.offsets(), list.values(), column, unions)
        }
        // A map is written as the list of its entries, and a list lets the entries be what they are.
        DataType::Map(_, _) => {
            let map = column.as_map();
            rewrite_list(only, map.offsets(), &(Arc::new(map.entries().clone()) as ArrayRef), column, unions)
        }
        DataType::ListView(_) => rewrite_list_view::<i32>(only, column, unions),
        DataType::LargeListView(_) => rewrite_list_view::<i64>(only, column, unions),
        DataType::FixedSizeList(_, size) => {
            let values = column.as_fixed_size_list().values().slice(0, column.len() * *size as usize);
            let values = only.rewrite(&values, unions)?;
            let (field, len) = (child_field(&values), column.len());
            Ok(Arc::new(FixedSizeListArray::try_new_with_length(field, *size, values, nulls(column), len)?))
        }
        DataType::Union(_, _) => rewrite_union(plans, column.as_union(), unions),
        DataType::RunEndEncoded(run_ends, _) => match run_ends.data_type() {
            DataType::Int16 => rewrite_runs::<Int16Type>(&plans[1], column, unions),
            DataType::Int32 => rewrite_runs::<Int32Type>(&plans[1], column, unions),
            _ => rewrite_runs::<Int64Type>(&plans[1], column, unions),
        },
        other => Err(ArrowError::InvalidArgumentError(format!("`{other}` has no children")).into()),
    }
}

fn rewrite_all(plans: &[Plan], columns: &[ArrayRef], unions: &mut Unions) -> Result<Vec<ArrayRef>, Refusal> {
    plans.iter().zip(columns).map(|(plan, column)| plan.rewrite(column, unions)).collect()
}

fn rewrite_list<O: OffsetSizeTrait>(
    plan: &Plan,
    offsets: &OffsetBuffer<O>,
    values: &ArrayRef,
    column: &ArrayRef,
    unions: &mut Unions,
) -> Result<ArrayRef, Refusal> {
    let first = offsets.first().copied().unwrap_or_default();
    let last = offsets.last().copied().unwrap_or_default();
    let values = values.slice(first.as_usize(), last.as_usize() - first.as_usize());
    let offsets = match first.as_usize() {
        0 => offsets.clone(),
        _ => offsets.clone().subtract(first),
    };
    let values = plan.rewrite(&values, unions)?;
    Ok(Arc::new(GenericListArray::<O>::try_new(child_field(&values), offsets, values, nulls(column))?))
}

fn rewrite_list_view<O: OffsetSizeTrait>(
    plan: &Plan,
    column: &ArrayRef,
    unions: &mut Unions,
) -> Result<ArrayRef, Refusal> {
    let parts = list_view::<O>(column.as_list_view());
    let values = plan.rewrite(&parts.values, unions)?;
    let (field, nulls) = (child_field(&values), nulls(column));
    Ok(Arc::new(GenericListViewArray::<O>::try_new(field, parts.offsets, parts.sizes, values, nulls)?))
}

fn rewrite_union(plans: &[Plan], column: &UnionArray, unions: &mut Unions) -> Result<ArrayRef, Refusal> {
    let ids = || column.fields().iter().map(|(type_id, _)| type_id);
    let (offsets, children) = match dense_union(column) {
        Some(parts) => (Some(parts.offsets), parts.children),
        None => (None, ids().map(|type_id| column.child(type_id).clone()).collect()),
    };
    let children = rewrite_all(plans, &children, unions)?;
    let fields: UnionFields = ids().zip(fields(&children).iter().cloned()).collect();
    Ok(Arc::new(UnionArray::try_new(fields, column.type_ids().clone(), offsets, children)?))
}

fn rewrite_runs<R: RunEndIndexType>(plan: &Plan, column: &ArrayRef, unions: &mut Unions) -> Result<ArrayRef, Refusal> {
    let runs = column.as_run::<R>();
    let ends = PrimitiveArray::<R>::from_iter_values(runs.run_ends().sliced_values());
    let values = plan.rewrite(&runs.values_slice(), unions)?;
    Ok(Arc::new(RunArray::<R>::try_new(&ends, &values)?))
}

/// Fields for arrays whose own names and nullability no longer matter.
fn fields(children: &[ArrayRef]) -> Fields {
    children.iter().map(child_field).collect()
}

fn child_field(child: &ArrayRef) -> FieldRef {
    physical_field(child.data_type().clone())
}

fn physical_field(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("", data_type, true))
}

/// The type of a column after it was rewritten, up to names.
pub(super) fn physical(data_type: &DataType) -> DataType {
    let child = |field: &FieldRef| physical_field(physical(field.data_type()));
    match data_type {
        DataType::Dictionary(index_type, _) => index_type.as_ref().clone(),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(child).collect()),
        DataType::List(field) | DataType::Map(field, _) => DataType::List(child(field)),
        DataType::LargeList(field) => DataType::LargeList(child(field)),
        DataType::ListView(field) => DataType::ListView(child(field)),
        DataType::LargeListView(field) => DataType::LargeListView(child(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(child(field), *size),
        DataType::Union(fields, mode) => {
            DataType::Union(fields.iter().map(|(type_id, field)| (type_id, child(field))).collect(), *mode)
        }
        DataType::RunEndEncoded(run_ends, values) => DataType::RunEndEncoded(
            Arc::new(Field::new("run_ends", run_ends.data_type().clone(), false)),
            Arc::new(Field::new("values", physical(values.data_type()), true)),
        ),
        other => other.clone(),
    }
}
