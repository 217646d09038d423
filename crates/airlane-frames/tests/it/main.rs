//! Streams of strangers, valid and not.

mod drive;

use airlane_frames::TAG_HEADER;
use arrow_flight::{FlightData, FlightDescriptor};
use drive::{Message, frames};
use proptest::prelude::*;
use prost::Message as _;

fn grpc(payload: &[u8]) -> Vec<u8> {
    [&[0][..], &(payload.len() as u32).to_be_bytes(), payload].concat()
}

fn messages() -> impl Strategy<Value = Vec<FlightData>> {
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    let message = (prop::option::of("[a-z]{0,9}"), bytes(200), bytes(40), bytes(2000));
    let message = message.prop_map(|(path, header, metadata, body)| FlightData {
        flight_descriptor: path.map(|path| FlightDescriptor::new_path(vec![path])),
        data_header: header.into(),
        app_metadata: metadata.into(),
        data_body: body.into(),
    });
    prop::collection::vec(message, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_a_stock_encoder_writes_is_read(sent in messages()) {
        let bytes: Vec<u8> = sent.iter().flat_map(|message| grpc(&message.encode_to_vec())).collect();
        let (whole, end) = frames(&bytes);
        prop_assert_eq!(end, Ok(()));
        let expected: Vec<_> = sent.iter().map(|message| Message {
            descriptor: message.flight_descriptor.as_ref().map(|descriptor| descriptor.encode_to_vec().into()),
            header: message.data_header.clone(),
            // protobuf leaves out what is empty.
            metadata: Some(message.app_metadata.clone()).filter(|metadata| !metadata.is_empty()),
            body: message.data_body.to_vec(),
        }).collect();
        prop_assert_eq!(whole, expected);
    }

    #[test]
    fn f3_changed_bytes_are_read_alike_in_any_chunks(
        sent in messages(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes: Vec<u8> = sent.iter().flat_map(|message| grpc(&message.encode_to_vec())).collect();
        bytes.push(0);
        for (index, value) in changes {
            let position = index.index(bytes.len());
            bytes[position] = value;
        }
        // It asserts that the chunks make no difference.
        let (whole, _) = frames(&bytes);
        prop_assert!(whole.len() <= bytes.len() / 5);
    }

    #[test]
    fn f3_a_message_that_is_accepted_is_what_a_stock_decoder_reads(payload in prop::collection::vec(any::<u8>(), 0..24)) {
        // Tags that mean something, before and among bytes that mean nothing.
        let payload: Vec<u8> = [&[TAG_HEADER as u8, 1, b'h'][..], &payload].concat();
        if let (whole, Ok(())) = frames(&grpc(&payload)) {
            // A stock decoder refuses texts that are none inside the descriptor, which is not looked into here.
            if let Ok(stock) = FlightData::decode(&payload[..]) {
                prop_assert_eq!(&whole[0].header, &stock.data_header);
                prop_assert_eq!(&whole[0].body, &stock.data_body);
            }
        }
    }
}

#[test]
fn the_seeds_and_regressions_of_the_fuzzer_are_read_alike() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/f3_frames");
    let mut seen = 0;
    for file in
        ["seeds", "regressions"].into_iter().filter_map(|part| std::fs::read_dir(folder.join(part)).ok()).flatten()
    {
        _ = frames(&std::fs::read(file.expect("an entry").path()).expect("a file"));
        seen += 1;
    }
    assert!(seen >= 3, "{seen} seeds in {}", folder.display());
}
