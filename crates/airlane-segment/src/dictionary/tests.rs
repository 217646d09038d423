use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    DictionaryArray, Int8Array, Int32Array, ListArray, PrimitiveArray, RecordBatch, StringArray, StringViewArray,
    StructArray,
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use super::*;
use crate::encode::Encoded;

const BYTES_MAX: u64 = 4096;

fn unifier(column: &ArrayRef) -> Unifier {
    let schema = Schema::new(vec![Field::new("column", column.data_type().clone(), true)]);
    Unifier::new(&schema, BYTES_MAX)
}

fn dictionary(keys: &[Option<i32>], values: &[Option<&str>]) -> ArrayRef {
    let values = Arc::new(StringArray::from(values.to_vec()));
    Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(keys.to_vec()), values))
}

fn rewrite(unifier: &mut Unifier, column: &ArrayRef) -> Vec<Option<i32>> {
    let rewritten = unifier.rewrite(std::slice::from_ref(column)).unwrap();
    rewritten[0].as_primitive::<Int32Type>().iter().collect()
}

fn texts(unifier: &Unifier, id: usize) -> Vec<Option<String>> {
    unifier.values().unwrap()[id].as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

fn some<const N: usize>(texts: [&str; N]) -> Vec<Option<String>> {
    texts.map(|text| Some(text.to_owned())).to_vec()
}

#[test]
fn one_dictionary_is_taken_as_it_is() {
    let column = dictionary(&[Some(2), None, Some(0)], &[Some("a"), Some("unused"), Some("c")]);
    let mut unifier = unifier(&column);
    assert_eq!(rewrite(&mut unifier, &column), [Some(2), None, Some(0)]);
    assert_eq!(rewrite(&mut unifier, &column.slice(1, 2)), [None, Some(0)]);
    assert_eq!(texts(&unifier, 0), some(["a", "unused", "c"]));
}

#[test]
fn deltas_extend_and_leave_indices_alone() {
    let first = dictionary(&[Some(1)], &[Some("a"), Some("b")]);
    let longer = dictionary(&[Some(2), Some(0)], &[Some("a"), Some("b"), Some("c")]);
    let mut unifier = unifier(&first);
    assert_eq!(rewrite(&mut unifier, &first), [Some(1)]);
    assert_eq!(rewrite(&mut unifier, &longer), [Some(2), Some(0)]);
    assert_eq!(rewrite(&mut unifier, &first), [Some(1)]);
    assert_eq!(texts(&unifier, 0), some(["a", "b", "c"]));
}

#[test]
fn replacements_add_what_they_use() {
    let first = dictionary(&[Some(1), Some(0)], &[Some("a"), Some("b")]);
    let other = dictionary(&[Some(3), None, Some(1), Some(0)], &[Some("c"), Some("a"), Some("unused"), Some("c")]);
    let mut unifier = unifier(&first);
    rewrite(&mut unifier, &first);
    assert_eq!(rewrite(&mut unifier, &other), [Some(2), None, Some(0), Some(2)]);
    assert_eq!(rewrite(&mut unifier, &other.slice(2, 2)), [Some(0), Some(2)]);
    assert_eq!(rewrite(&mut unifier, &first), [Some(1), Some(0)]);
    assert_eq!(texts(&unifier, 0), some(["a", "b", "c"]));
}

#[test]
fn null_values_and_repeated_values_stay_what_they_are() {
    let first = dictionary(&[Some(0), Some(1), Some(2)], &[None, Some("a"), Some("a")]);
    let other = dictionary(&[Some(1), Some(0), None], &[Some("a"), None]);
    let mut unifier = unifier(&first);
    assert_eq!(rewrite(&mut unifier, &first), [Some(0), Some(1), Some(2)]);
    assert_eq!(rewrite(&mut unifier, &other), [Some(0), Some(1), None]);
    assert_eq!(texts(&unifier, 0), [None, Some("a".to_owned()), Some("a".to_owned())]);
}

#[test]
fn the_index_type_ends_a_segment() {
    let column = |from: i32| -> ArrayRef {
        let values = Arc::new(Int32Array::from_iter_values(from..from + 100));
        Arc::new(DictionaryArray::<Int8Type>::new(Int8Array::from_iter_values(0..100), values))
    };
    let mut unifier = unifier(&column(0));
    unifier.rewrite(&[column(0)]).unwrap();
    unifier.rewrite(&[column(20)]).unwrap();
    assert!(matches!(unifier.rewrite(&[column(40)]), Err(Refusal::Apart)));
    assert_eq!(unifier.values().unwrap()[0].len(), 120);
    unifier.reset(1 << 20).unwrap();
    let rewritten = unifier.rewrite(&[column(40)]).unwrap();
    assert_eq!(rewritten[0].as_primitive::<Int8Type>().values(), Int8Array::from_iter_values(0..100).values());
}

/// A batch that uses some of a thousand values of a hundred bytes: many times the bound.
fn wide(values: &ArrayRef, used: impl Iterator<Item = i32>) -> ArrayRef {
    Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from_iter_values(used), values.clone()))
}

#[test]
fn a_dictionary_above_the_bound_is_reduced_to_what_is_used() {
    let values: ArrayRef = Arc::new(StringArray::from_iter_values((0..1000).map(|value| format!("{value:0100}"))));
    let mut unifier = unifier(&wide(&values, 0..1));
    assert_eq!(rewrite(&mut unifier, &wide(&values, [7, 3, 7].into_iter())), [Some(0), Some(1), Some(0)]);
    assert_eq!(rewrite(&mut unifier, &wide(&values, [9, 3].into_iter())), [Some(2), Some(1)]);
    assert_eq!(texts(&unifier, 0), [7, 3, 9].map(|value| Some(format!("{value:0100}"))));
    assert!(matches!(unifier.rewrite(&[wide(&values, 100..150)]), Err(Refusal::Full)));
    assert_eq!(texts(&unifier, 0).len(), 3);
}

/// Batches of 20 rows that each use other values than the one before, over and over: the segments begun, until one is
/// refused.
fn segments_of(distinct: i32) -> Result<usize> {
    let texts = (0..distinct).map(|value| format!("{value:0100}"));
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let mut unifier = unifier(&wide(&values, 0..1));
    let mut segments = 1;
    for round in 0..500 {
        let batch = wide(&values, (0..20).map(|value| (round * 20 + value) % distinct));
        if matches!(unifier.rewrite(std::slice::from_ref(&batch)), Err(Refusal::Full)) {
            segments += 1;
            unifier.reset(100)?;
            unifier.rewrite(&[batch]).unwrap();
        }
    }
    Ok(segments)
}

#[test]
fn the_bound_grows_when_segments_would_repeat_a_large_dictionary() {
    // With the bound as it was there would be a segment for every second batch.
    assert_eq!(segments_of(20).unwrap(), 1);
    assert_eq!(segments_of(1000).unwrap(), 6);
}

#[test]
fn a11_dictionaries_that_no_segment_can_hold_are_refused() {
    assert_eq!(segments_of(2000).unwrap_err().code(), codes::LIMIT_EXCEEDED);
}

#[test]
fn many_dictionaries_have_a_bound_together() {
    let column = |from: usize| -> Vec<ArrayRef> {
        let texts = |id: usize| (0..10).map(move |value| format!("{:0100}", 10 * (from + 100 * id) + value));
        let values = |id| Arc::new(StringArray::from_iter_values(texts(id)));
        let keys: PrimitiveArray<Int32Type> = (0..10).collect();
        (0..8).map(|id| Arc::new(DictionaryArray::<Int32Type>::new(keys.clone(), values(id))) as ArrayRef).collect()
    };
    let columns = column(0);
    let fields: Vec<Field> = columns.iter().map(|column| Field::new("c", column.data_type().clone(), true)).collect();
    let mut unifier = Unifier::new(&Schema::new(fields), BYTES_MAX);
    unifier.rewrite(&columns).unwrap();
    unifier.rewrite(&columns).unwrap();
    assert!(matches!(unifier.rewrite(&column(1)), Err(Refusal::Full)));
    assert!(unifier.unions.all.iter().all(|union| union.bytes() < BYTES_MAX));
}

#[test]
fn an_empty_segment_takes_any_batch() {
    let large = "x".repeat(2 * BYTES_MAX as usize);
    let first = dictionary(&[Some(0)], &[Some(&large)]);
    let other = dictionary(&[Some(0)], &[Some("b")]);
    let mut unifier = unifier(&first);
    assert_eq!(rewrite(&mut unifier, &first), [Some(0)]);
    assert_eq!(rewrite(&mut unifier, &first), [Some(0)]);
    assert!(matches!(unifier.rewrite(&[other]), Err(Refusal::Full)));
    assert_eq!(unifier.bytes(), Encoded::columns(1, &unifier.values().unwrap()).body_bytes());
}

#[test]
fn dictionaries_inside_lists_take_only_what_the_rows_show() {
    let list = |keys: &[Option<i32>], values: &[Option<&str>], lengths: &[usize]| -> ArrayRef {
        let values = dictionary(keys, values);
        let field = Arc::new(Field::new("item", values.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
        Arc::new(ListArray::new(field, offsets, values, None))
    };
    let first = list(&[Some(0)], &[Some("a")], &[1]);
    let other = list(&[Some(0), Some(1), Some(2)], &[Some("b"), Some("c"), Some("d")], &[1, 2]);
    let mut unifier = unifier(&first);
    unifier.rewrite(&[first]).unwrap();
    let rewritten = unifier.rewrite(&[other.slice(1, 1)]).unwrap();
    assert_eq!(rewritten[0].as_list::<i32>().value(0).as_primitive::<Int32Type>().values(), &[1, 2]);
    assert_eq!(texts(&unifier, 0), some(["a", "c", "d"]));
}

#[test]
fn dictionaries_inside_dictionaries_are_unified_from_within() {
    let nested = |keys: &[i32], inner: ArrayRef| -> ArrayRef {
        let field = Arc::new(Field::new("inner", inner.data_type().clone(), true));
        let values = Arc::new(StructArray::from(vec![(field, inner)]));
        Arc::new(DictionaryArray::<Int32Type>::new(keys.iter().copied().collect(), values))
    };
    let first = nested(&[0, 1], dictionary(&[Some(0), Some(1)], &[Some("a"), Some("b")]));
    // The same two values and a new one, in another order on both levels.
    let other = nested(&[0, 1, 2], dictionary(&[Some(0), Some(1), Some(2)], &[Some("b"), Some("c"), Some("a")]));
    let mut unifier = unifier(&first);
    rewrite(&mut unifier, &first);
    assert_eq!(rewrite(&mut unifier, &other), [Some(1), Some(2), Some(0)]);
    assert_eq!(texts(&unifier, 0), some(["a", "b", "c"]));
    let outer = unifier.values().unwrap()[1].clone();
    assert_eq!(outer.as_struct().column(0).as_primitive::<Int32Type>().values(), &[0, 1, 2]);
}

#[test]
fn a10_values_that_share_their_bytes_are_not_looked_at_one_by_one() {
    // A thousand views of the same long text: compared one by one they would be a hundred times their bytes.
    let text = "x".repeat(100_000);
    let one = StringViewArray::from(vec![text.as_str()]);
    let views: ScalarBuffer<u128> = std::iter::repeat_n(one.views()[0], 1000).collect();
    let values: ArrayRef = Arc::new(StringViewArray::new(views, one.data_buffers().to_vec(), None));
    assert!(!comparable::is_comparable(&values));
    assert!(comparable::is_comparable(&(Arc::new(one) as ArrayRef)));
    let keys: PrimitiveArray<Int32Type> = (0..1000).collect();
    let column: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, values.clone()));
    let mut unifier = unifier(&column);
    assert_eq!(rewrite(&mut unifier, &column).len(), 1000);
    assert_eq!(unifier.values().unwrap()[0].len(), 1000);
    let again: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![5]), values.slice(1, 900)));
    assert!(matches!(unifier.rewrite(&[again]), Err(Refusal::Apart)));
}

#[test]
fn columns_without_dictionaries_pass() {
    let batch = RecordBatch::try_from_iter([("a", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]).unwrap();
    let mut unifier = Unifier::new(&batch.schema(), BYTES_MAX);
    let rewritten = unifier.rewrite(batch.columns()).unwrap();
    assert!(Arc::ptr_eq(&rewritten[0], batch.column(0)));
    assert!(unifier.values().unwrap().is_empty());
    assert!(matches!(batch.column(0).data_type(), DataType::Int32));
}
