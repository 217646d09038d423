//! Arbitrary types and columns.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, IntervalUnit, TimeUnit, UnionFields, UnionMode};
use proptest::prelude::*;
use proptest::sample::select;

fn unit() -> impl Strategy<Value = TimeUnit> {
    select(vec![TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond])
}

pub(crate) fn plain() -> impl Strategy<Value = DataType> {
    use DataType as T;
    let fixed = select(vec![
        T::Null,
        T::Boolean,
        T::Int8,
        T::Int16,
        T::Int32,
        T::Int64,
        T::UInt8,
        T::UInt16,
        T::UInt32,
        T::UInt64,
        T::Float16,
        T::Float32,
        T::Float64,
        T::Utf8,
        T::LargeUtf8,
        T::Utf8View,
        T::Binary,
        T::LargeBinary,
        T::BinaryView,
        T::Date32,
        T::Date64,
        T::Time32(TimeUnit::Second),
        T::Time32(TimeUnit::Millisecond),
        T::Time64(TimeUnit::Microsecond),
        T::Time64(TimeUnit::Nanosecond),
        T::Interval(IntervalUnit::YearMonth),
        T::Interval(IntervalUnit::DayTime),
        T::Interval(IntervalUnit::MonthDayNano),
    ]);
    let zone = prop::option::of(select(vec!["UTC", "+05:30", "Europe/Berlin", "a \"zone\", odd)"]));
    prop_oneof![
        8 => fixed,
        2 => (unit(), zone).prop_map(|(unit, zone)| T::Timestamp(unit, zone.map(Into::into))),
        1 => unit().prop_map(T::Duration),
        1 => (0..40_i32).prop_map(T::FixedSizeBinary),
        1 => (1..=9_u8, -9..=9_i8).prop_map(|(precision, scale)| T::Decimal32(precision, scale)),
        1 => (1..=18_u8, -18..=18_i8).prop_map(|(precision, scale)| T::Decimal64(precision, scale)),
        2 => (1..=38_u8, -38..=38_i8).prop_map(|(precision, scale)| T::Decimal128(precision, scale)),
        1 => (1..=76_u8, -76..=76_i8).prop_map(|(precision, scale)| T::Decimal256(precision, scale)),
    ]
}

/// Every type that the store takes.
pub(crate) fn any_type() -> impl Strategy<Value = DataType> {
    use DataType as T;
    plain().prop_recursive(4, 24, 4, |inner| {
        let child = |name: &'static str| {
            (inner.clone(), any::<bool>())
                .prop_map(move |(data_type, null)| Arc::new(Field::new(name, data_type, null)))
        };
        let named = prop::collection::vec((".{0,6}", inner.clone(), any::<bool>()), 1..4).prop_map(|fields| {
            fields.into_iter().map(|(name, data_type, null)| Field::new(name, data_type, null)).collect::<Vec<_>>()
        });
        let index = select(vec![T::Int8, T::UInt16, T::Int32, T::UInt64]);
        let values =
            inner.clone().prop_filter("no dictionary of a dictionary", |values| !matches!(values, T::Dictionary(_, _)));
        prop_oneof![
            (child("item"), 0..5_u8).prop_map(|(item, kind)| match kind {
                0 => T::List(item),
                1 => T::LargeList(item),
                2 => T::ListView(item),
                3 => T::LargeListView(item),
                _ => T::FixedSizeList(item, 3),
            }),
            named.clone().prop_map(|fields| T::Struct(fields.into())),
            (named, any::<bool>()).prop_map(|(fields, dense)| {
                let ids: Vec<i8> = (0..fields.len() as i8).map(|id| id * 3 + 1).collect();
                let mode = if dense { UnionMode::Dense } else { UnionMode::Sparse };
                T::Union(UnionFields::try_new(ids, fields).expect("ids that differ"), mode)
            }),
            (inner.clone(), child("value"), any::<bool>()).prop_map(|(key, value, sorted)| {
                let pair = Fields::from(vec![Arc::new(Field::new("key", key, false)), value]);
                T::Map(Arc::new(Field::new("entries", T::Struct(pair), false)), sorted)
            }),
            (index, values).prop_map(|(index, values)| T::Dictionary(Box::new(index), Box::new(values))),
            (select(vec![T::Int16, T::Int32, T::Int64]), child("values"))
                .prop_map(|(ends, values)| T::RunEndEncoded(Arc::new(Field::new("run_ends", ends, false)), values)),
        ]
    })
}
