//! The sections of the rights file for callers who are known by their connection: `[certificate.NAME]`, `[unix.NAME]`.

use std::collections::HashMap;

use airlane_model::{Caller, Result};
use toml::de::DeValue;

use super::{File, Key, Value};
use crate::shown::Identity;

/// What a certificate can be asked for.
const IDENTITY_BYTES_MAX: usize = 2048;
const CERTIFICATE_KEYS: &str = "uri, dns";
const UNIX_KEYS: &str = "uid, user";

/// Who is known by what a connection shows.
#[derive(Debug, Default)]
pub(super) struct Identities {
    pub(super) certificates: HashMap<Identity, Caller>,
    pub(super) uids: HashMap<u32, Caller>,
}

/// How the names of a certificate fit the rules.
#[derive(Debug)]
pub(crate) enum Match<'a> {
    /// No name of it is known.
    None,
    /// One caller is.
    One(&'a Caller),
    /// Its names are those of several callers.
    Several,
}

impl Identities {
    pub(super) fn of_certificate(&self, names: &[Identity]) -> Match<'_> {
        let mut found = Match::None;
        for caller in names.iter().filter_map(|name| self.certificates.get(name)) {
            match found {
                Match::One(other) if other.name() != caller.name() => return Match::Several,
                _ => found = Match::One(caller),
            }
        }
        found
    }
}

impl File<'_> {
    /// The one identity of a certificate's section.
    pub(super) fn certificate(&self, name: &Key<'_>, value: &Value<'_>) -> Result<(Identity, usize)> {
        let (key, value) = self.only_key(name, value, "a certificate", CERTIFICATE_KEYS)?;
        let text = value.get_ref().as_str().ok_or_else(|| self.expected(value, "a text"))?;
        let offset = value.span().start;
        let fits = match &**key.get_ref() {
            "uri" => text.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty()),
            "dns" => text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
            _ => return Err(self.unknown(key, "key of a certificate", CERTIFICATE_KEYS)),
        };
        let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'*');
        if !fits || !is_plain || text.is_empty() || text.len() > IDENTITY_BYTES_MAX {
            let what = if key.get_ref() == "uri" { "URI" } else { "DNS name" };
            return Err(self.invalid(offset, format!("this is no {what} of a certificate")).hint(
                "write the whole name as it stands in the certificate, such as uri = \"spiffe://example.org/ingest\" or \
                 dns = \"ingest.example.org\"; there are no patterns",
            ));
        }
        let text = text.to_owned();
        Ok((if key.get_ref() == "uri" { Identity::Uri(text) } else { Identity::Dns(text) }, offset))
    }

    /// The one user of the system that a section of the Unix socket names.
    pub(super) fn unix(&self, name: &Key<'_>, value: &Value<'_>) -> Result<(u32, usize)> {
        let (key, value) = self.only_key(name, value, "a caller by Unix socket", UNIX_KEYS)?;
        let offset = value.span().start;
        let uid = match (&**key.get_ref(), value.get_ref()) {
            ("uid", DeValue::Integer(number)) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            ("uid", _) => return Err(self.expected(value, "a whole number")),
            ("user", DeValue::String(name)) => {
                // Looked up when the file is read, so that a request never waits for it.
                let user = nix::unistd::User::from_name(name).map_err(|error| {
                    self.invalid(offset, format!("the users of this machine cannot be looked up: {error}"))
                })?;
                let user = user.ok_or_else(|| {
                    self.invalid(offset, "this machine has no user of this name").hint("`uid` takes the number")
                })?;
                Some(user.uid.as_raw())
            }
            ("user", _) => return Err(self.expected(value, "a text")),
            _ => return Err(self.unknown(key, "key of a caller by Unix socket", UNIX_KEYS)),
        };
        // The last number says "nobody in particular" to the kernel.
        let uid =
            uid.filter(|uid| *uid != u32::MAX).ok_or_else(|| self.invalid(offset, "this is no number of a user"))?;
        Ok((uid, offset))
    }

    fn only_key<'v, 'i>(
        &self,
        name: &Key<'_>,
        value: &'v Value<'i>,
        what: &str,
        keys: &str,
    ) -> Result<(&'v Key<'i>, &'v Value<'i>)> {
        let mut entries = self.table(value, what)?;
        let one = entries.next().ok_or_else(|| {
            self.invalid(name.span().start, format!("{what} has no identity")).hint(format!("give one of: {keys}"))
        })?;
        match entries.next() {
            None => Ok(one),
            Some((other, _)) => Err(self
                .invalid(other.span().start.max(one.0.span().start), format!("{what} has a second identity"))
                .hint("one section has one; give the other a section and a name of its own")),
        }
    }
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests;
