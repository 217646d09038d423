//! Views, list views and dense unions refer to values anywhere in their buffers and children. A slice keeps all of
//! them alive; what is written holds only what the rows refer to, each part once, however often it is shared.

use std::ops::Range;

use arrow_array::types::ByteViewType;
use arrow_array::{Array, ArrayRef, GenericByteViewArray, GenericListViewArray, OffsetSizeTrait, UnionArray};
use arrow_buffer::{ArrowNativeType, Buffer, ScalarBuffer};
use arrow_data::ByteView;

use super::runs;

/// Parts of a buffer or child that are in use: ordered, apart from one another, with their place when written densely.
#[derive(Debug, Default)]
struct Runs(Vec<Run>);

#[derive(Debug)]
struct Run {
    source: Range<usize>,
    target: usize,
}

impl Runs {
    fn new(mut ranges: Vec<Range<usize>>) -> Self {
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        let mut runs: Vec<Run> = Vec::new();
        for range in ranges {
            match runs.last_mut() {
                Some(last) if range.start <= last.source.end => last.source.end = last.source.end.max(range.end),
                Some(last) => {
                    let target = last.target + last.source.len();
                    runs.push(Run { source: range, target });
                }
                None => runs.push(Run { source: range, target: 0 }),
            }
        }
        Self(runs)
    }

    fn is_all_of(&self, len: usize) -> bool {
        match self.0.as_slice() {
            [] => len == 0,
            [run] => run.source == (0..len),
            _ => false,
        }
    }

    /// Where a position of the source went.
    fn target_of(&self, source: usize) -> usize {
        let index = self.0.partition_point(|run| run.source.start <= source);
        self.0.get(index.wrapping_sub(1)).map_or(0, |run| run.target + source - run.source.start)
    }

    /// The parts of the array; the runs are made one where that is not for free.
    fn take(&mut self, array: &ArrayRef) -> ArrayRef {
        if self.0.len() > 1 {
            let ranges: Vec<_> = self.0.iter().map(|run| run.source.clone()).collect();
            match runs::copy(array, &ranges) {
                Some(copied) => return copied,
                None => self.join(),
            }
        }
        let source = self.0.first().map_or(0..0, |run| run.source.clone());
        array.slice(source.start, source.len())
    }

    fn join(&mut self) {
        if let (Some(first), Some(last)) = (self.0.first(), self.0.last()) {
            self.0 = vec![Run { source: first.source.start..last.source.end, target: 0 }];
        }
    }

    fn take_bytes(&self, buffer: &Buffer) -> Buffer {
        match self.0.as_slice() {
            [run] => buffer.slice_with_length(run.source.start, run.source.len()),
            runs => {
                let mut bytes = Vec::with_capacity(runs.iter().map(|run| run.source.len()).sum());
                runs.iter().for_each(|run| bytes.extend_from_slice(&buffer.as_slice()[run.source.clone()]));
                Buffer::from_vec(bytes)
            }
        }
    }
}

/// The views and the data buffers of an array, without what no row refers to.
pub(super) fn views<T: ByteViewType>(array: &GenericByteViewArray<T>) -> (ScalarBuffer<u128>, Vec<Buffer>) {
    let buffers = array.data_buffers();
    if views_are_dense(array.views(), buffers) {
        return (array.views().clone(), buffers.to_vec());
    }
    let mut ranges = vec![Vec::new(); buffers.len()];
    for view in long_views(array) {
        ranges[view.buffer_index as usize].push(view.offset as usize..view.offset as usize + view.length as usize);
    }
    let runs: Vec<Runs> = ranges.into_iter().map(Runs::new).collect();
    // A buffer that nobody refers to goes; the others move up.
    let mut targets = Vec::with_capacity(buffers.len());
    let mut kept = Vec::new();
    for (runs, buffer) in runs.iter().zip(buffers) {
        targets.push(kept.len() as u32);
        if !runs.0.is_empty() {
            kept.push(runs.take_bytes(buffer));
        }
    }
    let rewritten = array.views().iter().enumerate().map(|(row, raw)| {
        let view = ByteView::from(*raw);
        if array.is_null(row) {
            0
        } else if is_inline(&view) {
            *raw
        } else {
            let source = view.buffer_index as usize;
            let offset = runs[source].target_of(view.offset as usize) as u32;
            ByteView { buffer_index: targets[source], offset, ..view }.as_u128()
        }
    });
    (rewritten.collect(), kept)
}

/// Whether the views, taken in order, use the buffers from the first byte to the last: the usual case, told at a
/// glance.
fn views_are_dense(views: &[u128], buffers: &[Buffer]) -> bool {
    let (mut index, mut end) = (0, 0);
    for view in views.iter().map(|raw| ByteView::from(*raw)).filter(|view| !is_inline(view)) {
        if view.buffer_index as usize == index + 1 && buffers.get(index).is_some_and(|buffer| buffer.len() == end) {
            (index, end) = (index + 1, 0);
        }
        if view.buffer_index as usize != index || view.offset as usize != end {
            return false;
        }
        end += view.length as usize;
    }
    match buffers.len() {
        0 => true,
        len => index + 1 == len && buffers[index].len() == end,
    }
}

fn long_views<T: ByteViewType>(array: &GenericByteViewArray<T>) -> impl Iterator<Item = ByteView> {
    let views = array.views().iter().enumerate();
    views.filter(|(row, _)| array.is_valid(*row)).map(|(_, raw)| ByteView::from(*raw)).filter(|view| !is_inline(view))
}

fn is_inline(view: &ByteView) -> bool {
    view.length <= arrow_data::MAX_INLINE_VIEW_LEN
}

/// The parts of a list view array.
pub(crate) struct ListViewParts<O: ArrowNativeType> {
    pub(crate) offsets: ScalarBuffer<O>,
    pub(crate) sizes: ScalarBuffer<O>,
    pub(crate) values: ArrayRef,
}

/// A list view array whose values are all in use. Null and empty rows get offset and size 0 where anything changes.
pub(crate) fn list_view<O: OffsetSizeTrait>(array: &GenericListViewArray<O>) -> ListViewParts<O> {
    let (offsets, sizes, values) = (array.offsets(), array.sizes(), array.values());
    let rows = || offsets.iter().zip(sizes.iter()).map(|(offset, size)| (offset.as_usize(), size.as_usize()));
    let dense_end = rows().try_fold(0, |end, (offset, size)| match size {
        0 => Some(end),
        _ => (offset == end).then_some(end + size),
    });
    if dense_end == Some(values.len()) {
        return ListViewParts { offsets: offsets.clone(), sizes: sizes.clone(), values: values.clone() };
    }
    let in_use = |row: usize, size: usize| size > 0 && array.is_valid(row);
    let ranges = rows().enumerate().filter(|(row, (_, size))| in_use(*row, *size));
    let mut runs = Runs::new(ranges.map(|(_, (offset, size))| offset..offset + size).collect());
    if runs.is_all_of(values.len()) {
        return ListViewParts { offsets: offsets.clone(), sizes: sizes.clone(), values: values.clone() };
    }
    let values = runs.take(values);
    let placed = rows().enumerate().map(|(row, (offset, size))| match in_use(row, size) {
        true => (O::usize_as(runs.target_of(offset)), O::usize_as(size)),
        false => (O::usize_as(0), O::usize_as(0)),
    });
    let (offsets, sizes): (Vec<O>, Vec<O>) = placed.unzip();
    ListViewParts { offsets: offsets.into(), sizes: sizes.into(), values }
}

/// The parts of a dense union array; its type ids stay as they are.
pub(crate) struct DenseUnionParts {
    pub(crate) offsets: ScalarBuffer<i32>,
    pub(crate) children: Vec<ArrayRef>,
}

/// A dense union array whose children are all in use; `None` for a sparse one.
pub(crate) fn dense_union(array: &UnionArray) -> Option<DenseUnionParts> {
    let offsets = array.offsets()?;
    let type_ids: Vec<i8> = array.fields().iter().map(|(type_id, _)| type_id).collect();
    let children: Vec<ArrayRef> = type_ids.iter().map(|type_id| array.child(*type_id).clone()).collect();
    // Type ids are 0 to 127.
    let mut places = [0; 128];
    type_ids.iter().enumerate().for_each(|(place, type_id)| places[*type_id as usize] = place);
    let rows = || {
        let rows = array.type_ids().iter().zip(offsets.iter());
        rows.map(|(type_id, offset)| (places[*type_id as usize], *offset as usize))
    };
    let mut ends = vec![0; children.len()];
    let dense = rows().all(|(place, offset)| {
        let expected = ends[place];
        ends[place] += 1;
        offset == expected
    });
    if dense && ends.iter().zip(&children).all(|(end, child)| *end == child.len()) {
        return Some(DenseUnionParts { offsets: offsets.clone(), children });
    }
    let mut ranges = vec![Vec::new(); children.len()];
    rows().for_each(|(place, offset)| ranges[place].push(offset..offset + 1));
    let mut runs: Vec<Runs> = ranges.into_iter().map(Runs::new).collect();
    let children = runs.iter_mut().zip(&children).map(|(runs, child)| runs.take(child)).collect();
    let offsets = rows().map(|(place, offset)| runs[place].target_of(offset) as i32).collect();
    Some(DenseUnionParts { offsets, children })
}
