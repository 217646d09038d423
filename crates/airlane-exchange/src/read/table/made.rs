//! The messages of a read: as they lie in the segments, or made for it.

use airlane_model::Result;
use airlane_segment::encode::PlainBatch;
use airlane_segment::{Message, Projection};
use airlane_store::FramePart;

use super::packing::{Made, Place};
use super::{Current, QUICK_BYTES_MAX, TableRead, project};
use crate::StreamMessage;

impl TableRead {
    /// The next dictionary of the segment that the reader does not have.
    pub(super) fn next_dictionary(&mut self) -> Result<Option<Message>> {
        let Some(current) = self.current.as_mut() else { return Ok(None) };
        let kept = self.projection.as_ref().map(Projection::dictionaries);
        loop {
            let id = current.dictionary as i64;
            let own_id = kept.map_or(Some(id), |kept| kept.get(current.dictionary).copied());
            let own = own_id.and_then(|own_id| current.segment.dictionaries().get(usize::try_from(own_id).ok()?));
            let Some(own) = own else { return Ok(None) };
            current.dictionary += 1;
            if self.dictionaries_sent.insert(id, own.hash) == Some(own.hash) {
                continue;
            }
            let make = || match self.plain {
                Some(_) => current.segment.plain_dictionary_as(own.id, id),
                None if own.id == id => Ok(own.message.clone()),
                None => current.segment.dictionary_as(own.id, id),
            };
            let Some(packing) = &self.packing else { return make().map(Some) };
            let place = Place {
                segment: &current.part,
                part: FramePart::Dictionary(own.id),
                rows_end_max: 0,
                is_slow: self.plain.is_some() || current.bytes > QUICK_BYTES_MAX,
            };
            let made = packing.pack(Some(place), || Ok(Made { message: make()?, rows_end: 0, is_whole: true }))?;
            return Ok(Some(made.message));
        }
    }

    /// As many of the next rows as make a message.
    pub(super) fn next_rows(&mut self) -> Result<Option<StreamMessage>> {
        let Some(current) = &mut self.current else { return Ok(None) };
        let batch = current.segment.batch_rows(current.batch);
        let (start, rows_end_max) = (self.position - current.base, self.range.end - current.base);
        let (projection, is_plain) = (self.projection.as_ref(), self.plain.is_some());
        let Some(packing) = &self.packing else {
            let made = made(current, start, rows_end_max, projection, is_plain)?;
            return Ok(Some(self.hand_over(made)));
        };
        // Rows that end earlier than their batch are a message of this reader alone, unless plain types cut them so.
        let is_shared = current.is_at_cut && (is_plain || batch.end <= rows_end_max);
        let segment = current.part.clone();
        let place = is_shared.then_some(Place {
            segment: &segment,
            part: FramePart::Rows(start),
            rows_end_max,
            is_slow: is_plain || current.bytes > QUICK_BYTES_MAX,
        });
        let made = packing.pack(place, || made(current, start, rows_end_max, projection, is_plain))?;
        Ok(Some(self.hand_over(made)))
    }

    fn hand_over(&mut self, made: Made) -> StreamMessage {
        let rows = self.pass(made.rows_end);
        StreamMessage::Batch { message: made.message, row_offset: rows.start, rows: rows.rows() }
    }
}

/// The rows from `start` on, as positions in the segment, that make a message.
fn made(
    current: &mut Current,
    start: u64,
    rows_end_max: u64,
    projection: Option<&Projection>,
    is_plain: bool,
) -> Result<Made> {
    let batch = current.segment.batch_rows(current.batch);
    if is_plain {
        let weighed = match &current.weighed {
            Some(weighed) => weighed,
            None => {
                let batch = current.segment.batch(current.batch)?;
                current.weighed.insert(PlainBatch::new(project(batch, projection)?))
            }
        };
        let place = |position: u64| (position - batch.start) as usize;
        let cut = batch.start + weighed.end_of_message(place(start)) as u64;
        let rows_end = cut.min(rows_end_max);
        let message = weighed.message(place(start)..place(rows_end))?;
        return Ok(Made { message, rows_end, is_whole: rows_end == cut });
    }
    let rows_end = batch.end.min(rows_end_max);
    let message = match projection {
        None => current.segment.slice(current.batch, start..rows_end)?,
        Some(projection) => current.segment.project(current.batch, start..rows_end, projection.columns())?,
    };
    Ok(Made { message, rows_end, is_whole: rows_end == batch.end })
}
