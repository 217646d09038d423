//! Validates views at a cost that is in proportion to the message.
//!
//! Views may share their bytes. arrow-data reads all bytes of each, so that a megabyte of views into a few hundred
//! megabytes of text, which compress to nothing, would keep it busy for days. Here each byte is looked at once:
//!
//! 1. A data buffer that is UTF-8 as a whole, as it nearly always is, makes every view into it text that begins and
//!    ends at the boundary of a character.
//! 2. Of another one, the parts that views show are joined where they touch, and each joined part must be UTF-8.
//!
//! A view that is null is not looked at: writers leave anything there. Where arrow could not read it, it becomes zero.
//!
//! To have arrow validate all the rest, views are shown to it as blobs of 16 bytes ([`Views::disguised`]).

use std::ops::Range;
use std::sync::Arc;

use airlane_model::Result;
use airlane_model::limits::ALIGNMENT_BYTES;
use arrow_buffer::{Buffer, bit_util};
use arrow_data::{ByteView, MAX_INLINE_VIEW_LEN};
use arrow_ipc::MetadataVersion;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::header::Parts;
use super::memory::reserve;
use crate::check::layout::{Kind, Layout, Role};

/// The width of a view.
const WIDTH: usize = size_of::<u128>();

/// The view columns of one message, on any level.
pub(super) struct Views {
    columns: Vec<Column>,
    parts: Parts,
    disguise: (SchemaRef, Parts),
}

/// Where the buffers of a view column are among those of the message: validity, views, data.
struct Column {
    is_text: bool,
    rows: usize,
    has_nulls: bool,
    first: usize,
    data: usize,
}

impl Views {
    /// The views of a judged message; `None` when there are none.
    pub(super) fn of(schema: &SchemaRef, version: MetadataVersion, batch: arrow_ipc::RecordBatch<'_>) -> Option<Self> {
        let mut texts = Vec::new();
        let fields: Vec<Field> = schema.fields().iter().map(|field| disguise(field, &mut texts)).collect();
        if texts.is_empty() {
            return None;
        }
        let layout = Layout::of(schema.fields().iter().map(AsRef::as_ref));
        let parts = Parts::of(batch);
        let mut bare = Parts { rows: parts.rows, nodes: parts.nodes.clone(), buffers: vec![], variadic_counts: vec![] };
        let mut columns = Vec::with_capacity(texts.len());
        let (mut texts, mut counts) = (texts.into_iter(), parts.variadic_counts.iter());
        let mut next = 0;
        for (node, (rows, null_count)) in layout.nodes.iter().zip(&parts.nodes) {
            let skipped = |role: &&Role| **role != Role::UnionValidity || version == MetadataVersion::V4;
            let own = node.roles.iter().filter(skipped).count();
            bare.buffers.extend(parts.buffers.iter().skip(next).take(own));
            if node.kind == Kind::View {
                let data = counts.next().and_then(|count| usize::try_from(*count).ok()).unwrap_or_default();
                let (rows, has_nulls) = (*rows as usize, *null_count > 0);
                columns.push(Column { is_text: texts.next().unwrap_or(true), rows, has_nulls, first: next, data });
                next += data;
            }
            next += own;
        }
        Some(Self { columns, parts, disguise: (Arc::new(Schema::new(fields)), bare) })
    }

    /// The schema and the parts of the message with blobs in place of views.
    pub(super) fn disguised(&self) -> &(SchemaRef, Parts) {
        &self.disguise
    }

    /// Validates the views. Answers which columns have views under their nulls that nobody can read, or what is wrong.
    pub(super) fn validate(&self, body: &[u8]) -> Result<Dirty, String> {
        let mut dirty = Dirty(Vec::new());
        for (index, column) in self.columns.iter().enumerate() {
            let is_clean =
                column.open(&self.parts, body).validate(&mut |text| simdutf8::basic::from_utf8(text).is_ok())?;
            if !is_clean {
                dirty.0.push(index);
            }
        }
        Ok(dirty)
    }

    /// The message with zeroes in place of the views under nulls: its parts and its body.
    pub(super) fn clean(&self, dirty: &Dirty, body: &[u8]) -> Result<(Parts, Buffer)> {
        let rows: usize = dirty.0.iter().map(|index| self.columns[*index].rows).sum();
        let mut new = reserve(body.len() + rows * WIDTH + (dirty.0.len() + 1) * ALIGNMENT_BYTES)?;
        new.extend_from_slice(body);
        let mut parts = self.parts.clone();
        for column in dirty.0.iter().map(|index| &self.columns[*index]) {
            new.resize(new.len().next_multiple_of(ALIGNMENT_BYTES), 0);
            parts.buffers[column.first + 1] = (new.len() as u64, (column.rows * WIDTH) as u64);
            let opened = column.open(&self.parts, body);
            for (row, view) in opened.views.iter().enumerate() {
                new.extend_from_slice(if opened.is_null(row) { &[0; WIDTH] } else { view });
            }
        }
        Ok((parts, new.into()))
    }
}

/// The view columns with something under their nulls.
pub(super) struct Dirty(Vec<usize>);

impl Dirty {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A field with blobs in place of views, and for each view whether it is text.
fn disguise(field: &Field, texts: &mut Vec<bool>) -> Field {
    field.clone().with_data_type(disguise_type(field.data_type(), texts))
}

fn disguise_type(data_type: &DataType, texts: &mut Vec<bool>) -> DataType {
    let mut child = |field: &FieldRef| Arc::new(disguise(field, texts));
    match data_type {
        DataType::Utf8View | DataType::BinaryView => {
            texts.push(data_type == &DataType::Utf8View);
            DataType::FixedSizeBinary(WIDTH as i32)
        }
        DataType::List(field) => DataType::List(child(field)),
        DataType::LargeList(field) => DataType::LargeList(child(field)),
        DataType::ListView(field) => DataType::ListView(child(field)),
        DataType::LargeListView(field) => DataType::LargeListView(child(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(child(field), *size),
        DataType::Map(field, is_sorted) => DataType::Map(child(field), *is_sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(child).collect()),
        DataType::Union(fields, mode) => {
            DataType::Union(fields.iter().map(|(id, field)| (id, child(field))).collect(), *mode)
        }
        DataType::RunEndEncoded(run_ends, values) => DataType::RunEndEncoded(run_ends.clone(), child(values)),
        other => other.clone(),
    }
}

impl Column {
    fn open<'a>(&self, parts: &Parts, body: &'a [u8]) -> Opened<'a> {
        let bytes = |index: usize| {
            let (offset, bytes) = parts.buffers.get(index).copied().unwrap_or_default();
            let end = offset.saturating_add(bytes);
            body.get(offset as usize..end as usize).unwrap_or_default()
        };
        let views = bytes(self.first + 1).as_chunks::<WIDTH>().0;
        Opened {
            is_text: self.is_text,
            validity: self.has_nulls.then(|| bytes(self.first)),
            views: views.get(..self.rows).unwrap_or(views),
            data: (0..self.data).map(|index| bytes(self.first + 2 + index)).collect(),
        }
    }
}

/// The bytes of a view column.
struct Opened<'a> {
    is_text: bool,
    validity: Option<&'a [u8]>,
    views: &'a [[u8; WIDTH]],
    data: Vec<&'a [u8]>,
}

/// What is known about a data buffer.
#[derive(Clone)]
enum Known {
    Nothing,
    /// It is UTF-8 from the first byte to the last.
    Text,
    /// It is not; these parts are shown.
    Parts(Vec<Range<usize>>),
}

/// A part of a buffer of which it is not known whether it is text, and the parts where it belongs.
type Unknown<'k> = (&'k mut Vec<Range<usize>>, Range<usize>);

impl Opened<'_> {
    fn is_null(&self, row: usize) -> bool {
        self.validity.is_some_and(|bits| bits.get(row / 8).is_none_or(|_| !bit_util::get_bit(bits, row)))
    }

    /// Answers whether the views under nulls are such as could be read, too.
    fn validate(&self, is_utf8: &mut impl FnMut(&[u8]) -> bool) -> Result<bool, String> {
        let mut known = vec![Known::Nothing; self.data.len()];
        let mut is_clean = true;
        for (row, view) in self.views() {
            if !self.is_null(row) {
                if let Some((parts, range)) = self.validate_view(row, view, &mut known, is_utf8)? {
                    match parts.last_mut() {
                        // Texts that follow one another are one part from the beginning.
                        Some(last) if last.end == range.start => last.end = range.end,
                        _ => parts.push(range),
                    }
                }
            } else if is_clean && view != 0 {
                is_clean = matches!(self.validate_view(row, view, &mut known, is_utf8), Ok(None));
            }
        }
        if known.iter().any(|known| matches!(known, Known::Parts(_))) {
            self.validate_parts(known, is_utf8)?;
        }
        Ok(is_clean)
    }

    /// Validates the texts in buffers that are not UTF-8 as a whole.
    fn validate_parts(&self, known: Vec<Known>, is_utf8: &mut impl FnMut(&[u8]) -> bool) -> Result<(), String> {
        let parts: Vec<Option<Vec<Range<usize>>>> = known.into_iter().map(Known::joined).collect();
        for (parts, data) in parts.iter().zip(&self.data) {
            if !parts.iter().flatten().all(|part| is_utf8(&data[part.clone()])) {
                return Err("a text that is not UTF-8".to_owned());
            }
        }
        for (row, view) in self.views().filter(|(row, _)| !self.is_null(*row)) {
            let view = ByteView::from(view);
            let index = view.buffer_index as usize;
            if view.length > MAX_INLINE_VIEW_LEN
                && let Some(parts) = parts.get(index).and_then(Option::as_ref)
            {
                let (start, end) = (view.offset as usize, view.offset as usize + view.length as usize);
                // A part ends with a character, whatever comes behind it.
                let part = parts.partition_point(|part| part.start <= start).checked_sub(1);
                let is_end_of_part = part.is_some_and(|part| parts[part].end == end);
                if !is_boundary(self.data[index], start) || !(is_end_of_part || is_boundary(self.data[index], end)) {
                    return Err(cut(row));
                }
            }
        }
        Ok(())
    }

    fn views(&self) -> impl Iterator<Item = (usize, u128)> {
        self.views.iter().map(|view| u128::from_le_bytes(*view)).enumerate()
    }

    /// Validates one view, and answers the part of which buffer has to be text for that, where that is not known.
    fn validate_view<'k>(
        &self,
        row: usize,
        raw: u128,
        known: &'k mut [Known],
        is_utf8: &mut impl FnMut(&[u8]) -> bool,
    ) -> Result<Option<Unknown<'k>>, String> {
        let view = ByteView::from(raw);
        let length = view.length as usize;
        if view.length <= MAX_INLINE_VIEW_LEN {
            let bytes = raw.to_le_bytes();
            let (shown, beyond) = bytes[WIDTH - MAX_INLINE_VIEW_LEN as usize..].split_at(length);
            if beyond.iter().any(|byte| *byte != 0) {
                return Err(format!("the view at {row} has bytes behind its {length}"));
            }
            return match !self.is_text || std::str::from_utf8(shown).is_ok() {
                true => Ok(None),
                false => Err(format!("the text at {row} is not UTF-8")),
            };
        }
        let (index, buffers) = (view.buffer_index as usize, self.data.len());
        let (Some(data), Some(known)) = (self.data.get(index), known.get_mut(index)) else {
            return Err(format!("the view at {row} is into buffer {index} of {buffers}"));
        };
        let range = view.offset as usize..view.offset as usize + length;
        let Some(shown) = data.get(range.clone()) else {
            let bytes = data.len();
            return Err(format!("the view at {row} is of bytes {range:?} of a buffer of {bytes}"));
        };
        if !shown.starts_with(&view.prefix.to_le_bytes()) {
            return Err(format!("the view at {row} begins otherwise than its bytes"));
        }
        if !self.is_text {
            return Ok(None);
        }
        if matches!(known, Known::Nothing) {
            *known = if is_utf8(data) { Known::Text } else { Known::Parts(Vec::new()) };
        }
        match known {
            Known::Parts(parts) => Ok(Some((parts, range))),
            _ if is_boundary(data, range.start) && is_boundary(data, range.end) => Ok(None),
            _ => Err(cut(row)),
        }
    }
}

impl Known {
    /// The parts that are shown, as few as they can be.
    fn joined(self) -> Option<Vec<Range<usize>>> {
        let Self::Parts(mut parts) = self else { return None };
        parts.sort_unstable_by_key(|part| part.start);
        let mut joined: Vec<Range<usize>> = Vec::new();
        for part in parts {
            match joined.last_mut() {
                Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
                _ => joined.push(part),
            }
        }
        Some(joined)
    }
}

fn cut(row: usize) -> String {
    format!("the text at {row} is not UTF-8: it cuts a character")
}

/// Whether a character can begin here: at what does not go on with another one.
fn is_boundary(data: &[u8], position: usize) -> bool {
    data.get(position).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000)
}

#[cfg(test)]
mod tests;
