//! Dictionaries of strangers: their number, their size and their order (A11, A12).

use airlane_model::ByteSize;
use airlane_model::error::codes::{DATA_INVALID, LIMIT_EXCEEDED, MESSAGE_INVALID, MESSAGE_ORDER_INVALID};
use airlane_segment::check::DecodeLimits;
use airlane_segment::decode::StreamDecoder;
use arrow_array::Array;
use arrow_ipc::MessageHeader;

use crate::corpus;
use crate::forge::{self, Forged};
use crate::messages::{column, decode, open};
use crate::stream::{self, Piece};

#[test]
fn a11_dictionaries_are_bounded_in_number_and_size() {
    let dictionary = |pieces: &[Piece]| Forged::of(&pieces[0]);
    let limits = DecodeLimits { dictionaries_max: 1000, ..DecodeLimits::default() };
    let (mut decoder, pieces) = open(&[column("dictionary", 17)], None, limits);
    let message = dictionary(&pieces).piece();
    for _ in 0..1000 {
        decode(&mut decoder, &message).expect("replaces the dictionary");
    }
    let error = decode(&mut decoder, &message).expect_err("one too many");
    assert_eq!(error.code(), LIMIT_EXCEEDED);
    assert!(error.message().contains("1000 dictionary messages"), "{error:?}");

    let limits = DecodeLimits { dictionary_bytes_max: ByteSize::bytes(400), ..DecodeLimits::default() };
    let (mut decoder, pieces) = open(&[column("dictionary", 17)], None, limits);
    decode(&mut decoder, &pieces[0]).expect("small");
    let mut delta = dictionary(&pieces);
    delta.dictionary = Some((0, true));
    let refused = (0..100).find_map(|_| decode(&mut decoder, &delta.piece()).err()).expect("grows too large");
    assert_eq!(refused.code(), LIMIT_EXCEEDED);
    assert!(refused.message().contains("400 B"), "{refused:?}");
    assert_eq!(refused.place(), Some("dictionary 0"));
    decode(&mut decoder, &pieces[0]).expect("a replacement makes it small again");
}

#[test]
fn a11_dictionaries_whose_values_cost_nothing_are_bounded() {
    use arrow_array::{DictionaryArray, NullArray, UInt8Array, types::UInt8Type};
    let keys = UInt8Array::from(vec![0]);
    let nulls = std::sync::Arc::new(NullArray::new(1));
    let batch = DictionaryArray::<UInt8Type>::try_new(keys, nulls).expect("valid");
    let batch = corpus::batch(vec![("d", std::sync::Arc::new(batch))]);
    let limits = DecodeLimits { dictionary_bytes_max: ByteSize::mib(40), ..DecodeLimits::default() };
    let (mut decoder, _) = open(&[batch], None, limits);
    let mut message = Forged::empty(16 << 20);
    message.nodes = vec![(16 << 20, 16 << 20)];
    message.dictionary = Some((0, false));
    decode(&mut decoder, &message.piece()).expect("the first");
    message.dictionary = Some((0, true));
    decode(&mut decoder, &message.piece()).expect("the second");
    assert_eq!(decode(&mut decoder, &message.piece()).expect_err("too many values").code(), LIMIT_EXCEEDED);
}

#[test]
fn a12_messages_out_of_place_are_refused() {
    let (mut decoder, pieces) = open(&[column("dictionary", 17)], None, DecodeLimits::default());
    let schema = stream::split(&corpus::stream(&[column("dictionary", 17)], None)).remove(0);
    let error = decode(&mut decoder, &schema).expect_err("a second schema");
    assert_eq!(error.code(), MESSAGE_ORDER_INVALID);
    assert!(error.message().contains("second schema"), "{error:?}");

    for kind in [MessageHeader::Tensor, MessageHeader::SparseTensor, MessageHeader(42), MessageHeader::NONE] {
        let header = forge::message(kind);
        let error = decode(&mut decoder, &Piece { header, body: vec![] }).expect_err("no part of a table");
        assert_eq!(error.code(), MESSAGE_INVALID, "{kind:?}");
    }
    let header = forge::message(MessageHeader::DictionaryBatch);
    let error = decode(&mut decoder, &Piece { header, body: vec![] }).expect_err("a dictionary without a batch");
    assert_eq!(error.code(), MESSAGE_INVALID);

    let mut delta = Forged::of(&pieces[0]);
    delta.dictionary = Some((0, true));
    let error = decode(&mut decoder, &delta.piece()).expect_err("a delta of nothing");
    assert_eq!(error.code(), MESSAGE_ORDER_INVALID);
    delta.dictionary = Some((5, false));
    let error = decode(&mut decoder, &delta.piece()).expect_err("an unknown dictionary");
    assert_eq!((error.code(), error.place()), (MESSAGE_INVALID, Some("dictionary 5")));

    let error = decode(&mut decoder, &pieces[1]).expect_err("indices before their dictionary");
    assert_eq!(error.code(), DATA_INVALID, "{error:?}");
    assert_eq!(error.place(), Some("row 0, column \"dictionary\""));
    decode(&mut decoder, &pieces[0]).expect("the dictionary");
    decode(&mut decoder, &pieces[1]).expect("now there are values");
}

#[test]
fn a_dictionary_may_be_missing_when_all_is_null() {
    let (mut decoder, pieces) = open(&[column("dictionary", 17)], None, DecodeLimits::default());
    let mut message = Forged::of(&pieces[1]);
    message.nodes[0].1 = 17;
    message.set_buffer(0, &[0; 8]);
    let batch = decode(&mut decoder, &message.piece()).expect("valid").expect("a batch");
    assert_eq!(batch.column(0).null_count(), 17);
}

#[test]
fn fields_may_share_a_dictionary() {
    use arrow_array::types::Int8Type;
    use arrow_array::{Array, DictionaryArray, StringArray};
    let index = |name: &str| forge::ForgedField {
        name: name.to_owned(),
        dictionary: Some(Some((8, true))),
        ..forge::ForgedField::new(arrow_ipc::Type::Utf8, forge::empty)
    };
    let schema = forge::schema(&[index("a"), index("b")]);
    let mut decoder = StreamDecoder::new(&schema, DecodeLimits::default()).expect("both use dictionary 0");
    let (_, pieces) = open(&[column("dictionary", 17)], None, DecodeLimits::default());
    decode(&mut decoder, &pieces[0]).expect("one dictionary for both");
    let mut message = Forged::of(&pieces[1]);
    message.nodes.push(message.nodes[0]);
    message.buffers.extend_from_within(..);
    let batch = decode(&mut decoder, &message.piece()).expect("valid").expect("a batch");
    let values = |column: usize| {
        let column = batch.column(column).as_any().downcast_ref::<DictionaryArray<Int8Type>>().expect("a dictionary");
        column.downcast_dict::<StringArray>().expect("texts").into_iter().map(|it| it.map(str::to_owned)).collect()
    };
    let (a, b): (Vec<_>, Vec<_>) = (values(0), values(1));
    assert_eq!(a, b);
    assert!(a.contains(&Some("green".to_owned())));

    let mut other = index("c");
    other.kind = arrow_ipc::Type::Binary;
    let error = StreamDecoder::new(&forge::schema(&[index("a"), other]), DecodeLimits::default());
    assert_eq!(error.expect_err("two types").code(), airlane_model::error::codes::SCHEMA_INVALID);
}
