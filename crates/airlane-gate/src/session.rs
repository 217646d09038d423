//! The token that a login answers, signed instead of remembered: logins cost no memory, however many there are.
//!
//! ```text
//! airlane-session.<base64url of: expiry 8 │ proof 8 │ name … │ HMAC-SHA256 of all before, 32>
//! ```
//!
//! The proof is the beginning of a hash of the credentials that the login was made with. So whoever changes a password,
//! or takes a user out of the rights file, ends the sessions too. The key lives as long as the process: after a restart
//! clients log in again.

use std::sync::Arc;
use std::time::Duration;

use airlane_model::{Chance, Clock, Secret, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::keyed::Key;

const PREFIX: &str = "airlane-session.";
/// A working day of a notebook.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
const MAC_BYTES: usize = 32;

/// The beginning of a hash of someone's credentials.
pub(crate) type Proof = [u8; 8];

/// Who logged in, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) proof: Proof,
}

/// Signs sessions and knows its own.
pub(crate) struct Sessions {
    key: Key,
    clock: Arc<dyn Clock>,
}

impl Sessions {
    pub(crate) fn new(clock: Arc<dyn Clock>, chance: &dyn Chance) -> Self {
        Self { key: Key::random(chance), clock }
    }

    /// Whether a token claims to be of a session.
    pub(crate) fn is_session(token: &Secret) -> bool {
        token.expose().starts_with(PREFIX)
    }

    /// A token that is good from now on for some hours.
    pub(crate) fn sign(&self, session: &Session) -> Secret {
        let expiry = self.clock.now().saturating_add(LIFETIME);
        let mut bytes = expiry.as_micros().to_be_bytes().to_vec();
        bytes.extend_from_slice(&session.proof);
        bytes.extend_from_slice(session.name.as_bytes());
        let mac = self.key.hash(&[&bytes]);
        bytes.extend_from_slice(&mac);
        Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The session of a token that was signed here and has not ended. Whether its user is still known is for the rules
    /// to say.
    pub(crate) fn open(&self, token: &Secret) -> Option<Session> {
        let bytes = URL_SAFE_NO_PAD.decode(token.expose().strip_prefix(PREFIX)?).ok()?;
        let (signed, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        if !self.key.is_hash_of(mac, &[signed]) {
            return None;
        }
        let (expiry, rest) = signed.split_first_chunk::<8>()?;
        let (proof, name) = rest.split_first_chunk::<8>()?;
        if self.clock.now() >= Timestamp::from_micros(i64::from_be_bytes(*expiry)) {
            return None;
        }
        Some(Session { name: std::str::from_utf8(name).ok()?.to_owned(), proof: *proof })
    }
}

#[cfg(test)]
mod tests {
    use airlane_model::SystemChance;

    use super::*;
    use crate::gate::tests::ManualClock;

    fn session() -> Session {
        Session { name: "ada".into(), proof: [7; 8] }
    }

    #[test]
    fn s1_a_session_opens_until_it_ends_and_nowhere_else() {
        let clock = Arc::new(ManualClock::default());
        let sessions = Sessions::new(clock.clone(), &SystemChance);
        let token = sessions.sign(&session());
        assert!(Sessions::is_session(&token));
        assert_eq!(sessions.open(&token), Some(session()));
        assert_eq!(Sessions::new(clock.clone(), &SystemChance).open(&token), None, "another process");
        clock.advance(LIFETIME - Duration::from_micros(1));
        assert_eq!(sessions.open(&token), Some(session()));
        clock.advance(Duration::from_micros(1));
        assert_eq!(sessions.open(&token), None, "ended");
    }

    #[test]
    fn s1_a_session_with_a_byte_changed_is_none() {
        let sessions = Sessions::new(Arc::new(ManualClock::default()), &SystemChance);
        let token = sessions.sign(&session());
        let text = token.expose();
        for index in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let altered = Secret::new(String::from_utf8(bytes).expect("ASCII"));
            assert_eq!(sessions.open(&altered), None, "byte {index}");
        }
        for length in 0..text.len() {
            assert_eq!(sessions.open(&Secret::new(&text[..length])), None, "{length} bytes");
        }
        assert_eq!(sessions.open(&Secret::new(format!("{text}A"))), None);
    }
}
