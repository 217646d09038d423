//! The words of data contracts: how strictly they are kept to, what a new version may change, what is bound to what.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::{Error, Result, codes, shorten};

/// What happens to data that breaks a contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The first bad row ends the stream. Nothing is changed.
    #[default]
    Reject,
    /// What can be cast without loss is; the first bad row ends the stream.
    Coerce,
    /// Good rows pass, bad ones are set aside. Nothing is cast.
    Quarantine,
    /// What can be cast without loss is; rows that are then bad are set aside.
    CoerceQuarantine,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Reject, Self::Coerce, Self::Quarantine, Self::CoerceQuarantine];

    /// Its name: `reject`, `coerce`, `quarantine`, `coerce_quarantine`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Coerce => "coerce",
            Self::Quarantine => "quarantine",
            Self::CoerceQuarantine => "coerce_quarantine",
        }
    }

    /// The names.
    pub fn names() -> [&'static str; 4] {
        Self::ALL.map(Self::name)
    }

    /// Whether columns are cast.
    pub fn casts(self) -> bool {
        matches!(self, Self::Coerce | Self::CoerceQuarantine)
    }

    /// Whether bad rows are set aside instead of ending the stream.
    pub fn sets_aside(self) -> bool {
        matches!(self, Self::Quarantine | Self::CoerceQuarantine)
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|one| one.name() == text).ok_or_else(|| no_word(text, "mode", &Self::names()))
    }
}

/// What a new version of a contract must leave whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compatibility {
    /// Writers by the old version may go on.
    #[default]
    Backward,
    /// Readers by the old version may go on.
    Forward,
    /// Both may go on.
    Full,
    /// Anything may change.
    None,
}

impl Compatibility {
    const ALL: [Self; 4] = [Self::Backward, Self::Forward, Self::Full, Self::None];

    /// Its name: `backward`, `forward`, `full`, `none`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Backward => "backward",
            Self::Forward => "forward",
            Self::Full => "full",
            Self::None => "none",
        }
    }

    /// The names.
    pub fn names() -> [&'static str; 4] {
        Self::ALL.map(Self::name)
    }
}

impl FromStr for Compatibility {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|one| one.name() == text);
        found.ok_or_else(|| no_word(text, "compatibility", &Self::names()))
    }
}

fn no_word(text: &str, what: &str, names: &[&str]) -> Error {
    Error::new(codes::OPTION_INVALID, format!("`{}` is no {what} of a contract", shorten(text)))
        .hint(format!("choose one of {}", names.join(", ")))
}

/// One difference between two versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The column; `None` for what is about the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What changed: `column_removed`, `column_added`, `column_moved`, `type`, `required`, `range`, `multipleOf`,
    /// `validValues`, `missingValues`, `pattern`, `length`, `unit`, `format`, `key`, `rowCount`, `freshness`,
    /// `additionalColumns`, a metric, or `description`.
    pub what: String,
    /// How it was; `None` where there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How it is; `None` where there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether writers by the old version are refused.
    pub breaks_backward: bool,
    /// Whether readers by the old version find what they do not expect.
    pub breaks_forward: bool,
}

impl Change {
    /// Whether a compatibility forbids it.
    pub fn breaks(&self, compatibility: Compatibility) -> bool {
        match compatibility {
            Compatibility::Backward => self.breaks_backward,
            Compatibility::Forward => self.breaks_forward,
            Compatibility::Full => self.breaks_backward || self.breaks_forward,
            Compatibility::None => false,
        }
    }

    /// What to do about it where it breaks something.
    pub fn hint(&self) -> &'static str {
        match (self.what.as_str(), self.breaks_backward, self.breaks_forward) {
            (_, false, false) => "",
            ("column_removed", _, _) => "keep the column, optional if it is no longer filled",
            ("column_added", _, _) => "make the new column optional",
            ("type", _, _) => "add a column of the new type beside the old one",
            ("unit", _, _) => "add a column with the new unit beside the old one: the same numbers mean something else",
            (_, true, true) => "keep the rule as it was, or give the contract a new name",
            (_, true, false) => {
                "tighten only when all writers keep the new rule: then register with `forward` or `none`"
            }
            (_, _, true) => "loosen only when all readers bear it: then register with `backward` or `none`",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(column) = &self.column {
            write!(f, "column \"{}\": ", shorten(column))?;
        }
        f.write_str(&self.what)?;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, " from {from} to {to}"),
            (Some(from), None) => write!(f, " no longer {from}"),
            (None, Some(to)) => write!(f, " now {to}"),
            (None, None) => Ok(()),
        }
    }
}

/// What the tables of a pattern keep to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The contract.
    pub contract: String,
    /// What happens to rows that break it.
    pub mode: Mode,
}

/// A contract, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractInfo {
    /// Its name.
    pub contract: String,
    /// Its newest version; 0 for one that comes with Airlane and was not registered.
    pub version: u64,
    /// When it was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Timestamp>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What the names are that it is bound to, and how.
    pub bound_to: BTreeMap<String, Mode>,
}

/// A document in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractDocument {
    /// The contract, in this version.
    #[serde(flatten)]
    pub info: ContractInfo,
    /// The YAML, as it was registered.
    pub document: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_named() {
        for mode in Mode::ALL {
            assert_eq!(mode.name().parse::<Mode>().expect("a mode"), mode);
            assert_eq!(serde_json::to_value(mode).expect("JSON"), mode.name());
        }
        for compatibility in Compatibility::ALL {
            assert_eq!(compatibility.name().parse::<Compatibility>().expect("one"), compatibility);
            assert_eq!(serde_json::to_value(compatibility).expect("JSON"), compatibility.name());
        }
        let error = "refuse".parse::<Mode>().expect_err("no mode");
        assert_eq!(error.code(), codes::OPTION_INVALID);
        assert!(error.hint_text().is_some_and(|hint| hint.contains("coerce_quarantine")), "{error}");
    }
}
