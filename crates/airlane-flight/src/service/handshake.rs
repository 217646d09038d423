//! Handshake: whoever has logged in with the header `authorization` is answered a token for the calls to come.
//!
//! Clients such as `pyarrow.flight.FlightClient.authenticate_basic_token` take it from the header `authorization` of the
//! answer; it is the payload of the one message too. What a client sends in its messages is not looked at.

use airlane_gate::SessionToken;
use airlane_model::{Error, codes};
use arrow_flight::HandshakeResponse;
use futures::stream;
use http::Extensions;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Response, Status};

use super::{Answers, from_error, not_implemented};
use crate::caller;

/// Answers a Handshake by what the gate has put into the request.
pub(super) fn answer(extensions: &Extensions) -> Result<Response<Answers<HandshakeResponse>>, Status> {
    let Some(SessionToken(token)) = extensions.get() else {
        if caller::of(extensions).is_anonymous() {
            let message = "a Handshake is for credentials, and the request has none";
            let hint = "send a user and a password, or a token, in the header `authorization`";
            return Err(from_error(&Error::new(codes::CREDENTIALS_MISSING, message).hint(hint)));
        }
        return Err(not_implemented("Handshake", "this server asks for no credentials: call it without"));
    };
    let token = token.expose();
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}")
        .parse()
        .map_err(|_| from_error(&Error::new(codes::INTERNAL, "a session cannot be written as a header")))?;
    // Neither logged nor kept in a table of headers.
    value.set_sensitive(true);
    let payload = HandshakeResponse { protocol_version: 0, payload: token.as_bytes().to_vec().into() };
    let mut response = Response::new(Box::pin(stream::iter([Ok(payload)])) as Answers<HandshakeResponse>);
    response.metadata_mut().insert("authorization", value);
    Ok(response)
}
