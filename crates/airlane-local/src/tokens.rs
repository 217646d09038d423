//! One-time tokens for who comes by TCP.
//!
//! A port of the loopback is open to every user of the machine, and shows nothing of who connects. So whoever starts the
//! server, or a worker, hands out a token that lets in one connection, as the user of the server.

use std::sync::Arc;

use airlane_gate::NewToken;
use airlane_model::{Chance, Secret};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tokio::sync::Notify;

/// Tokens that wait to be used, at most: the oldest goes first.
const WAITING_MAX: usize = 1024;

/// Makes tokens and takes them back. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    chance: Arc<dyn Chance>,
    waiting: Mutex<Vec<Secret>>,
    used: Notify,
}

impl Tokens {
    /// None yet.
    pub fn new(chance: Arc<dyn Chance>) -> Self {
        Self(Arc::new(Inner { chance, waiting: Mutex::default(), used: Notify::new() }))
    }

    /// A token for one connection.
    pub fn make(&self) -> Secret {
        let token = NewToken::random(self.0.chance.as_ref()).token;
        let mut waiting = self.0.waiting.lock();
        if waiting.len() >= WAITING_MAX {
            waiting.remove(0);
        }
        waiting.push(token.clone());
        token
    }

    /// Waits until a token was used.
    pub async fn used(&self) {
        self.0.used.notified().await;
    }

    /// Whether a token is good, once.
    pub(crate) fn redeem(&self, token: &Secret) -> bool {
        let mut waiting = self.0.waiting.lock();
        // All are looked at, in the same time each: where one differs tells nobody anything.
        let found = waiting.iter().enumerate().fold(None, |found, (index, own)| match same(own, token) {
            true => Some(index),
            false => found,
        });
        let is_good = found.map(|index| waiting.remove(index)).is_some();
        if is_good {
            self.0.used.notify_one();
        }
        is_good
    }
}

fn same(one: &Secret, other: &Secret) -> bool {
    one.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use airlane_model::SystemChance;

    use super::*;

    #[test]
    fn a_token_lets_in_once() {
        let tokens = Tokens::new(Arc::new(SystemChance));
        let (one, other) = (tokens.make(), tokens.make());
        assert_ne!(one.expose(), other.expose());
        assert!(!tokens.redeem(&Secret::new("")) && !tokens.redeem(&Secret::new("0".repeat(64))));
        assert!(tokens.redeem(&one) && !tokens.redeem(&one));
        assert!(tokens.redeem(&other));
    }

    #[test]
    fn those_that_nobody_uses_go_at_last() {
        let tokens = Tokens::new(Arc::new(SystemChance));
        let all: Vec<Secret> = (0..=WAITING_MAX).map(|_| tokens.make()).collect();
        assert!(!tokens.redeem(&all[0]) && tokens.redeem(&all[1]) && tokens.redeem(&all[WAITING_MAX]));
    }
}
