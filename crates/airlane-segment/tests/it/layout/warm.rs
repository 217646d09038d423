//! Memory that held another segment before.

use std::io::IoSlice;

use airlane_model::ByteSize;
use airlane_segment::home::MemfdPool;
use airlane_segment::{HomeFactory, Segment, TableSchema, TableWriter};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};

use super::arbitrary::{Dice, batch_of, leaves};
use super::bytes::check_layout;
use super::homes::small;
use super::scatter::{is_fixed, schema_of, stock_message};

/// A pool whose blocks hold something else.
fn warm() -> MemfdPool {
    let pool = MemfdPool::default();
    let targets: Vec<_> = (0..20).map(|_| pool.clone().create().unwrap()).collect();
    for mut target in targets {
        target.write_at(0, &[IoSlice::new(&[0xA5; 1 << 20])]).unwrap();
        drop(target.seal(1 << 20).unwrap());
    }
    assert_eq!(pool.spare_bytes(), ByteSize::mib(20));
    pool
}

fn write(schema: &SchemaRef, batches: &[RecordBatch], pool: &MemfdPool, is_raw: bool) -> Vec<Segment> {
    let table = TableSchema::from_arrow(schema).unwrap();
    let mut writer = TableWriter::new(table, small(), Box::new(pool.clone()));
    let mut raw_count = 0;
    for (index, batch) in batches.iter().enumerate() {
        let (raw, body) = stock_message(batch, 8);
        if is_raw && writer.begin_raw(&raw).unwrap() {
            body.chunks(777 + index).for_each(|chunk| writer.raw_body(chunk).unwrap());
            writer.end_raw().unwrap();
            raw_count += 1;
        } else {
            writer.append(batch).unwrap();
        }
    }
    assert_eq!(raw_count > 0, is_raw);
    writer.finish().unwrap()
}

#[test]
fn a13_nothing_of_an_earlier_segment_shows() {
    let types: Vec<DataType> = leaves().into_iter().filter(is_fixed).collect();
    let schema = schema_of(&types[..6]);
    let batches: Vec<RecordBatch> =
        [37, 500, 1, 1_000, 64].iter().map(|rows| batch_of(&schema, &mut Dice(*rows), *rows as usize)).collect();
    for is_raw in [true, false] {
        let pool = warm();
        let segments = write(&schema, &batches, &pool, is_raw);
        assert!(pool.spare_bytes() < ByteSize::mib(20), "warm blocks were taken");
        segments.iter().for_each(check_layout);
        let fresh = write(&schema, &batches, &MemfdPool::default(), is_raw);
        assert_eq!(segments.len(), fresh.len());
        for (warm, fresh) in segments.iter().zip(&fresh) {
            assert_eq!(warm.file_bytes(), fresh.file_bytes());
        }
    }
}
