//! New tokens and passwords.

use airlane_model::{Chance, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::keyed::{Hash, sha256};

/// What a new token begins with, so that people and tools that look for lost secrets know it.
const PREFIX: &str = "airlane_";

/// A token that was made just now: 256 random bits, which nobody guesses.
#[derive(Debug)]
pub struct NewToken {
    /// The token, to be kept by whoever sends it.
    pub token: Secret,
    /// Its SHA-256 in hexadecimal digits, for the rights file.
    pub sha256: String,
}

impl NewToken {
    /// Makes one.
    pub fn random(chance: &dyn Chance) -> Self {
        Self::of(Secret::new(format!("{PREFIX}{}", random_text::<32>(chance))))
    }

    /// One that was made elsewhere.
    pub fn of(token: Secret) -> Self {
        let sha256 = hex(&sha256(token.expose().as_bytes()));
        Self { token, sha256 }
    }
}

/// A password of 144 random bits.
pub fn random_password(chance: &dyn Chance) -> Secret {
    Secret::new(random_text::<18>(chance))
}

fn random_text<const BYTES: usize>(chance: &dyn Chance) -> String {
    let mut bytes = [0; BYTES];
    chance.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// 64 hexadecimal digits.
pub(crate) fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of 64 hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Hash> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use airlane_model::SystemChance;

    use super::*;

    #[test]
    fn a_new_token_is_long_random_and_known_by_its_hash() {
        let (one, other) = (NewToken::random(&SystemChance), NewToken::random(&SystemChance));
        assert_ne!(one.token.expose(), other.token.expose());
        assert_eq!(one.token.expose().len(), PREFIX.len() + 43);
        assert_eq!(from_hex(&one.sha256), Some(sha256(one.token.expose().as_bytes())));
        assert_eq!(random_password(&SystemChance).expose().len(), 24);
    }

    #[test]
    fn hexadecimal_digits_are_exact() {
        let text = "00".repeat(31) + "fF";
        assert_eq!(from_hex(&text).map(|hash| hex(&hash)), Some(text.to_lowercase()));
        for text in [String::new(), "0".repeat(63), "0".repeat(65), "g".repeat(64), "+1".repeat(32), "é".repeat(32)] {
            assert_eq!(from_hex(&text), None, "{text}");
        }
    }
}
