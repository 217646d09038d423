//! Passwords: Argon2id, two at a time.
//!
//! One hash takes 19 MiB and some 20 ms of a core on purpose. Unbounded, whoever sends passwords would have all cores
//! and all memory; so two are hashed at once, a few wait, and the rest is turned away at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use airlane_model::{Chance, Error, Result, Secret, codes};
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The passwords that are hashed at the same time.
const HASHES_MAX: usize = 2;
/// The logins that wait or are being hashed.
const LOGINS_MAX: usize = 64;
/// What a hash of the rights file may cost; more would be an accident.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 32;
const LANES_MAX: u32 = 16;

/// A hash of a password, as the rights file has it.
#[derive(Clone, Debug)]
pub(crate) struct StoredHash(Arc<str>);

impl StoredHash {
    /// Takes a hash in the PHC form, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    ///
    /// # Errors
    /// Why it is none, as the rest of a sentence that does not quote it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let parsed = PasswordHash::new(text).map_err(|_| "is no hash in the PHC form")?;
        if parsed.algorithm != Algorithm::Argon2id.ident() {
            return Err("is not of Argon2id");
        }
        if parsed.version != Some(Version::V0x13.into()) {
            return Err("is not of version 19 of Argon2id");
        }
        let params = Params::try_from(&parsed).map_err(|_| "has parameters that Argon2id does not take")?;
        if params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX || params.p_cost() > LANES_MAX {
            return Err("costs too much: at most m=1048576, t=32 and p=16");
        }
        if parsed.salt.is_none() || parsed.hash.is_none_or(|hash| hash.len() < 16) {
            return Err("has no salt, or no hash of at least 16 bytes");
        }
        Ok(Self(text.into()))
    }

    /// The text of the file.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn is_of(&self, password: &Secret) -> bool {
        let parsed = PasswordHash::new(&self.0);
        parsed.is_ok_and(|hash| Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok())
    }
}

/// The hash of a password for the rights file, with the parameters that OWASP recommends: 19 MiB, 2 passes, 1 lane.
/// It takes some 20 ms.
///
/// # Errors
/// `internal`.
pub fn hash(password: &Secret, chance: &dyn Chance) -> Result<String> {
    let failed = |error: &dyn std::fmt::Display| Error::new(codes::INTERNAL, format!("no hash can be made: {error}"));
    let mut bytes = [0; 16];
    chance.fill(&mut bytes);
    let salt = SaltString::encode_b64(&bytes).map_err(|error| failed(&error))?;
    let hash = Argon2::default().hash_password(password.expose().as_bytes(), &salt);
    Ok(hash.map_err(|error| failed(&error))?.to_string())
}

/// Hashes passwords, a bounded number at a time.
#[derive(Debug)]
pub(crate) struct Hasher {
    running: Arc<Semaphore>,
    logins: Arc<Semaphore>,
    hashed: AtomicU64,
}

/// The turn of a login. Dropping it lets the next one have its turn.
#[derive(Debug)]
pub(crate) struct Turn {
    _running: OwnedSemaphorePermit,
    _login: OwnedSemaphorePermit,
}

impl Default for Hasher {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(HASHES_MAX)),
            logins: Arc::new(Semaphore::new(LOGINS_MAX)),
            hashed: AtomicU64::new(0),
        }
    }
}

impl Hasher {
    /// Waits for a turn.
    ///
    /// # Errors
    /// `logins_throttled` when too many wait already.
    pub(crate) async fn turn(&self) -> Result<Turn> {
        let busy = || {
            Error::new(codes::LOGINS_THROTTLED, "too many logins wait").hint("try again in a second, or use a token")
        };
        let login = Arc::clone(&self.logins).try_acquire_owned().map_err(|_| busy())?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| busy())?;
        Ok(Turn { _running: running, _login: login })
    }

    /// Whether a hash is of a password. The turn comes back, so that what was found out can be noted before the next has
    /// its turn; when nobody waits any more, it is over when the hash is made.
    ///
    /// # Errors
    /// `shutting_down`.
    pub(crate) async fn verify(&self, turn: Turn, hash: StoredHash, password: Secret) -> Result<(bool, Turn)> {
        self.hashed.fetch_add(1, Ordering::Relaxed);
        let verified = tokio::task::spawn_blocking(move || {
            let verified = hash.is_of(&password);
            (verified, turn)
        });
        verified.await.map_err(|error| Error::new(codes::SHUTTING_DOWN, "the server is stopping").source(error))
    }

    /// The hashes that were begun.
    #[cfg(test)]
    pub(crate) fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use airlane_model::SystemChance;

    use super::*;

    #[test]
    fn a_hash_is_of_its_password_alone() {
        let password = Secret::new("correct horse");
        let text = hash(&password, &SystemChance).expect("a hash");
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let stored = StoredHash::parse(&text).expect("its own form");
        assert!(stored.is_of(&password) && !stored.is_of(&Secret::new("correct horsf")));
        assert_ne!(text, hash(&password, &SystemChance).expect("a hash"), "salted");
    }

    #[test]
    fn s2_refuses_hashes_that_protect_nothing_or_cost_too_much() {
        let (salt, hash) = ("c29tZXNhbHQ", "iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A");
        assert!(StoredHash::parse(&format!("$argon2id$v=19$m=8,t=1,p=1${salt}${hash}")).is_ok());
        for text in [
            "hunter2".to_owned(),
            String::new(),
            format!("$argon2i$v=19$m=8,t=1,p=1${salt}${hash}"),
            format!("$argon2d$v=19$m=8,t=1,p=1${salt}${hash}"),
            format!("$argon2id$v=16$m=8,t=1,p=1${salt}${hash}"),
            format!("$argon2id$m=8,t=1,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=4194304,t=1,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=8,t=1000,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=8,t=1,p=1${salt}"),
            "$argon2id$v=19$m=8,t=1,p=1".to_owned(),
            format!("$argon2id$v=19$m=8,t=1,p=1${salt}$AAAAAAA"),
            format!("$2b$12${salt}${hash}"),
        ] {
            assert!(StoredHash::parse(&text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn s2_two_hash_at_a_time_and_only_so_many_wait() {
        let hasher = Hasher::default();
        let (first, second) = (hasher.turn().await.expect("free"), hasher.turn().await.expect("free"));
        let mut waiting: Vec<_> = (HASHES_MAX..LOGINS_MAX).map(|_| Box::pin(hasher.turn())).collect();
        for turn in &mut waiting {
            assert!(futures_poll(turn).is_none(), "two are at it");
        }
        let refused = hasher.turn().await.expect_err("too many");
        assert_eq!(refused.code(), codes::LOGINS_THROTTLED);
        drop(first);
        assert!(futures_poll(&mut waiting[0]).is_some_and(|turn| turn.is_ok()), "the next has its turn");
        drop((second, waiting));
        assert!(hasher.turn().await.is_ok(), "those who left keep no place");
    }

    fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
