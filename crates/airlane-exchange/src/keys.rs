//! The keys that sign tickets.
//!
//! ```text
//! ~1f0c22aa.<payload>.<mac>
//!  key      the pass as JSON, base64url     HMAC-SHA-256 of "airlane ticket 1\n" and all before it, base64url
//! ```
//!
//! The mac is compared before anything else is looked at. The newest key signs, every key opens; a new one is made each
//! month, so that no key signs too much, or when somebody asks for it. The data folder keeps them in `ticket-keys`, a line for each: its id,
//! when it was made (in microseconds since 1970), and its 32 bytes in hexadecimal; the last line is a checksum. Without
//! that file no ticket that was signed before is taken any more, which is also what ends a key that leaked.

use std::time::Duration;

use airlane_model::{Chance, Error, Pass, Result, SignedTicket, Timestamp, codes, limits};
use airlane_store::{KeptFile, Store};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::RwLock;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const TITLE: &str = "airlane ticket keys 1";
const DOMAIN: &[u8] = b"airlane ticket 1\n";
const KEY_BYTES: usize = 32;
/// What a descriptor's command may hold.
const TICKET_BYTES_MAX: usize = limits::COMMAND_BYTES_MAX.as_usize();
/// What a ticket may grow by when an endpoint's rows or a caller are put into it.
const NARROWING_BYTES: usize = 2 << 10;
/// A key is not used to sign for longer.
const KEY_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Twenty years of keys.
const KEYS_MAX: usize = 256;

/// The keys of a server, the newest last.
#[derive(Debug)]
pub(crate) struct KeyRing(RwLock<Vec<Key>>);

/// What a rotation of the keys has come to.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Rotation {
    /// The key that signs now, as tickets name it.
    pub key: String,
    /// The keys that open tickets, this one among them.
    pub keys: usize,
    /// The keys that were forgotten with all that they had signed.
    pub revoked: usize,
}

#[derive(Clone)]
struct Key {
    id: u32,
    made: Timestamp,
    secret: Zeroizing<[u8; KEY_BYTES]>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("made", &self.made).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// The keys of a store's folder, with a first one if there is none. Without a folder they live as long as the store.
    pub(crate) fn load(store: &Store) -> Result<Self> {
        let keys = match store.kept(KeptFile::TicketKeys)? {
            None => Vec::new(),
            Some(text) => parse(&text).ok_or_else(|| {
                Error::new(codes::DATA_DAMAGED, "the keys that sign tickets cannot be read")
                    .at("the file `ticket-keys` of the data folder")
                    .hint("take the file away: all else stays as it is, and tickets signed so far are refused")
            })?,
        };
        let has_none = keys.is_empty();
        let ring = Self(RwLock::new(keys));
        match has_none {
            true => ring.add_key(store)?,
            // A disk that is full must not keep the server from starting.
            false => ring.renew_if_old(store),
        }
        Ok(ring)
    }

    /// Makes a new key when the newest is old. Where it cannot be kept, the old one goes on: its tickets stay good.
    pub(crate) fn renew_if_old(&self, store: &Store) {
        if self.is_due(store.clock().now())
            && let Err(error) = self.add_key(store)
        {
            tracing::warn!(%error, "a new key for tickets cannot be kept; the old one goes on");
        }
    }

    /// Signs by a new key from now on. The old ones open what they signed, or are forgotten: then nothing that was signed
    /// before is taken any more.
    ///
    /// # Errors
    /// `storage_full`, `storage_failed`: all stays as it was.
    pub(crate) fn rotate(&self, store: &Store, is_revoking: bool) -> Result<Rotation> {
        let mut keys = self.0.write();
        let newest = Key::random(store.chance(), store.clock().now(), &keys);
        let id = newest.id;
        let mut kept = if is_revoking { Vec::new() } else { keys.clone() };
        kept.push(newest);
        let surplus = kept.len().saturating_sub(KEYS_MAX);
        kept.drain(..surplus);
        store.keep(KeptFile::TicketKeys, &print(&kept))?;
        let revoked = (keys.len() + 1).saturating_sub(kept.len());
        *keys = kept;
        Ok(Rotation { key: format!("{id:08x}"), keys: keys.len(), revoked })
    }

    fn is_due(&self, now: Timestamp) -> bool {
        is_due(&self.0.read(), now)
    }

    fn add_key(&self, store: &Store) -> Result<()> {
        let mut keys = self.0.write();
        // Somebody else may have made one since it was found due.
        if !is_due(&keys, store.clock().now()) {
            return Ok(());
        }
        let mut more = keys.clone();
        more.push(Key::random(store.chance(), store.clock().now(), &keys));
        let surplus = more.len().saturating_sub(KEYS_MAX);
        more.drain(..surplus);
        store.keep(KeptFile::TicketKeys, &print(&more))?;
        *keys = more;
        Ok(())
    }

    /// Signs what a ticket is to say.
    ///
    /// # Errors
    /// `limit_exceeded` for more columns than a ticket can name.
    pub(crate) fn sign(&self, pass: &Pass) -> Result<SignedTicket> {
        let failed = |what: &str| Error::new(codes::INTERNAL, format!("a ticket cannot be signed: {what}"));
        let json = serde_json::to_vec(pass).map_err(|error| failed(&error.to_string()))?;
        let keys = self.0.read();
        let key = keys.last().ok_or_else(|| failed("there is no key"))?;
        let mut text = format!("{}{:08x}.", SignedTicket::MARK, key.id);
        URL_SAFE_NO_PAD.encode_string(json, &mut text);
        let mac = key.mac(&text[SignedTicket::MARK.len_utf8()..]).finalize().into_bytes();
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut text);
        if text.len() > TICKET_BYTES_MAX - NARROWING_BYTES && pass.columns.is_some() {
            let message = format!("a ticket of {} bytes is too long", text.len());
            return Err(
                Error::new(codes::LIMIT_EXCEEDED, message).hint("name fewer columns, or leave them out for all")
            );
        }
        SignedTicket::of(&text).ok_or_else(|| failed("it has no mark"))
    }

    /// What a ticket says that was signed here.
    pub(crate) fn open(&self, ticket: &SignedTicket) -> Option<Pass> {
        let text = ticket.expose();
        if text.len() > TICKET_BYTES_MAX {
            return None;
        }
        let (signed, mac) = text.strip_prefix(SignedTicket::MARK)?.rsplit_once('.')?;
        let (id, payload) = signed.split_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        let keys = self.0.read();
        // Ids are written in one way only, so that a changed one is another.
        let key = keys.iter().rev().find(|key| format!("{:08x}", key.id) == id)?;
        key.mac(signed).verify_slice(&mac).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }
}

impl Key {
    fn random(chance: &dyn Chance, made: Timestamp, others: &[Self]) -> Self {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        chance.fill(&mut *secret);
        loop {
            let mut id = [0; 4];
            chance.fill(&mut id);
            let id = u32::from_le_bytes(id);
            if others.iter().all(|other| other.id != id) {
                return Self { id, made, secret };
            }
        }
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        // The compiler sees that any length is a key's.
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.secret).expect("HMAC takes keys of every length");
        mac.update(DOMAIN);
        mac.update(signed.as_bytes());
        mac
    }
}

/// The answer to a ticket that this server did not sign, or not for this caller.
pub(crate) fn refused() -> Error {
    Error::new(codes::TICKET_REFUSED, "the ticket was not given by this server, or not to this caller, or was changed")
        .hint("pass the ticket on exactly as it was given, or ask for a new one")
}

fn print(keys: &[Key]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(format!("{TITLE}\n"));
    for key in keys {
        text.push_str(&format!("{:08x} {} ", key.id, key.made.as_micros()));
        key.secret.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
        text.push('\n');
    }
    let sum = checksum(&text);
    text.push_str(&format!("checksum {sum}\n"));
    text
}

/// Of all lines before it.
fn checksum(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn is_due(keys: &[Key], now: Timestamp) -> bool {
    // A key from the future was made by a clock that was wrong.
    keys.last().is_none_or(|key| key.made > now || now.saturating_since(key.made) > KEY_AGE_MAX)
}

fn parse(text: &[u8]) -> Option<Vec<Key>> {
    let text = std::str::from_utf8(text).ok()?;
    let (before, sum) = text.strip_suffix('\n')?.rsplit_once("checksum ")?;
    if checksum(before) != sum {
        return None;
    }
    let mut lines = before.strip_suffix('\n')?.split('\n');
    if lines.next()? != TITLE {
        return None;
    }
    let keys = lines.map(parse_key).collect::<Option<Vec<_>>>()?;
    (!keys.is_empty()).then_some(keys)
}

fn parse_key(line: &str) -> Option<Key> {
    let mut words = line.split(' ');
    let (id, made, secret) = (words.next()?, words.next()?, words.next()?);
    let is_hex = |text: &str, len: usize| text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if words.next().is_some() || !is_hex(id, 8) || !is_hex(secret, 2 * KEY_BYTES) {
        return None;
    }
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    for (byte, digits) in bytes.iter_mut().zip(secret.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    let made = Timestamp::from_micros(made.parse().ok()?);
    Some(Key { id: u32::from_str_radix(id, 16).ok()?, made, secret: bytes })
}

#[cfg(test)]
mod tests;
