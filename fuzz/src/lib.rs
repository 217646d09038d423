//! What the fuzz targets run. The same code drives the mutation tests of `airlane-segment`, `airlane-frames` and `airlane`, which need
//! no fuzzer.

#[path = "../../crates/airlane-segment/tests/it/drive.rs"]
mod drive;
#[path = "../../crates/airlane-frames/tests/it/drive.rs"]
#[allow(dead_code, reason = "the tests look at the messages")]
mod frames;
#[path = "../../crates/airlane/tests/it/requests.rs"]
mod requests;
#[path = "../../crates/airlane-segment/tests/it/stream.rs"]
#[allow(dead_code, reason = "the mutation tests use more of it")]
mod stream;

/// A stream is decoded, laid out and read back, up to its first invalid message.
pub fn stream(input: &[u8]) {
    drop(drive::stream(input));
}

/// A schema message is judged, and is canonical once it is accepted.
pub fn schema(input: &[u8]) {
    drop(drive::schema(input));
}

/// The bytes of a put or of an answer to DoGet are taken apart alike, whatever the chunks.
pub fn frames(input: &[u8]) {
    drop(frames::frames(input));
}

/// A file is opened as a segment.
pub fn open(input: &[u8]) {
    drop(drive::open(input));
}

/// A ticket, a descriptor or an action is answered or refused.
pub fn request(input: &[u8]) {
    static REQUESTS: std::sync::LazyLock<requests::Requests> = std::sync::LazyLock::new(requests::Requests::start);
    drop(REQUESTS.run(input));
}

/// The same streams as for [`stream`], read by the stock reader without the check.
pub fn stock(input: &[u8]) {
    if let Ok(reader) = arrow_ipc::reader::StreamReader::try_new(input, None) {
        reader.map_while(Result::ok).for_each(drop);
    }
}
