//! Whose quota it is, and what a put is told that is above it.

use std::fmt;

use airlane_model::{ByteSize, Error, Quota, Quotas, Result, TableName, codes};

use super::Amount;

/// What tables are counted together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Namespace,
    Owner,
}

/// Tables that are counted together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account<'a> {
    pub(super) of: Of,
    pub(super) name: &'a str,
    /// Whether who puts may be told the name and the amounts. What others own, and who they are, is none of its business; that one
    /// of them is above the quota it has to know.
    is_told: bool,
}

impl<'a> Account<'a> {
    pub(super) fn namespace(table: &'a TableName) -> Self {
        Self { of: Of::Namespace, name: table.namespace(), is_told: true }
    }

    pub(super) fn owner(name: &'a str, is_told: bool) -> Self {
        Self { of: Of::Owner, name, is_told }
    }

    pub(super) fn quota(&self, quotas: &Quotas) -> Quota {
        match self.of {
            Of::Namespace => quotas.of_namespace(self.name),
            Of::Owner => quotas.of_caller(self.name),
        }
    }
}

impl fmt::Display for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Of::Namespace => write!(f, "namespace `{}`", self.name),
            Of::Owner => write!(f, "caller `{}`", self.name),
        }
    }
}

/// Judges a put into a table, and says why it is refused.
pub(super) struct Teller<'a> {
    pub(super) account: Account<'a>,
    pub(super) table: &'a TableName,
    pub(super) quota: Quota,
}

impl Teller<'_> {
    /// Whether there may be so many tables more.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub(super) fn judge_tables(&self, used: Amount, more: i64) -> Result<()> {
        match self.quota.tables {
            Some(max) if more > 0 && used.tables + more > i64::try_from(max).unwrap_or(i64::MAX) => {
                let message = format!("{} has {} tables, its quota is {max}", self.account, used.tables);
                Err(self.exceeded(message, "tables", "drop tables that are not needed"))
            }
            _ => Ok(()),
        }
    }

    /// Whether there may be so many bytes more.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub(super) fn judge_bytes(&self, used: Amount, more: i128) -> Result<()> {
        match self.quota.bytes {
            Some(max) if more > 0 && used.bytes + more > max.as_u64().into() => {
                Err(self.too_many_bytes(used, &format!("the put adds {more} bytes, and "), max))
            }
            _ => Ok(()),
        }
    }

    /// Whether there may be one byte more.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub(super) fn judge_full(&self, used: Amount) -> Result<()> {
        match self.quota.bytes {
            Some(max) if used.bytes >= max.as_u64().into() => Err(self.too_many_bytes(used, "", max)),
            _ => Ok(()),
        }
    }

    fn too_many_bytes(&self, used: Amount, more: &str, max: ByteSize) -> Error {
        let message = match self.account.is_told {
            true => {
                let (bytes, of) = (used.bytes, max.as_u64());
                format!("{more}{} has {bytes} bytes, its quota is {of} ({max})", self.account)
            }
            // Nothing that adds a table is another's.
            false => {
                format!("{more}the owner of table `{}` has no room for it: its quota of bytes is used up", self.table)
            }
        };
        self.exceeded(message, "bytes", "drop tables or replace them by smaller ones")
    }

    fn exceeded(&self, message: String, key: &str, advice: &str) -> Error {
        let error = Error::new(codes::QUOTA_EXCEEDED, message);
        if !self.account.is_told {
            let hint = "ask the owner to make room, put a table of your own, or replace this one, which makes it yours";
            return error.at(format!("owner of table `{}`", self.table)).hint(hint);
        }
        let (of, section) = match self.account.of {
            Of::Namespace => ("namespace", "[quotas.namespaces]"),
            Of::Owner => ("caller", "[quotas.callers]"),
        };
        error
            .at(self.account.to_string())
            .hint(format!("{advice}, or have `{key}` of the {of} raised in {section} of the server's rights file"))
    }
}
