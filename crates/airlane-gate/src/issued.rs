//! Tokens that the program itself gives out, to processes that it starts. They are kept nowhere: what holds one alive is its pass.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use airlane_model::caller::Grant;
use airlane_model::{Caller, Chance, Error, Result, Secret, codes};
use parking_lot::RwLock;

use crate::keyed::{Hash, sha256};
use crate::rules::is_caller_name;
use crate::token::NewToken;

/// The tokens that are good now. Whoever does not know a token cannot choose its hash, so that the time of a search tells nothing.
#[derive(Default)]
pub(crate) struct Issued(RwLock<HashMap<Hash, Caller>>);

/// A token that the program has given out. It is good until this is dropped.
pub struct IssuedToken {
    token: Secret,
    hash: Hash,
    issued: Arc<Issued>,
}

impl Issued {
    pub(crate) fn issue(self: &Arc<Self>, name: &str, grants: Vec<Grant>, chance: &dyn Chance) -> Result<IssuedToken> {
        if !is_caller_name(name) {
            let message = format!("`{}` cannot be the name of a caller", name.escape_debug());
            return Err(Error::new(codes::OPTION_INVALID, message)
                .hint("use letters, digits, `_`, `.`, `-` and `@`, at most 64, the first a letter or a digit"));
        }
        let NewToken { token, .. } = NewToken::random(chance);
        let hash = sha256(token.expose().as_bytes());
        self.0.write().insert(hash, Caller::new(name, grants));
        Ok(IssuedToken { token, hash, issued: self.clone() })
    }

    pub(crate) fn caller(&self, token: &Secret) -> Option<Caller> {
        self.0.read().get(&sha256(token.expose().as_bytes())).cloned()
    }
}

impl IssuedToken {
    /// What is to be sent as a bearer token.
    pub fn token(&self) -> &Secret {
        &self.token
    }
}

impl Drop for IssuedToken {
    fn drop(&mut self) {
        self.issued.0.write().remove(&self.hash);
    }
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use airlane_model::SystemChance;

    use super::*;
    use crate::{Gate, GateOptions, Rules, Shown};

    #[test]
    fn s1_an_issued_token_is_good_as_long_as_it_is_held() {
        let gate = Gate::guarded(Rules::default(), &GateOptions::default());
        let caller = |token: &Secret| gate.caller(Some(token.clone()), &Shown::Nothing);
        let (one, other) = (issue(&gate, "one").expect("issued"), issue(&gate, "other").expect("issued"));
        assert_eq!(caller(one.token()).expect("known").name(), "one");
        assert_eq!(caller(other.token()).expect("known").name(), "other");
        // Rules that are read again know nothing of it.
        gate.replace(Rules::default());
        let token = one.token().clone();
        assert_eq!(caller(&token).expect("still known").name(), "one");
        drop(one);
        assert_eq!(caller(&token).expect_err("gone").code(), codes::CREDENTIALS_REFUSED);
        assert_eq!(caller(other.token()).expect("known").name(), "other");
        assert_eq!(gate.caller(None, &Shown::Nothing).expect_err("nobody").code(), codes::CREDENTIALS_MISSING);
        assert!(!format!("{other:?}").contains(other.token().expose()));
    }

    #[test]
    fn names_are_those_of_callers_and_an_open_gate_issues_nothing() {
        let gate = Gate::guarded(Rules::default(), &GateOptions::default());
        for name in ["", "local", "anonymous", "a b", "-a"] {
            assert_eq!(issue(&gate, name).expect_err(name).code(), codes::OPTION_INVALID, "{name}");
        }
        assert_eq!(issue(&Gate::open(), "one").expect_err("open").code(), codes::OPTION_INVALID);
    }

    fn issue(gate: &Gate, name: &str) -> Result<IssuedToken> {
        gate.issue(name, Vec::new(), &SystemChance)
    }
}
