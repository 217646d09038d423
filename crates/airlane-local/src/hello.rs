//! Who says hello.

use airlane_gate::Shown;
use airlane_handover::Channel;
use airlane_handover::message::Hello;
use airlane_model::{Caller, Error, Result, Secret, codes};

use crate::Door;

/// A token is longer than no other one.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Who a client is. Without descriptors the connection shows nothing, so it has to bring a token.
pub(crate) fn known(door: &Door, channel: &Channel, hello: &Hello, shown: &Shown) -> Result<(Caller, Shown)> {
    if hello.version == 0 {
        return Err(Error::new(codes::MESSAGE_INVALID, "a HELLO says no version of the protocol"));
    }
    if hello.token.len() > TOKEN_BYTES_MAX {
        return Err(Error::new(codes::CREDENTIALS_REFUSED, "a token is longer than 8 KiB"));
    }
    let token = (!hello.token.is_empty()).then(|| Secret::new(hello.token.as_str()));
    if channel.passes_descriptors() {
        return Ok((door.gate.caller(token, shown)?, shown.clone()));
    }
    // A one-time token is of the user whom the server runs as, and nobody else could read it.
    if token.as_ref().is_some_and(|token| door.tokens.redeem(token)) {
        let own = Shown::Uid(rustix::process::geteuid().as_raw());
        return Ok((door.gate.caller(None, &own)?, own));
    }
    match token.filter(|_| door.gate.is_guarded()) {
        Some(token) => Ok((door.gate.caller(Some(token), shown)?, shown.clone())),
        None => Err(Error::new(codes::CREDENTIALS_REFUSED, "the token is not known, or was used before")
            .hint("a one-time token lets in one connection: take another")),
    }
}
