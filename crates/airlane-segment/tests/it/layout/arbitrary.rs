//! Tables of any type: proptest draws the types and sizes, a die with a seed draws the values.

use std::fmt;
use std::sync::Arc;

use arrow_array::builder::{BinaryViewBuilder, StringViewBuilder};
use arrow_array::{
    Array, ArrayRef, BooleanArray, NullArray, RecordBatch, RecordBatchOptions, StructArray, UnionArray, make_array,
    new_empty_array,
};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_schema::{
    DataType, Field, FieldRef, Fields, IntervalUnit, Schema, SchemaRef, TimeUnit, UnionFields, UnionMode,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A table to be put: its schema, and batches cut out of larger ones.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) schema: SchemaRef,
    pub(super) batches: Vec<RecordBatch>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<String> = self.schema.fields().iter().map(|field| field.data_type().to_string()).collect();
        let rows: Vec<usize> = self.batches.iter().map(RecordBatch::num_rows).collect();
        f.debug_struct("Table").field("types", &types).field("rows", &rows).finish()
    }
}

/// Tables of up to four columns and five batches.
pub(super) fn tables() -> impl Strategy<Value = Table> {
    let batch = (any::<u64>(), 0usize..200, 0usize..20, 0usize..20);
    (vec(data_types(), 0..=4), vec(batch, 0..=5)).prop_map(|(types, batches)| {
        let fields: Vec<Field> =
            types.into_iter().enumerate().map(|(index, data_type)| column(index, data_type)).collect();
        let metadata = [("origin".to_owned(), "a test".to_owned())].into();
        let schema: SchemaRef = Arc::new(Schema::new_with_metadata(fields, metadata));
        let batches = batches.into_iter().map(|(seed, rows, before, after)| {
            batch_of(&schema, &mut Dice(seed), before + rows + after).slice(before, rows)
        });
        Table { batches: batches.collect(), schema }
    })
}

/// Every third column is of an extension type that nobody knows.
fn column(index: usize, data_type: DataType) -> Field {
    let field = Field::new(format!("c{index}"), data_type, true);
    match index % 3 {
        0 => field.with_metadata([("ARROW:extension:name".to_owned(), "airlane.test".to_owned())].into()),
        _ => field,
    }
}

pub(super) fn batch_of(schema: &SchemaRef, dice: &mut Dice, rows: usize) -> RecordBatch {
    let columns = schema.fields().iter().map(|field| array(dice, field.data_type(), rows)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).expect("a valid batch")
}

/// The types without children.
pub(super) fn leaves() -> Vec<DataType> {
    use DataType::*;
    let mut types = vec![
        Null,
        Boolean,
        Int8,
        Int16,
        Int32,
        Int64,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        Float16,
        Float32,
        Float64,
        Date32,
        Date64,
        Utf8,
        LargeUtf8,
        Utf8View,
        Binary,
        LargeBinary,
        BinaryView,
    ];
    types.extend([Time32(TimeUnit::Second), Time32(TimeUnit::Millisecond)]);
    types.extend([Time64(TimeUnit::Microsecond), Time64(TimeUnit::Nanosecond)]);
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        types.extend([Duration(unit), Timestamp(unit, None), Timestamp(unit, Some("+02:00".into()))]);
    }
    types.extend([IntervalUnit::YearMonth, IntervalUnit::DayTime, IntervalUnit::MonthDayNano].map(Interval));
    types.extend([FixedSizeBinary(0), FixedSizeBinary(1), FixedSizeBinary(16)]);
    types.extend([Decimal32(9, 2), Decimal64(18, -3), Decimal128(38, 10), Decimal256(76, 20)]);
    types
}

fn data_types() -> impl Strategy<Value = DataType> {
    select(leaves()).prop_recursive(3, 8, 3, |inner| {
        let child =
            || inner.clone().prop_map(|data_type| -> FieldRef { Arc::new(Field::new("item", data_type, true)) });
        let index = select(vec![
            DataType::Int8,
            DataType::Int16,
            DataType::Int32,
            DataType::Int64,
            DataType::UInt8,
            DataType::UInt16,
            DataType::UInt32,
            DataType::UInt64,
        ]);
        let run_ends = select(vec![DataType::Int16, DataType::Int32, DataType::Int64]);
        let undirected = inner
            .clone()
            .prop_filter("no dictionary of a dictionary", |inner| !matches!(inner, DataType::Dictionary(_, _)));
        let key = select(vec![DataType::Utf8, DataType::Int16, DataType::FixedSizeBinary(4)]);
        prop_oneof![
            child().prop_map(DataType::List),
            child().prop_map(DataType::LargeList),
            child().prop_map(DataType::ListView),
            child().prop_map(DataType::LargeListView),
            (child(), 0..4).prop_map(|(child, size)| DataType::FixedSizeList(child, size)),
            vec(inner.clone(), 0..3).prop_map(|types| DataType::Struct(named(types))),
            (key, inner.clone()).prop_map(|(key, value)| map_type(key, value)),
            (vec(inner.clone(), 1..4), any::<bool>()).prop_map(|(types, dense)| union_type(types, dense)),
            (run_ends, inner.clone()).prop_map(|(run_ends, values)| DataType::RunEndEncoded(
                Arc::new(Field::new("run_ends", run_ends, false)),
                Arc::new(Field::new("values", values, true)),
            )),
            (index.clone(), undirected.clone())
                .prop_map(|(index, values)| DataType::Dictionary(Box::new(index), Box::new(values))),
            (index, undirected).prop_map(|(index, values)| DataType::Dictionary(Box::new(index), Box::new(values))),
        ]
    })
}

fn named(types: Vec<DataType>) -> Fields {
    types.into_iter().enumerate().map(|(index, data_type)| Field::new(format!("f{index}"), data_type, true)).collect()
}

fn map_type(key: DataType, value: DataType) -> DataType {
    let entries = Fields::from(vec![Field::new("key", key, false), Field::new("value", value, true)]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
}

/// Type ids that are not positions.
fn union_type(types: Vec<DataType>, dense: bool) -> DataType {
    let fields: UnionFields =
        named(types).iter().enumerate().map(|(index, field)| (5 * index as i8 + 3, field.clone())).collect();
    DataType::Union(fields, if dense { UnionMode::Dense } else { UnionMode::Sparse })
}

/// Random numbers from a seed: SplitMix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }

    /// None at all for one array in three.
    fn nulls(&mut self, len: usize) -> Option<NullBuffer> {
        (!self.one_in(3)).then(|| NullBuffer::new(BooleanBuffer::collect_bool(len, |_| !self.one_in(4))))
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn text(&mut self) -> String {
        let len = if self.one_in(4) { self.below(60) } else { self.below(8) };
        (0..len).map(|_| ['a', 'b', 'é', '√', '🦀', ' '][self.below(6)]).collect()
    }
}

/// An array of `len` values.
pub(super) fn array(dice: &mut Dice, data_type: &DataType, len: usize) -> ArrayRef {
    match data_type {
        DataType::Null => Arc::new(NullArray::new(len)),
        DataType::Boolean => {
            Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(len, |_| dice.one_in(2)), dice.nulls(len)))
        }
        DataType::Utf8 => texts::<i32>(dice, data_type, len, true),
        DataType::LargeUtf8 => texts::<i64>(dice, data_type, len, true),
        DataType::Binary => texts::<i32>(dice, data_type, len, false),
        DataType::LargeBinary => texts::<i64>(dice, data_type, len, false),
        DataType::Utf8View => {
            let mut builder = StringViewBuilder::new().with_fixed_block_size(256);
            if dice.one_in(2) {
                builder = builder.with_deduplicate_strings();
            }
            (0..len).for_each(|_| builder.append_option((!dice.one_in(5)).then(|| dice.text())));
            Arc::new(builder.finish())
        }
        DataType::BinaryView => {
            let mut builder = BinaryViewBuilder::new().with_fixed_block_size(100);
            (0..len).for_each(|_| builder.append_option((!dice.one_in(5)).then(|| dice.text())));
            Arc::new(builder.finish())
        }
        DataType::List(child) | DataType::Map(child, _) => lists::<i32>(dice, data_type, child, len),
        DataType::LargeList(child) => lists::<i64>(dice, data_type, child, len),
        DataType::ListView(child) => list_views::<i32>(dice, data_type, child, len),
        DataType::LargeListView(child) => list_views::<i64>(dice, data_type, child, len),
        DataType::FixedSizeList(child, size) => {
            let values = array(dice, child.data_type(), len * *size as usize);
            build(data_type, len, dice.nulls(len), vec![], vec![values.to_data()])
        }
        DataType::Struct(fields) => structs(dice, fields, len, true),
        DataType::Union(fields, mode) => union(dice, fields, *mode, len),
        DataType::RunEndEncoded(run_ends, values) => runs(dice, data_type, run_ends, values, len),
        DataType::Dictionary(index, values) => dictionary(dice, data_type, index, values, len),
        primitive => {
            let width = primitive.primitive_width().or(fixed_width(primitive)).expect("a primitive");
            let values = (0..len).flat_map(|_| primitive_value(dice, primitive, width)).collect::<Vec<u8>>();
            build(primitive, len, dice.nulls(len), vec![Buffer::from(values.as_slice())], vec![])
        }
    }
}

fn fixed_width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeBinary(width) => Some(*width as usize),
        _ => None,
    }
}

/// The bytes of a value that full validation accepts.
fn primitive_value(dice: &mut Dice, data_type: &DataType, width: usize) -> Vec<u8> {
    const DAY_SECONDS: u64 = 86_400;
    let bounded = |value: i64| value.to_le_bytes()[..width].to_vec();
    match data_type {
        // Any bits: infinities, zeros below zero, and NaNs of all kinds.
        DataType::Float16 | DataType::Float32 | DataType::Float64 if dice.one_in(8) => {
            let bits = dice.next();
            let nan = if dice.one_in(2) { 0x7FF0_0000_0000_0000 } else { 0 };
            (bits | nan).to_le_bytes()[8 - width..].to_vec()
        }
        DataType::Float16 => (dice.next() as u16 & 0x3fff).to_le_bytes().to_vec(),
        DataType::Float32 => (dice.next() as i32 as f32).to_le_bytes().to_vec(),
        DataType::Float64 => (dice.next() as i64 as f64 / 7.0).to_le_bytes().to_vec(),
        DataType::Date64 => bounded((dice.below(40_000) as i64 - 20_000) * 1000 * DAY_SECONDS as i64),
        DataType::Date32 => bounded(dice.below(40_000) as i64 - 20_000),
        DataType::Timestamp(_, _) | DataType::Duration(_) => bounded((dice.next() as i64) >> 30),
        DataType::Time32(TimeUnit::Second) => bounded((dice.next() % DAY_SECONDS) as i64),
        DataType::Time32(_) => bounded((dice.next() % (1_000 * DAY_SECONDS)) as i64),
        DataType::Time64(_) => bounded((dice.next() % (1_000_000 * DAY_SECONDS)) as i64),
        DataType::Decimal32(_, _) => (dice.below(1_999_999_998) as i32 - 999_999_999).to_le_bytes().to_vec(),
        DataType::Decimal64(_, _) => (dice.next() as i64 % 1_000_000_000_000_000_000).to_le_bytes().to_vec(),
        DataType::Decimal128(_, _) => (i128::from(dice.next() as i64) * 1_000_003).to_le_bytes().to_vec(),
        DataType::Decimal256(_, _) => {
            let low = i128::from(dice.next() as i64) * 1_000_003;
            [low.to_le_bytes(), (low >> 127).to_le_bytes()].concat()
        }
        // Half of the values are small, so that dictionaries repeat them.
        _ if dice.one_in(2) => {
            let mut bytes = vec![0; width];
            bytes.iter_mut().take(1).for_each(|byte| *byte = dice.below(3) as u8);
            bytes
        }
        _ => dice.bytes(width),
    }
}

fn build(
    data_type: &DataType,
    len: usize,
    nulls: Option<NullBuffer>,
    buffers: Vec<Buffer>,
    children: Vec<ArrayData>,
) -> ArrayRef {
    let builder = ArrayData::builder(data_type.clone()).len(len).nulls(nulls).buffers(buffers).child_data(children);
    make_array(builder.build().expect("valid data"))
}

fn texts<O: ArrowNativeType>(dice: &mut Dice, data_type: &DataType, len: usize, is_text: bool) -> ArrayRef {
    let mut bytes = Vec::new();
    let mut offsets = vec![O::usize_as(0)];
    for _ in 0..len {
        match is_text {
            true => bytes.extend(dice.text().into_bytes()),
            false => {
                let length = dice.below(9);
                bytes.extend(dice.bytes(length));
            }
        }
        offsets.push(O::usize_as(bytes.len()));
    }
    // Nulls may have bytes too.
    build(data_type, len, dice.nulls(len), vec![Buffer::from_vec(offsets), Buffer::from(bytes.as_slice())], vec![])
}

fn lists<O: ArrowNativeType>(dice: &mut Dice, data_type: &DataType, child: &Field, len: usize) -> ArrayRef {
    let lengths: Vec<usize> = (0..len).map(|_| dice.below(4)).collect();
    let total = lengths.iter().sum();
    let offsets = OffsetBuffer::<i64>::from_lengths(lengths);
    let offsets: Vec<O> = offsets.iter().map(|offset| O::usize_as(*offset as usize)).collect();
    let values = match (data_type, child.data_type()) {
        (DataType::Map(_, _), DataType::Struct(fields)) => structs(dice, fields, total, false),
        _ => array(dice, child.data_type(), total),
    };
    build(data_type, len, dice.nulls(len), vec![Buffer::from_vec(offsets)], vec![values.to_data()])
}

/// Lists anywhere in their values: out of order, shared, with holes.
fn list_views<O: ArrowNativeType>(dice: &mut Dice, data_type: &DataType, child: &Field, len: usize) -> ArrayRef {
    let spare = dice.below(10);
    let values = array(dice, child.data_type(), len + spare);
    let (offsets, sizes): (Vec<O>, Vec<O>) = (0..len)
        .map(|_| {
            let offset = dice.below(values.len());
            (O::usize_as(offset), O::usize_as(dice.below(4).min(values.len() - offset)))
        })
        .unzip();
    let buffers = vec![Buffer::from_vec(offsets), Buffer::from_vec(sizes)];
    build(data_type, len, dice.nulls(len), buffers, vec![values.to_data()])
}

fn structs(dice: &mut Dice, fields: &Fields, len: usize, nullable: bool) -> ArrayRef {
    let nulls = if nullable { dice.nulls(len) } else { None };
    if fields.is_empty() {
        return Arc::new(StructArray::new_empty_fields(len, nulls));
    }
    let columns = fields.iter().map(|field| {
        let column = array(dice, field.data_type(), len);
        if field.is_nullable() {
            column
        } else {
            make_array(column.to_data().into_builder().nulls(None).build().unwrap())
        }
    });
    Arc::new(StructArray::new(fields.clone(), columns.collect(), nulls))
}

fn union(dice: &mut Dice, fields: &UnionFields, mode: UnionMode, len: usize) -> ArrayRef {
    let ids: Vec<i8> = fields.iter().map(|(type_id, _)| type_id).collect();
    let type_ids: ScalarBuffer<i8> = (0..len).map(|_| ids[dice.below(ids.len())]).collect();
    // The offsets of a child grow, but may leave values out and share them.
    let (first, step_max) = if dice.one_in(2) { (0, 0) } else { (dice.below(3), 3) };
    let offsets: Option<ScalarBuffer<i32>> = (mode == UnionMode::Dense).then(|| {
        let mut ends = [first; 128];
        let next = type_ids.iter().map(|type_id| {
            let end = &mut ends[*type_id as usize];
            let offset = (*end).min(len - 1);
            *end += if step_max == 0 { 1 } else { dice.below(step_max) };
            offset as i32
        });
        next.collect()
    });
    let children = fields.iter().map(|(_, field)| array(dice, field.data_type(), len)).collect();
    Arc::new(UnionArray::try_new(fields.clone(), type_ids, offsets, children).expect("a valid union"))
}

fn runs(dice: &mut Dice, data_type: &DataType, run_ends: &Field, values: &Field, len: usize) -> ArrayRef {
    let mut ends = Vec::new();
    while ends.last().copied().unwrap_or(0) < len {
        let last = ends.last().copied().unwrap_or(0);
        ends.push(last + 1 + dice.below(5));
    }
    if ends.is_empty() {
        return new_empty_array(data_type);
    }
    let buffer = match run_ends.data_type() {
        DataType::Int16 => ends.iter().map(|end| *end as i16).collect::<Buffer>(),
        DataType::Int32 => ends.iter().map(|end| *end as i32).collect(),
        _ => ends.iter().map(|end| *end as i64).collect(),
    };
    let values = array(dice, values.data_type(), ends.len());
    let ends = build(run_ends.data_type(), ends.len(), None, vec![buffer], vec![]);
    build(data_type, len, None, vec![], vec![ends.to_data(), values.to_data()])
}

/// Values repeat and may be null, indices may be null.
fn dictionary(dice: &mut Dice, data_type: &DataType, index: &DataType, values: &DataType, len: usize) -> ArrayRef {
    let count_max = if dice.one_in(3) { 90 } else { 6 };
    let count = 1 + dice.below(count_max);
    let values = array(dice, values, count);
    let width = index.primitive_width().expect("an integer");
    let indices = (0..len).flat_map(|_| dice.below(count).to_le_bytes()[..width].to_vec()).collect::<Vec<u8>>();
    build(data_type, len, dice.nulls(len), vec![Buffer::from(indices.as_slice())], vec![values.to_data()])
}
