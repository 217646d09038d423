//! The layout as bytes: alignment, paddings, what the metadata says.

use airlane_segment::Segment;

/// Checks that messages, bodies and buffers begin at multiples of 64, that nothing but zeroes is between them, and
/// that buffers lie in their order without gaps.
pub(super) fn check_layout(segment: &Segment) {
    let file = segment.file_bytes();
    assert_eq!(&file[..6], b"ARROW1");
    assert!(file[6..64].iter().all(|byte| *byte == 0));
    let trailer = file.len() - 10;
    assert_eq!(&file[trailer + 4..], b"ARROW1");
    let footer_bytes = u32::from_le_bytes(file[trailer..trailer + 4].try_into().unwrap()) as usize;
    let footer_start = trailer - footer_bytes;
    assert_eq!(file[footer_start - 8..footer_start], [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let footer = arrow_ipc::root_as_footer(&file[footer_start..trailer]).unwrap();

    let mut at = 64 + 8 + length_at(&file, 64 + 4);
    let blocks = footer.recordBatches().unwrap().iter().chain(footer.dictionaries().unwrap());
    for block in blocks {
        assert_eq!(block.offset() as usize, at, "messages follow one another");
        let metadata_bytes = block.metaDataLength() as usize;
        assert_eq!(length_at(&file, at + 4) + 8, metadata_bytes);
        let body = at + metadata_bytes;
        assert_eq!(body % 64, 0);
        let message = arrow_ipc::root_as_message(&file[at + 8..body]).unwrap();
        let batch = message
            .header_as_record_batch()
            .or_else(|| message.header_as_dictionary_batch().map(|dictionary| dictionary.data().unwrap()))
            .unwrap();
        let mut end = 0;
        for buffer in batch.buffers().unwrap() {
            assert_eq!(buffer.offset() as usize, end, "buffers follow one another");
            let length = buffer.length() as usize;
            end += length.next_multiple_of(64);
            let padding = &file[body + buffer.offset() as usize + length..body + end];
            assert!(padding.iter().all(|byte| *byte == 0), "padding is zero");
        }
        assert_eq!(end, message.bodyLength() as usize);
        assert_eq!(end, block.bodyLength() as usize);
        at = body + end;
    }
    assert_eq!(at, footer_start - 8);
}

fn length_at(file: &[u8], offset: usize) -> usize {
    u32::from_le_bytes(file[offset..offset + 4].try_into().unwrap()) as usize
}
