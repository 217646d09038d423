//! The rights file: who is known, and what each may do.
//!
//! ```toml
//! [user.ada]                       # logs in with a password
//! password = "$argon2id$v=19$…"    # `airlane user ada` makes it
//!
//! [token.ci]                       # sends a token
//! sha256 = "9f86d081884c7d65…"     # `airlane token ci` makes both; a list where two are good for a while
//!
//! [certificate.ingest]             # shows a certificate over TLS: one name of it, whole; or `dns = "…"`
//! uri = "spiffe://example.org/ingest"
//!
//! [unix.backup]                    # comes by the Unix socket as this user of the system; or `user = "backup"`
//! uid = 34
//!
//! [rights.ada]                     # namespace, or its beginning and `*` = what may be done there
//! "*" = ["read", "write"]
//! hr = []                          # the pattern that fits best decides, alone
//!
//! [rights.ci]
//! eu = ["read"]
//! "staging-*" = ["read", "write"]
//!
//! [rights.anonymous]               # whoever brings no credentials; without this section they are refused
//! public = ["read"]
//!
//! [quotas.namespaces."eu-*"]       # of each namespace that begins so; the pattern that fits best decides, alone
//! bytes = "10GiB"                  # also `tables`, `streams`, `puts_per_second`
//!
//! [quotas.callers."*"]             # of each caller without a line of its own
//! streams = 16                     # also `bytes` and `tables` that it owns, `puts_per_second`
//! ```
//!
//! Nothing is ignored: an unknown word is an error that names its line, and the file as a whole is not taken. No error
//! quotes a value, which may be a secret in the wrong place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use airlane_model::caller::{ANONYMOUS, Grant, LOCAL, NamespacePattern};
use airlane_model::{Caller, Error, Quotas, Result, Right, Secret, codes};
use subtle::ConstantTimeEq;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::keyed::{Hash, sha256};
use crate::password::StoredHash;
use crate::session::{Proof, Session};
use crate::shown::Identity;
use crate::token::from_hex;

mod identities;
mod quotas;

use identities::Identities;
pub(crate) use identities::Match;

/// The tokens of one caller: the one in use, and those that it takes over from.
const TOKENS_PER_CALLER_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 64;
const SECTIONS: &str = "[user.NAME], [token.NAME], [certificate.NAME], [unix.NAME], [rights.NAME], \
                        [quotas.namespaces.NAME], [quotas.callers.NAME]";

/// One reading of a rights file.
#[derive(Debug, Default)]
pub struct Rules {
    /// By the beginning of their hash: the search tells at most that much of it, which is of no use.
    tokens: HashMap<Proof, Vec<Token>>,
    users: BTreeMap<String, User>,
    identities: Identities,
    anonymous: Option<Caller>,
    quotas: Arc<Quotas>,
}

#[derive(Debug)]
struct Token {
    sha256: Hash,
    caller: Caller,
}

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) hash: StoredHash,
    pub(crate) caller: Caller,
}

impl User {
    pub(crate) fn proof(&self) -> Proof {
        beginning(&sha256(self.hash.as_str().as_bytes()))
    }
}

/// Whether a text can be the name of a caller: letters, digits, `_`, `.`, `-` and `@`, at most 64, the first a letter
/// or a digit; `anonymous` and `local` mean somebody already.
pub fn is_caller_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'@'));
    first && rest && text.len() <= NAME_BYTES_MAX && ![ANONYMOUS, LOCAL].contains(&text)
}

impl Rules {
    /// Reads the text of a file; its path is for errors.
    ///
    /// # Errors
    /// `config_invalid`, with the line.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let file = File { path, text };
        let table = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            file.invalid(offset, format!("the file is no TOML: {}", error.message()))
        })?;
        file.rules(table.get_ref())
    }

    /// Who a token is of.
    pub(crate) fn of_token(&self, token: &Secret) -> Option<(Caller, Proof)> {
        let hash = sha256(token.expose().as_bytes());
        let proof = beginning(&hash);
        let found = self.tokens.get(&proof)?.iter().find(|token| token.sha256.ct_eq(&hash).into())?;
        Some((found.caller.clone(), proof))
    }

    /// The user of this name.
    pub(crate) fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// A user whose hash costs what one does, for the work on those who do not exist.
    pub(crate) fn any_user(&self) -> Option<&User> {
        self.users.values().next()
    }

    /// Who a certificate with these names is of.
    pub(crate) fn of_certificate(&self, names: &[Identity]) -> Match<'_> {
        self.identities.of_certificate(names)
    }

    /// Who a user of the system is, by the Unix socket.
    pub(crate) fn of_uid(&self, uid: u32) -> Option<&Caller> {
        self.identities.uids.get(&uid)
    }

    /// Who a session is of, if the credentials of its login are still good.
    pub(crate) fn of_session(&self, session: &Session) -> Option<Caller> {
        let user = self.users.get(&session.name).filter(|user| user.proof() == session.proof);
        if let Some(user) = user {
            return Some(user.caller.clone());
        }
        let tokens = self.tokens.get(&session.proof)?;
        tokens.iter().find(|token| token.caller.name() == session.name).map(|token| token.caller.clone())
    }

    /// Who brings no credentials.
    pub(crate) fn anonymous(&self) -> Option<&Caller> {
        self.anonymous.as_ref()
    }

    /// What each namespace and caller may use.
    pub(crate) fn quotas(&self) -> &Arc<Quotas> {
        &self.quotas
    }

    /// How many users and tokens there are, for the log.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.users.len(), self.tokens.values().map(Vec::len).sum())
    }
}

fn beginning(hash: &Hash) -> Proof {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    [a, b, c, d, e, f, g, h]
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

/// A file that is being read.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn rules(&self, table: &DeTable<'_>) -> Result<Rules> {
        let (mut users, mut tokens, mut rights) = (Vec::new(), Vec::new(), Vec::new());
        let (mut certificates, mut unix, mut quotas) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value) in table {
            let into = match &**key.get_ref() {
                "user" => &mut users,
                "token" => &mut tokens,
                "certificate" => &mut certificates,
                "unix" => &mut unix,
                "rights" => &mut rights,
                "quotas" => &mut quotas,
                _ => return Err(self.unknown(key, "section", SECTIONS)),
            };
            into.extend(self.table(value, "a section")?);
        }
        let callers = users.iter().chain(&tokens).chain(&certificates).chain(&unix);
        let known: BTreeSet<&str> = callers.map(|(key, _)| &**key.get_ref()).collect();
        let callers = self.callers(&rights, &known)?;
        let caller = |name: &str| callers.get(name).cloned().unwrap_or_else(|| Caller::new(name, Vec::new()));
        let quotas = Arc::new(self.quotas(&quotas, &known)?);
        let mut rules = Rules { anonymous: callers.get(ANONYMOUS).cloned(), quotas, ..Rules::default() };
        for (key, value) in users {
            let name = self.name(key)?;
            let hash = self.user(key, value)?;
            rules.users.insert(name.to_owned(), User { hash, caller: caller(name) });
        }
        for (key, value) in tokens {
            let name = self.name(key)?;
            for (sha256, offset) in self.token(key, value)? {
                let alike = rules.tokens.entry(beginning(&sha256)).or_default();
                if alike.iter().any(|token| token.sha256 == sha256) {
                    return Err(self.invalid(offset, "a token is there twice"));
                }
                alike.push(Token { sha256, caller: caller(name) });
            }
        }
        for (key, value) in certificates {
            let name = self.name(key)?;
            let (identity, offset) = self.certificate(key, value)?;
            if rules.identities.certificates.insert(identity, caller(name)).is_some() {
                return Err(self.invalid(offset, "an identity is there twice"));
            }
        }
        for (key, value) in unix {
            let name = self.name(key)?;
            let (uid, offset) = self.unix(key, value)?;
            if rules.identities.uids.insert(uid, caller(name)).is_some() {
                return Err(self.invalid(offset, "a user of the system is there twice"));
            }
        }
        Ok(rules)
    }

    fn callers(&self, rights: &[(&Key<'_>, &Value<'_>)], known: &BTreeSet<&str>) -> Result<HashMap<String, Caller>> {
        let mut callers = HashMap::new();
        for (key, value) in rights {
            let name = &**key.get_ref();
            if name != ANONYMOUS && !known.contains(name) {
                let message = format!("`{}` has rights, and is nobody who is known", name.escape_debug());
                let hint = "add [user.NAME], [token.NAME], [certificate.NAME] or [unix.NAME]; whoever brings no credentials is `anonymous`";
                return Err(self.invalid(key.span().start, message).hint(hint));
            }
            let mut grants = Vec::new();
            for (pattern, words) in self.table(value, "rights")? {
                grants.push(self.grant(pattern, words)?);
            }
            callers.insert(name.to_owned(), Caller::new(name, grants));
        }
        Ok(callers)
    }

    fn grant(&self, pattern: &Key<'_>, words: &Value<'_>) -> Result<Grant> {
        let namespaces = self.namespaces(pattern)?;
        let list = "a list of rights, such as [\"read\", \"write\"]";
        let words = words.get_ref().as_array().ok_or_else(|| self.expected(words, list))?;
        let mut rights = Vec::new();
        for word in words {
            let found = word.get_ref().as_str().and_then(|word| Right::TABLE.iter().find(|(_, name)| *name == word));
            let (right, _) = found.ok_or_else(|| {
                self.invalid(word.span().start, "this is no right").hint("there are \"read\", \"write\" and \"admin\"")
            })?;
            rights.push(*right);
        }
        Ok(Grant { namespaces, rights })
    }

    fn namespaces(&self, pattern: &Key<'_>) -> Result<NamespacePattern> {
        let text = &**pattern.get_ref();
        text.parse().map_err(|_| {
            let message = format!("`{}` is no namespace", text.escape_debug());
            self.invalid(pattern.span().start, message)
                .hint("write `eu`, `\"eu-*\"` for all that begin so, or `\"*\"` for all")
        })
    }

    fn user(&self, name: &Key<'_>, value: &Value<'_>) -> Result<StoredHash> {
        let mut password = None;
        for (key, value) in self.table(value, "a user")? {
            match &**key.get_ref() {
                "password" => password = Some(value),
                _ => return Err(self.unknown(key, "key of a user", "password")),
            }
        }
        let hint = "`airlane user NAME` makes it";
        let value = password.ok_or_else(|| self.invalid(name.span().start, "a user has no `password`").hint(hint))?;
        let text = value.get_ref().as_str().ok_or_else(|| self.expected(value, "a text"))?;
        let parsed = StoredHash::parse(text);
        parsed.map_err(|why| self.invalid(value.span().start, format!("`password` {why}")).hint(hint))
    }

    /// The hashes of a caller's tokens, and where each stands.
    fn token(&self, name: &Key<'_>, value: &Value<'_>) -> Result<Vec<(Hash, usize)>> {
        let mut sha256 = None;
        for (key, value) in self.table(value, "a token")? {
            match &**key.get_ref() {
                "sha256" => sha256 = Some(value),
                _ => return Err(self.unknown(key, "key of a token", "sha256")),
            }
        }
        let hint = "`airlane token NAME` makes it";
        let value = sha256.ok_or_else(|| self.invalid(name.span().start, "a token has no `sha256`").hint(hint))?;
        let values = match value.get_ref() {
            DeValue::Array(values) => values.iter().collect(),
            _ => vec![value],
        };
        if values.is_empty() || values.len() > TOKENS_PER_CALLER_MAX {
            let message = format!("`sha256` has {} hashes, from 1 to {TOKENS_PER_CALLER_MAX} may be", values.len());
            return Err(self.invalid(value.span().start, message));
        }
        let hash = |value: &Value<'_>| -> Result<(Hash, usize)> {
            let hash = value.get_ref().as_str().and_then(from_hex);
            let hash = hash.ok_or_else(|| {
                self.invalid(value.span().start, "`sha256` is no text of 64 hexadecimal digits").hint(hint)
            })?;
            Ok((hash, value.span().start))
        };
        values.into_iter().map(hash).collect()
    }

    fn name<'k>(&self, key: &'k Key<'_>) -> Result<&'k str> {
        let name = &**key.get_ref();
        if is_caller_name(name) {
            return Ok(name);
        }
        let message = format!("`{}` can be the name of no caller", name.escape_debug());
        Err(self.invalid(key.span().start, message).hint(
            "use letters, digits, `_`, `.`, `-` and `@`, at most 64; `anonymous` and `local` mean somebody already",
        ))
    }

    fn table<'v, 'i>(
        &self,
        value: &'v Value<'i>,
        what: &str,
    ) -> Result<impl Iterator<Item = (&'v Key<'i>, &'v Value<'i>)> + use<'v, 'i>> {
        let table = value.get_ref().as_table();
        Ok(table.ok_or_else(|| self.expected(value, &format!("{what}, which is a table")))?.iter())
    }

    fn expected(&self, value: &Value<'_>, what: &str) -> Error {
        let message = format!("a value is of type {}, expected {what}", value.get_ref().type_str());
        self.invalid(value.span().start, message)
    }

    fn unknown(&self, key: &Key<'_>, what: &str, valid: &str) -> Error {
        let message = format!("`{}` is no {what}", key.get_ref().escape_debug());
        self.invalid(key.span().start, message).hint(format!("there are: {valid}"))
    }

    fn invalid(&self, offset: usize, message: impl Into<String>) -> Error {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::new(codes::CONFIG_INVALID, message).at(format!("{}, line {line}", self.path.display()))
    }
}

#[cfg(test)]
mod tests;
