//! Keyed hashes: what only this process can make, and nothing can be guessed from.

use airlane_model::Chance;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// A hash of SHA-256.
pub(crate) type Hash = [u8; 32];

/// The SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// A random key that lives as long as the process. Its hashes are HMAC-SHA256.
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn random(chance: &dyn Chance) -> Self {
        let mut bytes = [0; 32];
        chance.fill(&mut bytes);
        Self(bytes)
    }

    /// The hash of some parts; their lengths are in it, so that no part can run into the next.
    pub(crate) fn hash(&self, parts: &[&[u8]]) -> Hash {
        self.mac(parts).finalize().into_bytes().into()
    }

    /// Whether this is the hash of some parts, in a time that does not depend on where it differs.
    pub(crate) fn is_hash_of(&self, hash: &[u8], parts: &[&[u8]]) -> bool {
        self.mac(parts).verify_slice(hash).is_ok()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0);
        let mut mac = mac.expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use airlane_model::SystemChance;

    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other_and_keys_differ() {
        let key = Key::random(&SystemChance);
        let hash = key.hash(&[b"ab", b"c"]);
        assert!(key.is_hash_of(&hash, &[b"ab", b"c"]));
        assert_ne!(hash, key.hash(&[b"a", b"bc"]));
        assert_ne!(hash, Key::random(&SystemChance).hash(&[b"ab", b"c"]));
        for index in 0..hash.len() {
            let mut other = hash;
            other[index] ^= 1;
            assert!(!key.is_hash_of(&other, &[b"ab", b"c"]), "byte {index}");
        }
        assert!(!key.is_hash_of(&hash[..31], &[b"ab", b"c"]));
    }
}
