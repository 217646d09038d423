//! Who a request is from, decided once.

use std::sync::Arc;

use airlane_model::caller::Grant;
use airlane_model::{Caller, Chance, Clock, Error, Result, Secret, SharedQuotas, SystemChance, SystemClock, codes};
use http::HeaderMap;
use parking_lot::RwLock;

use crate::credential::Credential;
use crate::issued::{Issued, IssuedToken};
use crate::password::Hasher;
use crate::peer::Peer;
use crate::quota::{Meter, RequestToll};
use crate::remembered::Remembered;
use crate::rules::{Match, Rules, User};
use crate::session::{Proof, Session, Sessions};
use crate::shown::{Identity, Shown};
use crate::throttle::Throttle;

/// What a gate goes by beside its rules.
#[derive(Clone, Debug)]
pub struct GateOptions {
    /// Whether passwords are taken from other machines although the server has no TLS, which shows them to the network.
    pub passwords_in_clear: bool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where keys come from.
    pub chance: Arc<dyn Chance>,
    /// Where the quotas of the rules are put into force, for all who look after them.
    pub quotas: SharedQuotas,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self {
            passwords_in_clear: false,
            clock: Arc::new(SystemClock),
            chance: Arc::new(SystemChance),
            quotas: SharedQuotas::default(),
        }
    }
}

/// Tells who a request is from. Cheap to clone.
#[derive(Clone)]
pub struct Gate(Option<Arc<Guard>>);

/// A gate that is not open.
struct Guard {
    rules: RwLock<Reading>,
    passwords_in_clear: bool,
    hasher: Hasher,
    throttle: Throttle,
    remembered: Remembered,
    sessions: Sessions,
    issued: Arc<Issued>,
    quotas: SharedQuotas,
    meter: Arc<Meter>,
}

/// The rules as they were read last.
#[derive(Clone)]
struct Reading {
    number: u64,
    rules: Arc<Rules>,
}

/// A caller whom the gate has let in.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) caller: Caller,
    /// How it was known; absent for those who brought no credentials in a header.
    known_by: Option<KnownBy>,
}

#[derive(Debug)]
enum KnownBy {
    Credentials(Proof),
    /// A token that a login does not make another of: a session is not made longer, an issued token ends with its pass.
    Itself(Secret),
}

impl Gate {
    /// A gate without access control: everybody may do everything.
    pub fn open() -> Self {
        Self(None)
    }

    /// A gate that lets in whom the rules know.
    pub fn guarded(rules: Rules, options: &GateOptions) -> Self {
        let (clock, chance, quotas) = (&options.clock, &*options.chance, &options.quotas);
        quotas.set(rules.quotas().clone());
        Self(Some(Arc::new(Guard {
            rules: RwLock::new(Reading { number: 0, rules: Arc::new(rules) }),
            passwords_in_clear: options.passwords_in_clear,
            hasher: Hasher::default(),
            throttle: Throttle::new(clock.clone()),
            remembered: Remembered::new(clock.clone(), chance),
            sessions: Sessions::new(clock.clone(), chance),
            issued: Arc::default(),
            quotas: quotas.clone(),
            meter: Arc::new(Meter::new(quotas.clone(), clock.clone())),
        })))
    }

    /// Whether there is access control.
    pub fn is_guarded(&self) -> bool {
        self.0.is_some()
    }

    /// A token for a caller of this name with these rights, beside those that the rules know.
    ///
    /// # Errors
    /// `option_invalid` for a name that no caller can have, and where there is no access control.
    pub fn issue(&self, name: &str, grants: Vec<Grant>, chance: &dyn Chance) -> Result<IssuedToken> {
        let guard = self.0.as_ref().ok_or_else(|| {
            Error::new(codes::OPTION_INVALID, "the server has no access control, and asks nobody for a token")
        })?;
        guard.issued.issue(name, grants, chance)
    }

    /// Goes by other rules from now on. Requests that run go on.
    pub fn replace(&self, rules: Rules) {
        if let Some(guard) = &self.0 {
            let mut reading = guard.rules.write();
            guard.quotas.set(rules.quotas().clone());
            *reading = Reading { number: reading.number + 1, rules: Arc::new(rules) };
        }
    }

    /// Tells who sends a request with these headers, over a connection that shows this. Credentials in a header decide
    /// alone; what the connection shows counts for requests without.
    ///
    /// # Errors
    /// `credentials_missing`, `credentials_refused`, `logins_throttled`.
    pub(crate) async fn admit(&self, headers: &HeaderMap, peer: Peer, shown: &Shown) -> Result<Admitted> {
        let Some(guard) = &self.0 else { return Ok(Admitted { caller: Caller::local(), known_by: None }) };
        match Credential::of(headers)? {
            Credential::None => guard.by_shown(shown),
            Credential::Bearer(token) => guard.by_token(token),
            Credential::Basic { user, password } => guard.by_password(&user, password, peer).await,
        }
    }

    /// Tells who has a connection that shows this, and may have brought a token.
    ///
    /// # Errors
    /// `credentials_missing`, `credentials_refused`.
    pub(crate) fn caller(&self, token: Option<Secret>, shown: &Shown) -> Result<Caller> {
        let Some(guard) = &self.0 else { return Ok(Caller::local()) };
        let admitted = match token {
            Some(token) => guard.by_token(token),
            None => guard.by_shown(shown),
        };
        admitted.map(|admitted| admitted.caller)
    }

    /// What counts a request of a caller; nothing where there is no access control.
    pub(crate) fn toll(&self, caller: &Caller) -> Option<Arc<RequestToll>> {
        let guard = self.0.as_ref()?;
        Some(Arc::new(RequestToll::new(guard.meter.clone(), caller.clone())))
    }

    /// A token for whoever has just logged in; none for those without credentials.
    pub(crate) fn session(&self, admitted: &Admitted) -> Option<Secret> {
        let (guard, known_by) = (self.0.as_ref()?, admitted.known_by.as_ref()?);
        Some(match known_by {
            KnownBy::Itself(token) => token.clone(),
            KnownBy::Credentials(proof) => {
                guard.sessions.sign(&Session { name: admitted.caller.name().to_owned(), proof: *proof })
            }
        })
    }
}

impl Guard {
    fn reading(&self) -> Reading {
        self.rules.read().clone()
    }

    fn by_shown(&self, shown: &Shown) -> Result<Admitted> {
        match shown {
            Shown::Nothing => self.anonymous(),
            Shown::Certificate(names) => self.by_certificate(names),
            Shown::Uid(uid) => self.by_uid(*uid),
        }
    }

    fn anonymous(&self) -> Result<Admitted> {
        let caller = self.reading().rules.anonymous().cloned();
        let caller = caller.ok_or_else(|| {
            Error::new(codes::CREDENTIALS_MISSING, "the server asks for credentials, and the request has none")
                .hint("send a token, or a user and a password")
        })?;
        Ok(Admitted { caller, known_by: None })
    }

    /// A certificate is shown in order to be known: whoever is not is refused, and not let in as anonymous.
    fn by_certificate(&self, names: &[Identity]) -> Result<Admitted> {
        let rules = self.reading().rules;
        let why = match rules.of_certificate(names) {
            Match::One(caller) => return Ok(Admitted { caller: caller.clone(), known_by: None }),
            Match::None => "the certificate is of nobody in the rights file",
            Match::Several => "the certificate is of several callers, and could be any of them",
        };
        Err(Error::new(codes::CREDENTIALS_REFUSED, why)
            .hint("[certificate.NAME] names a caller by one URI or DNS name, whole, of the subject alternative names"))
    }

    /// Every process has a user, whether it wants to be known or not.
    fn by_uid(&self, uid: u32) -> Result<Admitted> {
        match self.reading().rules.of_uid(uid) {
            Some(caller) => Ok(Admitted { caller: caller.clone(), known_by: None }),
            None => self.anonymous(),
        }
    }

    fn by_token(&self, token: Secret) -> Result<Admitted> {
        let rules = self.reading().rules;
        if Sessions::is_session(&token) {
            let caller = self.sessions.open(&token).and_then(|session| rules.of_session(&session));
            let caller = caller.ok_or_else(|| {
                Error::new(codes::CREDENTIALS_REFUSED, "the session has ended, or is of another server")
                    .hint("log in again")
            })?;
            return Ok(Admitted { caller, known_by: Some(KnownBy::Itself(token)) });
        }
        let known = rules.of_token(&token).map(|(caller, proof)| Admitted { caller, known_by: credentials(proof) });
        let issued = || {
            let caller = self.issued.caller(&token)?;
            Some(Admitted { caller, known_by: Some(KnownBy::Itself(token.clone())) })
        };
        known.or_else(issued).ok_or_else(|| {
            Error::new(codes::CREDENTIALS_REFUSED, "no such token")
                .hint("`airlane token NAME` makes one for the rights file")
        })
    }

    async fn by_password(&self, name: &str, password: Secret, peer: Peer) -> Result<Admitted> {
        if !peer.is_private() && !self.passwords_in_clear {
            return Err(Error::new(
                codes::CREDENTIALS_REFUSED,
                "passwords are taken over TLS or from the server's own machine only: the network could read them",
            )
            .hint("use TLS or a token; `--insecure` takes them all the same"));
        }
        let Reading { number, rules } = self.reading();
        let known = rules.user(name);
        if let Some(admitted) = self.recall(name, &password, number, known) {
            return Ok(admitted);
        }
        self.throttle.check(name, peer)?;
        let turn = self.hasher.turn().await?;
        // Another request with the same password may have been first.
        if let Some(admitted) = self.recall(name, &password, number, known) {
            return Ok(admitted);
        }
        self.throttle.begin(name, peer)?;
        // Whoever does not exist costs what everybody costs, so that the time tells nothing.
        let Some(hashed) = known.or_else(|| rules.any_user()) else { return Err(wrong_password()) };
        let (verified, _turn) = self.hasher.verify(turn, hashed.hash.clone(), password.clone()).await?;
        match known.filter(|_| verified) {
            Some(user) => {
                self.throttle.succeeded(name, peer);
                self.remembered.add(name, &password, number, user.caller.clone());
                Ok(Admitted { caller: user.caller.clone(), known_by: credentials(user.proof()) })
            }
            None => Err(wrong_password()),
        }
    }

    /// A login that was verified lately.
    fn recall(&self, name: &str, password: &Secret, number: u64, known: Option<&User>) -> Option<Admitted> {
        let caller = self.remembered.find(name, password, number)?;
        Some(Admitted { caller, known_by: credentials(known?.proof()) })
    }
}

fn credentials(proof: Proof) -> Option<KnownBy> {
    Some(KnownBy::Credentials(proof))
}

fn wrong_password() -> Error {
    Error::new(codes::CREDENTIALS_REFUSED, "no such user, or another password")
        .hint("after five wrong ones each costs time")
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("is_guarded", &self.is_guarded()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
