//! What the fuzz target `f3_frames` and the mutation test run.

use airlane_frames::read::{Fields, Limits, Parser, Sink};
use airlane_model::{ByteSize, Result};
use bytes::Bytes;

/// A message as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) descriptor: Option<Bytes>,
    pub(crate) header: Bytes,
    pub(crate) metadata: Option<Bytes>,
    pub(crate) body: Vec<u8>,
}

/// Keeps what it gets, and that it gets it in order.
#[derive(Debug, Default)]
struct Recorder {
    /// The bytes of the body that were announced.
    open: Option<(u64, Message)>,
    whole: Vec<Message>,
}

impl Sink for Recorder {
    fn begin(&mut self, fields: &Fields, body_bytes: u64) -> Result<()> {
        assert!(self.open.is_none(), "a message begins inside another");
        self.open = Some((body_bytes, Message { header: fields.header.clone(), ..Message::default() }));
        Ok(())
    }

    fn body(&mut self, chunk: Bytes) -> Result<()> {
        let (announced, message) = self.open.as_mut().expect("a body without a message");
        message.body.extend_from_slice(&chunk);
        assert!(message.body.len() as u64 <= *announced, "more of a body than was announced");
        Ok(())
    }

    fn end(&mut self, fields: &Fields) -> Result<()> {
        let (announced, message) = self.open.take().expect("an end without a message");
        assert_eq!(message.body.len() as u64, announced);
        assert_eq!(message.header, fields.header, "the header changed after the body began");
        let (descriptor, metadata) = (fields.descriptor.clone(), fields.metadata.clone());
        self.whole.push(Message { descriptor, metadata, ..message });
        Ok(())
    }
}

/// The messages that are complete, and the first error.
type Outcome = (Vec<Message>, Result<(), String>);

fn read<'a>(bytes: &Bytes, chunks: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let (mut parser, mut recorder) = (Parser::new(limits()), Recorder::default());
    for chunk in chunks {
        if let Err(error) = parser.feed(bytes.slice_ref(chunk), &mut recorder) {
            return (recorder.whole, Err(error.to_string()));
        }
    }
    (recorder.whole, parser.finish().map_err(|error| error.to_string()))
}

fn limits() -> Limits {
    Limits::for_bodies(ByteSize::mib(1), "send less")
}

/// Reads a stream whole, byte by byte, and in chunks of a size that its first byte gives: all must see the same.
pub(crate) fn frames(input: &[u8]) -> Outcome {
    let bytes = Bytes::copy_from_slice(input);
    let whole = read(&bytes, std::iter::once(&bytes[..]));
    let size = 2 + usize::from(input.first().copied().unwrap_or_default());
    assert_eq!(whole, read(&bytes, bytes.chunks(1)), "byte by byte");
    assert_eq!(whole, read(&bytes, bytes.chunks(size)), "in chunks of {size}");
    whole
}
