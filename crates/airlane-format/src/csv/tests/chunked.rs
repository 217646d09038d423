//! Files of many chunks, and their threads.

use super::*;

/// Gives one to a few thousand bytes at a time.
struct Trickle(Vec<u8>, usize);

impl Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let bytes = (1 + self.1 % 4099).min(into.len()).min(self.0.len() - self.1);
        into[..bytes].copy_from_slice(&self.0[self.1..self.1 + bytes]);
        self.1 += bytes;
        Ok(bytes)
    }
}

fn rows_of(batch: &RecordBatch) -> impl Iterator<Item = Vec<String>> + '_ {
    (0..batch.num_rows()).map(|row| {
        let cell = |column: &arrow_array::ArrayRef| {
            let texts = column.as_string::<i32>();
            if texts.is_null(row) { String::new() } else { texts.value(row).to_owned() }
        };
        batch.columns().iter().map(cell).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// P6: whatever is quoted, chunks are cut between records, and several threads give what one gives.
    #[test]
    fn a17_records_are_never_cut(
        rows in prop::collection::vec(prop::collection::vec("[ab\",\n\r]{0,6}|x{300}", 3), 1..30),
        repeated in 100_usize..300,
        line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
    ) {
        let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
        let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",") + line_end;
        let one: String = rows.iter().map(line).collect();
        let text = format!("a,b,c{line_end}t,t,t{line_end}{}", one.repeat(repeated));
        let expected: Vec<&Vec<String>> = std::iter::repeat_n(&rows, repeated).flatten().collect();
        for (threads, sample) in [(1, 64), (3, 64), (1, 1 << 20)] {
            let options = ReadOptions { threads: NonZeroUsize::new(threads), sample: ByteSize::bytes(sample), ..csv() };
            let input = Box::new(Trickle(text.as_bytes().to_vec(), 0));
            let reader = crate::read_stream("input", input, &options).expect("open");
            let batches = reader.collect::<Result<Vec<_>>>().expect("batches");
            let found: Vec<_> = batches.iter().flat_map(rows_of).collect();
            prop_assert_eq!(found.len(), expected.len() + 1);
            prop_assert!(found[1..].iter().zip(&expected).all(|(found, expected)| found == *expected));
        }
    }
}

#[test]
fn a_byte_order_mark_inside_a_file_is_a_character() {
    let text = format!("a\nx\n{}", "\u{feff}y\n".repeat(600_000));
    let options = ReadOptions { sample: ByteSize::bytes(10), threads: NonZeroUsize::new(2), ..csv() };
    let (_, batches) = read_with(text.as_bytes(), options).expect("read");
    let texts = batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter());
    assert_eq!(texts.filter(|text| *text == Some("\u{feff}y")).count(), 600_000);
}

#[test]
fn a_reader_that_is_dropped_ends_its_threads() {
    let options = ReadOptions { sample: ByteSize::bytes(10), threads: NonZeroUsize::new(2), ..csv() };
    let (alive, ended) = std::sync::mpsc::channel();
    let mut reader = crate::read_stream("input", Box::new(Endless(alive)), &options).expect("open");
    reader.next().expect("more").expect("a batch");
    drop(reader);
    // The input is dropped with the last thread.
    assert_eq!(ended.iter().count(), 0);
}

/// Rows without an end; gone when the sender is.
struct Endless(std::sync::mpsc::Sender<()>);

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let _alive = &self.0;
        into.chunks_mut(2).for_each(|row| row.copy_from_slice(&b"1\n"[..row.len()]));
        Ok(into.len())
    }
}
