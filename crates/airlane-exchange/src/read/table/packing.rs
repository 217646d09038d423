//! Messages as a reader asked for them: compressed, unless another reader had them before.

use std::sync::Arc;

use airlane_model::Result;
use airlane_segment::encode::compressed;
use airlane_segment::{Codec, Message};
use airlane_store::{Asked, Frame, FrameForm, FramePart, Frames, SegmentRef};

/// How the messages of a read are compressed.
#[derive(Clone, Debug)]
pub(super) struct Packing {
    form: Arc<FrameForm>,
    frames: Frames,
}

/// A message that others may ask for.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) segment: &'a SegmentRef,
    pub(super) part: FramePart,
    /// Where the rows of the read end, as a position in the segment.
    pub(super) rows_end_max: u64,
    /// Whether it takes so long to make that waiting for somebody else who does is better.
    pub(super) is_slow: bool,
}

/// A message, and where its rows end in the segment.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) message: Message,
    pub(super) rows_end: u64,
    /// Whether it ends where that of a read of all rows does.
    pub(super) is_whole: bool,
}

impl Packing {
    pub(super) fn new(codec: Codec, frames: Frames) -> Self {
        Self { form: Arc::new(FrameForm { codec, is_plain: false, columns: None }), frames }
    }

    /// Of a reader that wants plain types, or some of the columns.
    pub(super) fn of(self, is_plain: bool, columns: Option<&[usize]>) -> Self {
        let form = FrameForm { codec: self.form.codec, is_plain, columns: columns.map(Box::from) };
        Self { form: Arc::new(form), ..self }
    }

    /// A message compressed. `make` makes it without that; where it has no place it is nobody else's.
    pub(super) fn pack(&self, place: Option<Place<'_>>, make: impl FnOnce() -> Result<Made>) -> Result<Made> {
        let asked = place.map(|Place { segment, part, rows_end_max, is_slow }| {
            self.frames.ask(segment, &self.form, part, rows_end_max, is_slow)
        });
        let making = match asked {
            Some(Asked::Kept(Frame { rows_end, message: Some(message) })) => {
                return Ok(Made { message, rows_end, is_whole: true });
            }
            Some(Asked::Kept(Frame { message: None, .. })) => return make(),
            Some(Asked::Make(making)) => Some(making),
            None => None,
        };
        let made = make()?;
        let packed = compressed(&made.message, self.form.codec)?;
        let packed = match making.filter(|_| made.is_whole) {
            Some(making) => making.keep(Frame { rows_end: made.rows_end, message: packed }).message,
            None => packed,
        };
        Ok(Made { message: packed.unwrap_or(made.message), ..made })
    }
}
