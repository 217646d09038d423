//! The messages that tell a reader what to map.

use std::os::fd::{AsFd, BorrowedFd};

use airlane_exchange::HandOut;
use airlane_handover::frame::Frame;
use airlane_handover::message::{HomeKind, Table, TableHome, TableSegment};
use airlane_handover::{DESCRIPTORS_MAX, Message};
use airlane_segment::home;

/// A schema that stands in the message itself.
const SCHEMA_BYTES_MAX: usize = 16 << 10;

/// Segments in one message: each takes 32 bytes at most.
const SEGMENTS_MAX: usize = 1024;

/// The answer to an `OPEN`: its messages, each with the descriptors that go with it. Homes have the names of files where
/// descriptors do not pass.
pub(crate) fn answer<'a>(
    request: u64,
    lease: u64,
    out: &'a HandOut,
    files: Option<&[String]>,
) -> Vec<(Frame, Vec<BorrowedFd<'a>>)> {
    let homes: Vec<TableHome> = (0..)
        .zip(out.descriptors())
        .map(|(index, descriptor)| {
            let kind = match descriptor.kind {
                home::HomeKind::File => HomeKind::File,
                home::HomeKind::Memfd | home::HomeKind::Heap => HomeKind::Memfd,
            };
            let file = files.and_then(|files| files.get::<usize>(index)).cloned().unwrap_or_default();
            // What lies in a file of the folder is no memfd for its reader.
            let kind = if file.is_empty() { kind } else { HomeKind::File };
            TableHome { kind: kind.into(), bytes: descriptor.bytes, file }
        })
        .collect();
    let segments: Vec<TableSegment> = out
        .pieces()
        .iter()
        .map(|piece| TableSegment {
            home: u32::try_from(piece.descriptor).unwrap_or(u32::MAX),
            offset: piece.offset,
            bytes: piece.bytes,
            rows: piece.rows,
        })
        .collect();
    let fds: Vec<BorrowedFd<'_>> = match files {
        None => out.descriptors().iter().map(|descriptor| descriptor.fd.as_fd()).collect(),
        Some(_) => Vec::new(),
    };
    let parts = homes.len().div_ceil(DESCRIPTORS_MAX).max(segments.len().div_ceil(SEGMENTS_MAX)).max(1);
    let part = |number: usize| {
        let homes = chunk(&homes, number, DESCRIPTORS_MAX).to_vec();
        let segments = chunk(&segments, number, SEGMENTS_MAX).to_vec();
        let table = match number {
            0 => Table { homes, segments, ..facts(lease, out) },
            _ => Table { lease, homes, segments, ..Table::default() },
        };
        let frame = Frame { request, has_more: number + 1 < parts, message: Message::Table(table) };
        (frame, chunk(&fds, number, DESCRIPTORS_MAX).to_vec())
    };
    (0..parts).map(part).collect()
}

fn chunk<T>(all: &[T], number: usize, size: usize) -> &[T] {
    let start = (number * size).min(all.len());
    &all[start..(start + size).min(all.len())]
}

fn facts(lease: u64, out: &HandOut) -> Table {
    let (info, schema) = (out.info(), out.schema().message());
    Table {
        lease,
        table: info.table.to_string(),
        table_id: info.table_id.to_string(),
        version: info.version.get(),
        row_offset: out.rows().start,
        rows: out.rows().rows(),
        schema: if schema.len() <= SCHEMA_BYTES_MAX { schema.to_vec() } else { Vec::new() },
        is_counted: out.is_counted(),
        ..Table::default()
    }
}
