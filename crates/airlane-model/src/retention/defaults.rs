//! Defaults by name: what new tables have that ask for nothing themselves.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use super::{Retention, RetentionChange};
use crate::error::{Error, Result, codes};
use crate::name::{NAMESPACE_DEFAULT, TableName, is_part};

/// Retentions by patterns of names. A pattern is a name, or a beginning of names and `*`. The pattern that fits best decides,
/// alone: a name before a beginning, a longer beginning before a shorter one.
///
/// Written `scratch/* ttl=1h idle=10m; eu/prices versions=3`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionDefaults {
    /// The one that decides first.
    rules: Vec<(Pattern, Retention)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Name(TableName),
    Beginning(String),
}

impl RetentionDefaults {
    /// What a new table of this name has.
    pub fn of(&self, table: &TableName) -> Retention {
        let found = self.rules.iter().find(|(pattern, _)| pattern.fits(table));
        found.map(|(_, retention)| *retention).unwrap_or_default()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self> {
        let Some(stem) = text.strip_suffix('*') else {
            return TableName::parse(text).map(Self::Name);
        };
        let (full, last) = stem.rsplit_once('/').map_or((None, stem), |(full, last)| (Some(full), last));
        let is_valid = full.is_none_or(|full| full.split('/').all(is_part)) && (last.is_empty() || is_part(last));
        if is_valid {
            return Ok(Self::Beginning(stem.to_owned()));
        }
        Err(Error::new(codes::CONFIG_INVALID, format!("`{}` is no pattern of names", text.escape_debug()))
            .hint("write a name such as `eu/prices`, a beginning such as `eu/*`, or `*`"))
    }

    fn fits(&self, table: &TableName) -> bool {
        let name = table.as_str();
        match self {
            Self::Name(own) => own == table,
            Self::Beginning(stem) => {
                // Bare names live in the namespace `default`.
                let bare = stem.strip_prefix(NAMESPACE_DEFAULT).and_then(|rest| rest.strip_prefix('/'));
                name.starts_with(stem.as_str())
                    || (!name.contains('/') && bare.is_some_and(|rest| name.starts_with(rest)))
            }
        }
    }

    /// A key by which the pattern that decides comes first.
    fn rank(&self) -> (bool, Reverse<usize>) {
        match self {
            Self::Name(_) => (false, Reverse(0)),
            Self::Beginning(stem) => (true, Reverse(stem.len())),
        }
    }
}

impl FromStr for RetentionDefaults {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut rules: Vec<(Pattern, Retention)> = Vec::new();
        for rule in text.split(';').map(str::trim).filter(|rule| !rule.is_empty()) {
            let mut words = rule.split_ascii_whitespace();
            let pattern = Pattern::parse(words.next().unwrap_or_default())?;
            let mut change = RetentionChange::default();
            for word in words {
                let (name, value) = word.split_once('=').ok_or_else(|| {
                    Error::new(codes::CONFIG_INVALID, format!("`{}` is no `rule=value`", word.escape_debug()))
                        .hint("write for example `scratch/* ttl=1h idle=10m; eu/prices versions=3`")
                })?;
                change = change.join(RetentionChange::of(name, value)?)?;
            }
            if rules.iter().any(|(other, _)| *other == pattern) {
                return Err(Error::new(codes::CONFIG_INVALID, format!("`{pattern}` has two lists of rules"))
                    .hint("put them into one"));
            }
            rules.push((pattern, change.apply(Retention::default())));
        }
        rules.sort_by_key(|(pattern, _)| pattern.rank());
        Ok(Self { rules })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Beginning(stem) => write!(f, "{stem}*"),
        }
    }
}

/// In the order in which they decide.
impl fmt::Display for RetentionDefaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules =
            self.rules.iter().map(|(pattern, retention)| format!("{pattern} {retention}").trim_end().to_owned());
        f.write_str(&rules.collect::<Vec<_>>().join("; "))
    }
}
