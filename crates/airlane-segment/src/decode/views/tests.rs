use super::*;

const TEXT: &str = "zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich";

fn view(range: Range<usize>, data: &[u8]) -> [u8; WIDTH] {
    let prefix = u32::from_le_bytes(*data[range.start..].first_chunk().unwrap());
    let view = ByteView { length: range.len() as u32, prefix, buffer_index: 0, offset: range.start as u32 };
    view.as_u128().to_le_bytes()
}

/// The outcome, and how many bytes were looked at for it.
fn validate(ranges: &[Range<usize>], data: &[u8], validity: Option<&[u8]>) -> (Result<bool, String>, usize) {
    let views: Vec<_> = ranges.iter().map(|range| view(range.clone(), data)).collect();
    let opened = Opened { is_text: true, validity, views: &views, data: vec![data] };
    let mut looked_at = 0;
    let outcome = opened.validate(&mut |text| {
        looked_at += text.len();
        std::str::from_utf8(text).is_ok()
    });
    (outcome, looked_at)
}

/// What each view says by itself, as arrow-data would find.
fn expected(ranges: &[Range<usize>], data: &[u8]) -> bool {
    ranges.iter().all(|range| std::str::from_utf8(&data[range.clone()]).is_ok())
}

#[test]
fn a10_a_byte_is_looked_at_once_however_many_views_show_it() {
    let text = TEXT.repeat(100).into_bytes();
    let (outcome, looked_at) = validate(&vec![0..text.len(); 1000], &text, None);
    assert_eq!((outcome, looked_at), (Ok(true), text.len()));
    // Not UTF-8 as a whole: twice.
    let mut data = text.clone();
    data.push(0xFF);
    let (outcome, looked_at) = validate(&vec![0..text.len(); 1000], &data, None);
    assert_eq!((outcome, looked_at), (Ok(true), 2 * text.len() + 1));
}

#[test]
fn a6_every_pair_of_ranges_is_judged_as_each_of_them_by_itself() {
    let clean = TEXT.as_bytes()[..36].to_vec();
    let mut damaged = clean.clone();
    damaged[20] = 0x80;
    let mut behind = clean.clone();
    behind.extend([0x80, 0xC3]);
    for data in [clean, damaged, behind] {
        let ranges = || (0..data.len()).flat_map(|start| (start + 13..=data.len()).map(move |end| start..end));
        for first in ranges() {
            for second in ranges() {
                let pair = [first.clone(), second];
                let (outcome, _) = validate(&pair, &data, None);
                assert_eq!(outcome.is_ok(), expected(&pair, &data), "{pair:?}: {outcome:?}");
            }
        }
    }
}

#[test]
fn views_under_nulls_need_not_be_text() {
    let mut data = TEXT.as_bytes().to_vec();
    // Row 1 cuts a character.
    let ranges = [0..20, 3..30];
    assert!(validate(&ranges, &data, None).0.is_err());
    assert_eq!(validate(&ranges, &data, Some(&[0b01])).0, Ok(false));
    assert_eq!(validate(&[0..20, 0..30], &data, Some(&[0b01])).0, Ok(true));
    data.push(0xFF);
    assert_eq!(validate(&ranges, &data, Some(&[0b01])).0, Ok(false));
}
