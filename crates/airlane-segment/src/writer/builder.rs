//! Writes one segment from its magic to its footer.

use std::io::{self, IoSlice};

use airlane_model::{ByteSize, Result, limits};
use arrow_array::ArrayRef;

use super::scatter::Scatter;
use crate::encode::{Block, Encoded, MAGIC, end_of_stream, footer, framed};
use crate::home::{HeapTarget, HomeFactory, Target, ZEROES, storage_error};
use crate::schema::TableSchema;
use crate::segment::Segment;

/// A segment that is being written, from front to back.
pub(super) struct SegmentBuilder {
    schema: TableSchema,
    place: Place,
    heap_bytes_max: u64,
    len: u64,
    batches: Vec<(Block, u64)>,
    batch_bytes: u64,
}

enum Place {
    Heap(Box<HeapTarget>),
    Made(Box<dyn Target>),
}

impl Place {
    fn write_at(&mut self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        match self {
            Self::Heap(heap) => heap.write_at(offset, pieces),
            Self::Made(target) => target.write_at(offset, pieces),
        }
    }
}

impl SegmentBuilder {
    pub(super) fn new(schema: &TableSchema, heap_bytes_max: ByteSize) -> Result<Self> {
        let mut builder = Self {
            schema: schema.clone(),
            place: Place::Heap(Box::new(HeapTarget::new())),
            heap_bytes_max: heap_bytes_max.as_u64(),
            len: 0,
            batches: Vec::new(),
            batch_bytes: 0,
        };
        let mut head = [0; limits::ALIGNMENT_BYTES];
        head[..MAGIC.len()].copy_from_slice(&MAGIC);
        builder.write(&[&head, &framed(schema.message())?])?;
        Ok(builder)
    }

    /// The bodies of the batches so far.
    pub(super) fn batch_bytes(&self) -> u64 {
        self.batch_bytes
    }

    /// What was written so far, if it is on the heap.
    pub(super) fn heap_bytes(&self) -> Option<u64> {
        matches!(self.place, Place::Heap(_)).then_some(self.len)
    }

    pub(super) fn append(&mut self, homes: &mut dyn HomeFactory, batch: &Encoded) -> Result<()> {
        let block = self.message(homes, &batch.batch_header(), batch)?;
        self.batches.push((block, batch.rows() as u64));
        self.batch_bytes += block.body_bytes;
        Ok(())
    }

    /// Where the next message begins.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Makes room for messages that are written out of order by [`write_reserved`](Self::write_reserved).
    pub(super) fn reserve(&mut self, homes: &mut dyn HomeFactory, scatter: &Scatter) -> Result<()> {
        self.make_room(homes, scatter.end() - self.len)?;
        self.len = scatter.end();
        self.batches.extend_from_slice(scatter.parts());
        self.batch_bytes += scatter.parts().iter().map(|(block, _)| block.body_bytes).sum::<u64>();
        Ok(())
    }

    pub(super) fn write_reserved(&mut self, scatter: &mut Scatter, chunk: &[u8]) -> Result<()> {
        let place = &mut self.place;
        scatter
            .chunk(chunk, |offset, pieces| place.write_at(offset, pieces))
            .map_err(|error| storage_error("write a segment", error))
    }

    /// Ends the segment with its dictionaries, which are given in the order of their ids.
    pub(super) fn seal(mut self, homes: &mut dyn HomeFactory, dictionaries: &[ArrayRef]) -> Result<Segment> {
        let mut blocks = Vec::with_capacity(dictionaries.len());
        for (id, values) in dictionaries.iter().enumerate() {
            let encoded = Encoded::columns(values.len(), std::slice::from_ref(values));
            blocks.push(self.message(homes, &encoded.dictionary_header(id as i64), &encoded)?);
        }
        let batches: Vec<Block> = self.batches.iter().map(|(block, _)| *block).collect();
        let footer = footer(self.schema.arrow(), &blocks, &batches)?;
        self.make_room(homes, (end_of_stream().len() + footer.len()) as u64)?;
        self.write(&[&end_of_stream(), &footer])?;
        let home = match self.place {
            Place::Heap(heap) => heap.seal(self.len, homes.budget())?,
            Place::Made(target) => target.seal(self.len)?,
        };
        Ok(Segment::written(home, self.schema, &self.batches, &blocks))
    }

    fn message(&mut self, homes: &mut dyn HomeFactory, header: &[u8], encoded: &Encoded) -> Result<Block> {
        let framed = framed(header)?;
        let block = Block { offset: self.len, metadata_bytes: framed.len() as u32, body_bytes: encoded.body_bytes() };
        self.make_room(homes, framed.len() as u64 + encoded.body_bytes())?;
        let mut pieces = Vec::with_capacity(1 + 2 * encoded.pieces().len());
        pieces.push(framed.as_slice());
        for piece in encoded.pieces() {
            pieces.push(piece.as_slice());
            let beyond = piece.len() % limits::ALIGNMENT_BYTES;
            if beyond > 0 {
                pieces.push(&ZEROES[beyond..]);
            }
        }
        self.write(&pieces)?;
        Ok(block)
    }

    /// Moves from the heap to a target when the heap would become too large.
    fn make_room(&mut self, homes: &mut dyn HomeFactory, more: u64) -> Result<()> {
        if let Place::Heap(heap) = &self.place
            && self.len + more > self.heap_bytes_max
        {
            let mut target = homes.create()?;
            let written = target.write_at(0, &[IoSlice::new(heap.as_slice())]);
            written.map_err(|error| storage_error("write a segment", error))?;
            self.place = Place::Made(target);
        }
        Ok(())
    }

    fn write(&mut self, pieces: &[&[u8]]) -> Result<()> {
        let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        self.place.write_at(self.len, &slices).map_err(|error| storage_error("write a segment", error))?;
        self.len += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        Ok(())
    }
}
