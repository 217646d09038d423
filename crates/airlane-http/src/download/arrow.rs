//! The body of an Arrow stream: messages as they lie in the segments, with the framing of the format between them.
//!
//! ```text
//! message   FFFFFFFF | length of the flatbuffer with its padding, u32 LE | flatbuffer, zeros to 8 | body
//! end       FFFFFFFF 00000000
//! ```

use std::collections::VecDeque;

use airlane_exchange::{ReadStream, StreamMessage};
use airlane_model::Result;
use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;

use airlane_exchange::blocking;

const CONTINUATION: u32 = u32::MAX;
/// Bodies below this are copied behind their header: that costs less than a piece of their own.
const INLINE_BYTES_MAX: usize = 16 << 10;

/// The body of a read.
pub(super) fn body(stream: ReadStream) -> Body {
    let mut pieces = VecDeque::new();
    push(&mut pieces, stream.schema().message(), &Bytes::new());
    let state = Some((stream, pieces));
    Body::from_stream(stream::try_unfold(state, |state| async move {
        let Some((mut stream, mut pieces)) = state else { return Ok::<_, airlane_model::Error>(None) };
        loop {
            if let Some(piece) = pieces.pop_front() {
                return Ok(Some((piece, Some((stream, pieces)))));
            }
            let next: Option<StreamMessage>;
            (next, stream) = next_message(stream).await?;
            match next {
                Some(StreamMessage::Dictionary(message) | StreamMessage::Batch { message, .. }) => {
                    push(&mut pieces, &message.header, &message.body);
                }
                None => {
                    let mut end = BytesMut::with_capacity(8);
                    end.put_u32_le(CONTINUATION);
                    end.put_u32_le(0);
                    return Ok(Some((end.freeze(), None)));
                }
            }
        }
    }))
}

async fn next_message(mut stream: ReadStream) -> Result<(Option<StreamMessage>, ReadStream)> {
    stream.ready().await;
    if !stream.may_block() {
        return Ok((stream.next_message()?, stream));
    }
    blocking::run(move || stream.next_message().map(|next| (next, stream))).await
}

fn push(pieces: &mut VecDeque<Bytes>, header: &Bytes, body: &Bytes) {
    let padded = header.len().next_multiple_of(8);
    let inline = if body.len() < INLINE_BYTES_MAX { body.len() } else { 0 };
    let mut head = BytesMut::with_capacity(8 + padded + inline);
    head.put_u32_le(CONTINUATION);
    // A flatbuffer has less than 2 GiB.
    head.put_u32_le(padded as u32);
    head.put_slice(header);
    head.put_bytes(0, padded - header.len());
    if inline > 0 {
        head.put_slice(body);
    }
    pieces.push_back(head.freeze());
    if inline == 0 && !body.is_empty() {
        pieces.push_back(body.clone());
    }
}
