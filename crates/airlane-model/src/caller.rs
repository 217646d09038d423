//! Callers: who asks, and what each may do in which namespaces.
//!
//! ```text
//! Caller "ci"   eu         read write      the pattern that fits best decides, alone:
//!               staging-*  write           a name before a beginning, a longer beginning before a shorter one
//!               *          read
//! ```
//!
//! No right includes another, and what no pattern covers is forbidden.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use crate::error::{Error, codes};
use crate::limits::NAME_BYTES_MAX;
use crate::name::{TableName, is_part};
use crate::outcome::Outcome;
use crate::quota::Toll;

/// The name of whoever brings no credentials.
pub const ANONYMOUS: &str = "anonymous";
/// The name of everybody where there is no access control.
pub const LOCAL: &str = "local";

/// Something that a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To read, list and describe the tables of a namespace.
    Read,
    /// To put and drop the tables of a namespace.
    Write,
    /// To see how the server does; given for all namespaces, `*`.
    Admin,
}

impl Right {
    /// Each right and its word.
    pub const TABLE: [(Right, &'static str); 3] =
        [(Right::Read, "read"), (Right::Write, "write"), (Right::Admin, "admin")];
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::TABLE[*self as usize].1)
    }
}

/// Which namespaces are meant: `eu`, all that begin with `eu-` (`eu-*`), or all (`*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespacePattern {
    /// The namespace of this name.
    Name(Box<str>),
    /// The namespaces whose names begin so.
    Beginning(Box<str>),
}

impl NamespacePattern {
    pub(crate) fn fits(&self, namespace: &str) -> bool {
        match self {
            Self::Name(name) => **name == *namespace,
            Self::Beginning(beginning) => namespace.starts_with(&**beginning),
        }
    }

    /// A key by which the pattern that decides comes first.
    pub(crate) fn rank(&self) -> (bool, std::cmp::Reverse<usize>) {
        match self {
            Self::Name(_) => (false, std::cmp::Reverse(0)),
            Self::Beginning(beginning) => (true, std::cmp::Reverse(beginning.len())),
        }
    }

    /// Whether it is `*`.
    fn is_all(&self) -> bool {
        matches!(self, Self::Beginning(beginning) if beginning.is_empty())
    }
}

/// A text is no pattern of namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatternInvalid;

impl FromStr for NamespacePattern {
    type Err = PatternInvalid;

    fn from_str(text: &str) -> Result<Self, PatternInvalid> {
        let (stem, is_beginning) = text.strip_suffix('*').map_or((text, false), |stem| (stem, true));
        let valid = text.len() <= NAME_BYTES_MAX && (is_part(stem) || (is_beginning && stem.is_empty()));
        match (valid, is_beginning) {
            (false, _) => Err(PatternInvalid),
            (true, true) => Ok(Self::Beginning(stem.into())),
            (true, false) => Ok(Self::Name(stem.into())),
        }
    }
}

/// Rights in the namespaces of a pattern.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Where.
    pub namespaces: NamespacePattern,
    /// What; nothing at all where a wider pattern would give too much.
    pub rights: Vec<Right>,
}

/// Who asks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller {
    identity: Arc<Identity>,
    trail: Option<Arc<Trail>>,
    toll: Option<Arc<dyn Toll>>,
}

#[derive(Debug)]
struct Identity {
    name: Arc<str>,
    grants: Grants,
}

#[derive(Debug)]
enum Grants {
    Everything,
    /// The one that decides first.
    Of(Vec<Grant>),
}

impl Caller {
    /// A caller with these grants and no other rights.
    pub fn new(name: &str, mut grants: Vec<Grant>) -> Self {
        grants.sort_by_key(|grant| grant.namespaces.rank());
        Self::of(name, Grants::Of(grants))
    }

    /// A caller who may do nothing: what a request is from that passed no gate.
    pub fn nobody() -> Self {
        static NOBODY: LazyLock<Caller> = LazyLock::new(|| Caller::new("nobody", Vec::new()));
        NOBODY.clone()
    }

    /// A caller who may do everything: the process itself, and everybody where there is no access control.
    pub fn local() -> Self {
        static EVERYBODY: LazyLock<Caller> = LazyLock::new(|| Caller::of(LOCAL, Grants::Everything));
        EVERYBODY.clone()
    }

    fn of(name: &str, grants: Grants) -> Self {
        Self { identity: Arc::new(Identity { name: name.into(), grants }), trail: None, toll: None }
    }

    /// Who it is, for logs.
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// Who owns what it puts; nobody where there is no access control, and callers are not told apart.
    pub fn owner(&self) -> Option<Arc<str>> {
        match self.identity.grants {
            Grants::Everything => None,
            Grants::Of(_) => Some(self.identity.name.clone()),
        }
    }

    /// Whether it is told whose a table is: that is its own business, and that of who looks after the server.
    pub fn may_know_owner(&self, owner: &str) -> bool {
        self.may_everywhere(Right::Admin) || self.name() == owner
    }

    /// Whether it brought no credentials, so that bringing some may help.
    pub fn is_anonymous(&self) -> bool {
        self.name() == ANONYMOUS
    }

    /// Whether it may do something in a namespace.
    pub fn may(&self, right: Right, namespace: &str) -> bool {
        match &self.identity.grants {
            Grants::Everything => true,
            Grants::Of(grants) => {
                let deciding = grants.iter().find(|grant| grant.namespaces.fits(namespace));
                deciding.is_some_and(|grant| grant.rights.contains(&right))
            }
        }
    }

    /// Whether it has a right by the pattern `*`.
    pub fn may_everywhere(&self, right: Right) -> bool {
        match &self.identity.grants {
            Grants::Everything => true,
            Grants::Of(grants) => grants.iter().any(|grant| grant.namespaces.is_all() && grant.rights.contains(&right)),
        }
    }

    /// Lets a caller see how the server does, which takes `admin` for all namespaces.
    ///
    /// # Errors
    /// `permission_denied`, `credentials_missing`.
    pub fn check_admin(&self) -> Result<(), Error> {
        if self.may_everywhere(Right::Admin) {
            return Ok(());
        }
        if self.is_anonymous() {
            let error = Error::new(codes::CREDENTIALS_MISSING, "this is for callers with credentials only");
            return Err(error.hint("send a token, or a user and a password"));
        }
        let (name, message) =
            (self.name(), format!("`{}` has no right to see or change the server itself", self.name()));
        Err(Error::new(codes::PERMISSION_DENIED, message)
            .hint(format!("who keeps the server's rights file may add `\"*\" = [\"admin\"]` to [rights.{name}]")))
    }

    /// The same caller in a request that leaves a trail.
    #[must_use]
    pub fn on(mut self, trail: Arc<Trail>) -> Self {
        self.trail = Some(trail);
        self
    }

    /// The same caller in a request that is counted against quotas.
    #[must_use]
    pub fn counted(mut self, toll: Arc<dyn Toll>) -> Self {
        self.toll = Some(toll);
        self
    }

    /// Counts a stream of data in a namespace, where there are quotas.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn begin_stream(&self, namespace: &str) -> Result<(), Error> {
        self.toll.as_ref().map_or(Ok(()), |toll| toll.begin_stream(namespace))
    }

    /// Counts a put in a namespace, where there are quotas.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn begin_put(&self, namespace: &str) -> Result<(), Error> {
        self.toll.as_ref().map_or(Ok(()), |toll| toll.begin_put(namespace))
    }

    /// The trail of the request.
    pub fn trail(&self) -> Option<&Arc<Trail>> {
        self.trail.as_ref()
    }

    /// Notes in the trail of the request that a table was asked for.
    pub fn asks_for(&self, table: &TableName) {
        if let Some(trail) = &self.trail {
            // A request that asks for several is known by its first.
            let _ = trail.table.set(table.clone());
        }
    }
}

/// What a request met on its way, for logs, metrics and traces.
#[derive(Debug, Default)]
pub struct Trail {
    address: Option<IpAddr>,
    table: OnceLock<TableName>,
    outcome: OnceLock<Outcome>,
    bytes_in: AtomicU64,
    rows: AtomicU64,
}

impl Trail {
    /// Of a request that comes from an address of the network; of IPv6 the first of those that its sender has. None for a
    /// process of this machine.
    pub fn from_address(address: Option<IpAddr>) -> Self {
        Self { address, ..Self::default() }
    }

    /// Where the request comes from, for counting.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The first table that was asked for.
    pub fn table(&self) -> Option<&TableName> {
        self.table.get()
    }

    /// Counts bytes that arrived.
    pub fn receive(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts rows that were sent or taken.
    pub fn add_rows(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// The rows so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Notes how the request ended, where the answer does not show it; the first note counts.
    pub fn end(&self, outcome: Outcome) {
        let _ = self.outcome.set(outcome);
    }

    /// How it ended, if that was noted.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome.get().copied()
    }

    /// The bytes that arrived so far.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(grants: &[(&str, &[Right])]) -> Caller {
        let grant = |(pattern, rights): &(&str, &[Right])| Grant {
            namespaces: pattern.parse().expect("a pattern"),
            rights: rights.to_vec(),
        };
        Caller::new("ci", grants.iter().map(grant).collect())
    }

    #[test]
    fn the_pattern_that_fits_best_decides_alone() {
        use Right::{Admin, Read, Write};
        let caller = caller(&[("*", &[Read, Admin]), ("eu*", &[Write]), ("eu-west*", &[Read]), ("eu-west-1", &[])]);
        for (namespace, read, write) in [
            ("us", true, false),
            ("eu", false, true),
            ("eu-east", false, true),
            ("eu-west-2", true, false),
            ("eu-west-1", false, false),
            ("EU", true, false),
        ] {
            assert_eq!(caller.may(Read, namespace), read, "{namespace}");
            assert_eq!(caller.may(Write, namespace), write, "{namespace}");
        }
        assert!(caller.may_everywhere(Admin) && !caller.may_everywhere(Write));
    }

    #[test]
    fn what_is_not_granted_is_forbidden() {
        for (right, word) in Right::TABLE {
            assert!(!Caller::nobody().may(right, "default"), "{word}");
            assert!(!caller(&[("eu", &[right])]).may(right, "us"), "{word}");
            assert!(!caller(&[("eu", &[right])]).may_everywhere(right), "{word}");
            assert!(Caller::local().may(right, "eu") && Caller::local().may_everywhere(right), "{word}");
            assert_eq!(right.to_string(), word);
        }
    }

    #[test]
    fn patterns_are_names_with_a_star_at_the_end_at_most() {
        for text in ["*", "eu", "eu*", "eu-*", "_x", "default"] {
            assert!(text.parse::<NamespacePattern>().is_ok(), "{text}");
        }
        for text in ["", "**", "*eu", "e*u", "eu/x", "eu/*", ".x", "-x*", "a b", "e?", "eu\n"] {
            assert!(text.parse::<NamespacePattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_trail_keeps_the_first_table() {
        let trail = Arc::new(Trail::default());
        let caller = Caller::local().on(trail.clone());
        for name in ["eu/a", "eu/b"] {
            caller.asks_for(&name.parse().expect("a name"));
        }
        trail.receive(7);
        assert_eq!((trail.table().map(TableName::as_str), trail.bytes_in()), (Some("eu/a"), 7));
    }
}
