//! The sections of the rights file that say how much there may be: `[quotas.namespaces.NAME]`, `[quotas.callers.NAME]`.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use airlane_model::caller::ANONYMOUS;
use airlane_model::{ByteSize, Quota, Quotas, Result};
use toml::de::DeValue;

use super::{File, Key, Value};

/// Whose line is that of all others.
const OTHERS: &str = "*";
const SECTIONS: &str = "[quotas.namespaces.NAME], [quotas.callers.NAME]";
const KEYS: &str = "bytes, tables, streams, puts_per_second";
const TABLES_MAX: u64 = 1_000_000_000;
const STREAMS_MAX: u32 = 1_000_000;
const PUTS_PER_SECOND_MAX: u32 = 1_000_000;

impl File<'_> {
    pub(super) fn quotas(&self, sections: &[(&Key<'_>, &Value<'_>)], known: &BTreeSet<&str>) -> Result<Quotas> {
        let (mut namespaces, mut callers, mut others) = (Vec::new(), Vec::new(), Quota::default());
        for (key, lines) in sections {
            let is_namespaces = match &**key.get_ref() {
                "namespaces" => true,
                "callers" => false,
                _ => return Err(self.unknown(key, "section of quotas", SECTIONS)),
            };
            for (name, values) in self.table(lines, "a section of quotas")? {
                if is_namespaces {
                    namespaces.push((self.namespaces(name)?, self.quota(values, "quota of a namespace")?));
                    continue;
                }
                let quota = self.quota(values, "quota of a caller")?;
                match &**name.get_ref() {
                    OTHERS => others = quota,
                    known_name if known_name == ANONYMOUS || known.contains(known_name) => {
                        callers.push((known_name.into(), quota));
                    }
                    unknown => {
                        let message = format!("`{}` has a quota, and is nobody who is known", unknown.escape_debug());
                        let hint = "add [user.NAME], [token.NAME], [certificate.NAME] or [unix.NAME]; `\"*\"` means all \
                                    callers without a line of their own, `anonymous` those without credentials";
                        return Err(self.invalid(name.span().start, message).hint(hint));
                    }
                }
            }
        }
        Ok(Quotas::new(namespaces, callers, others))
    }

    fn quota(&self, values: &Value<'_>, what: &str) -> Result<Quota> {
        let mut quota = Quota::default();
        for (key, value) in self.table(values, &format!("a {what}"))? {
            match &**key.get_ref() {
                "bytes" => quota.bytes = Some(self.bytes(value)?),
                "tables" => quota.tables = Some(self.number(value, "tables", 0, TABLES_MAX)?),
                "streams" => quota.requests.streams = Some(self.rate(value, "streams", STREAMS_MAX)?),
                "puts_per_second" => {
                    quota.requests.puts_per_second = Some(self.rate(value, "puts_per_second", PUTS_PER_SECOND_MAX)?);
                }
                _ => return Err(self.unknown(key, what, KEYS)),
            }
        }
        Ok(quota)
    }

    /// Nobody is kept out by a quota: that is what rights are for.
    fn rate(&self, value: &Value<'_>, what: &str, max: u32) -> Result<NonZeroU32> {
        let number = self.number(value, what, 1, max.into())?;
        let rate = u32::try_from(number).ok().and_then(NonZeroU32::new);
        rate.ok_or_else(|| self.expected(value, "a whole number"))
    }

    fn bytes(&self, value: &Value<'_>) -> Result<ByteSize> {
        match value.get_ref() {
            DeValue::String(text) => text.parse().map_err(|_| {
                let hint = "write a whole number and a unit, such as \"512MiB\" or \"2GB\"";
                self.invalid(value.span().start, "`bytes` is no size in bytes").hint(hint)
            }),
            DeValue::Integer(_) => self.number(value, "bytes", 0, i64::MAX.unsigned_abs()).map(ByteSize::bytes),
            _ => Err(self.expected(value, "a size in bytes, such as \"512MiB\"")),
        }
    }

    fn number(&self, value: &Value<'_>, what: &str, min: u64, max: u64) -> Result<u64> {
        let DeValue::Integer(number) = value.get_ref() else {
            return Err(self.expected(value, "a whole number"));
        };
        let number = u64::from_str_radix(number.as_str(), number.radix()).ok();
        number.filter(|number| (min..=max).contains(number)).ok_or_else(|| {
            let message = format!("`{what}` is no number from {min} to {max}");
            self.invalid(value.span().start, message).hint("leave the line out where there is to be no quota")
        })
    }
}

#[cfg(test)]
mod tests;
