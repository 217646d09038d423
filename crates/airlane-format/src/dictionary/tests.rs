use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{ListArray, StringArray, UInt8Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::Field;

use super::*;

fn keyed(values: &[&str]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<DictionaryArray<Int8Type>>())
}

fn batch(column: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter([("a", column)]).expect("batch")
}

#[test]
fn the_union_grows_and_keeps_its_beginning() {
    let mut union = DictionaryUnion::default();
    let first = union.unify(&batch(keyed(&["x", "y"]))).expect("unify");
    let second = union.unify(&batch(keyed(&["z", "x"]))).expect("unify");
    let values = |batch: &RecordBatch| batch.column(0).as_any_dictionary().values().clone();
    assert_eq!(values(&first).as_string::<i32>(), &StringArray::from(vec!["x", "y"]));
    assert_eq!(values(&second).as_string::<i32>(), &StringArray::from(vec!["x", "y", "z"]));
    assert_eq!(second, batch(keyed(&["z", "x"])), "the rows are the same");
    let third = union.unify(&batch(keyed(&["y"]))).expect("unify");
    assert!(values(&third).to_data().ptr_eq(&values(&second).to_data()), "an unchanged union is shared");
}

#[test]
fn dictionaries_inside_lists_are_found() {
    let list = |values: &[&str]| -> ArrayRef {
        let item = Arc::new(Field::new_list_field(keyed(values).data_type().clone(), true));
        Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([1, values.len() - 1]), keyed(values), None))
    };
    let mut union = DictionaryUnion::default();
    union.unify(&batch(list(&["x", "y"]))).expect("unify");
    let second = union.unify(&batch(list(&["z", "y", "w"]))).expect("unify");
    assert_eq!(second, batch(list(&["z", "y", "w"])));
    let values = second.column(0).as_list::<i32>().values().as_any_dictionary().values().clone();
    assert_eq!(values.len(), 4);
}

#[test]
fn a_union_larger_than_its_key_is_an_error() {
    let mut union = DictionaryUnion::default();
    for start in [0, 100] {
        let texts: Vec<String> = (start..start + 100).map(|n| n.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let result = union.unify(&batch(keyed(&texts)));
        assert_eq!(result.is_err(), start == 100);
    }
}

#[test]
fn other_keys_and_values_are_unified_too() {
    let numbers = |values: Vec<u8>| -> ArrayRef {
        let keys = arrow_array::Int32Array::from_iter_values(0..i32::try_from(values.len()).expect("few"));
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(UInt8Array::from(values))))
    };
    let mut union = DictionaryUnion::default();
    union.unify(&batch(numbers(vec![7, 8]))).expect("unify");
    let second = union.unify(&batch(numbers(vec![8, 9]))).expect("unify");
    assert_eq!(second, batch(numbers(vec![8, 9])));
}
