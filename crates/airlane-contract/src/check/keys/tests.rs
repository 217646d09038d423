use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow_array::{Int64Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;

use super::*;

/// A spill that gives its bytes back in small pieces.
#[derive(Clone, Default)]
struct Pieces(Arc<Mutex<HashMap<u32, Vec<u8>>>>);

impl Spill for Pieces {
    fn append(&mut self, partition: u32, bytes: &[u8]) -> Result<()> {
        self.0.lock().unwrap().entry(partition).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, partition: u32, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let bytes = self.0.lock().unwrap().get(&partition).cloned().unwrap_or_default();
        bytes.chunks(7).try_for_each(take)
    }
}

fn batch(keys: &[(Option<i64>, &str)]) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("k", DataType::Int64, true), Field::new("t", DataType::Utf8, false)]);
    let numbers: Int64Array = keys.iter().map(|(number, _)| *number).collect();
    let texts: StringArray = keys.iter().map(|(_, text)| Some(*text)).collect();
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(numbers), Arc::new(texts)]).unwrap()
}

fn keys(budget: u64, batch: &RecordBatch) -> Keys {
    let columns = vec![(0, "k".to_owned()), (1, "t".to_owned())];
    Keys::new(0, columns, batch.schema_ref(), ByteSize::bytes(budget), 7).unwrap()
}

#[test]
fn the_first_row_that_repeats_one_is_named() {
    let batch =
        batch(&[(Some(1), "a"), (Some(2), "a"), (Some(1), "b"), (Some(2), "a"), (Some(1), "a"), (Some(2), "a")]);
    let mut keys = keys(1 << 20, &batch);
    keys.add(&batch, |row| row as u64 + 100, &mut None).unwrap();
    let found = keys.finish(&mut None).unwrap();
    assert_eq!(found, Repeats { count: 3, first: Some(Repeat { row: 103, earlier: 101, value: "2, a".to_owned() }) });
}

#[test]
fn a_null_equals_nothing() {
    let batch = batch(&[(None, "a"), (None, "a"), (Some(1), "a")]);
    let mut keys = keys(1 << 20, &batch);
    keys.add(&batch, |row| row as u64, &mut None).unwrap();
    assert_eq!(keys.finish(&mut None).unwrap(), Repeats::default());
}

#[test]
fn without_a_spill_memory_is_the_limit() {
    let batch = batch(&[(Some(1), "a"); 100]);
    let error = keys(100, &batch).add(&batch, |row| row as u64, &mut None).unwrap_err();
    assert_eq!(error.code(), codes::LIMIT_EXCEEDED);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever the budget and however hashes collide, the same rows are found as by looking at all pairs.
    #[test]
    fn repeats_are_exact(
        rows in prop::collection::vec((prop::option::of(0_i64..40), "[ab]{0,2}"), 0..120),
        budget in prop_oneof![Just(1_u64), Just(500), Just(3_000), Just(1 << 20)],
        collide in any::<bool>(),
    ) {
        let borrowed: Vec<(Option<i64>, &str)> = rows.iter().map(|(number, text)| (*number, text.as_str())).collect();
        let mut expected = Repeats::default();
        for (row, key) in borrowed.iter().enumerate() {
            let Some(earlier) = borrowed[..row].iter().position(|other| key.0.is_some() && other == key) else { continue };
            expected.count += 1;
            let value = format!("{}, {}", key.0.unwrap_or_default(), key.1);
            expected.first.get_or_insert(Repeat { row: row as u64, earlier: earlier as u64, value });
        }
        let whole = batch(&borrowed);
        let mut keys = keys(budget, &whole);
        if collide {
            keys = keys.with_hash(|key, _| u128::from(key.len() as u64 % 3) << 70);
        }
        let mut spill: Option<Box<dyn Spill>> = Some(Box::new(Pieces::default()));
        let mut from = 0;
        while from < borrowed.len() {
            let rows = (borrowed.len() - from).min(13);
            keys.add(&whole.slice(from, rows), |row| (from + row) as u64, &mut spill).unwrap();
            prop_assert!(keys.bytes() as u64 <= budget.max(64 * 64));
            from += rows;
        }
        prop_assert_eq!(keys.finish(&mut spill).unwrap(), expected);
    }
}
