//! Retention: how long a table is kept, and how many of its versions.
//!
//! ```text
//! Retention          what a table has:      ttl 1h, versions 3
//! RetentionChange    what is asked for:     ttl 2h, idle none; what it does not name stays
//! RetentionDefaults  what new tables have that ask for nothing, by their names:  scratch/* ttl=1h; eu/* versions=10
//! ```

mod defaults;

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, codes};
use crate::span::TimeSpan;

pub use defaults::RetentionDefaults;

/// How long a table is kept. Without a rule: until it is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Retention {
    /// The table goes this long after its last commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TimeSpan>,
    /// The table goes when it was neither read nor put for this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<TimeSpan>,
    /// So many of its newest versions can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<NonZeroU64>,
    /// Rows that were put longer ago than this go, by whole segments. The table stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<TimeSpan>,
    /// The table goes when it was read so often since its last commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<NonZeroU64>,
    /// Neither the table nor its rows go by themselves, whatever `ttl`, `idle`, `window` and `reads` say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}

impl Retention {
    /// Whether it has no rule.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// After how many reads the table goes, if reads are counted at all.
    pub fn counted_reads(&self) -> Option<NonZeroU64> {
        self.reads.filter(|_| !self.pinned)
    }

    /// How old rows become, if any go at all.
    pub fn rows_window(&self) -> Option<TimeSpan> {
        self.window.filter(|_| !self.pinned)
    }
}

/// `ttl=1h versions=3`.
impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = [
            self.ttl.map(|ttl| format!("ttl={ttl}")),
            self.idle.map(|idle| format!("idle={idle}")),
            self.versions.map(|versions| format!("versions={versions}")),
            self.window.map(|window| format!("window={window}")),
            self.reads.map(|reads| format!("reads={reads}")),
            self.pinned.then(|| "pinned=true".to_owned()),
        ];
        f.write_str(&texts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

/// A change of one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule<T> {
    /// The rule stays as it is.
    #[default]
    Keep,
    /// There is no such rule any more; written `none`.
    Clear,
    /// The rule is this.
    Set(T),
}

impl<T: Copy> Rule<T> {
    fn apply(self, to: Option<T>) -> Option<T> {
        match self {
            Self::Keep => to,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T: fmt::Display> Rule<T> {
    /// Its text; absent when it changes nothing.
    fn text(&self) -> Option<String> {
        match self {
            Self::Keep => None,
            Self::Clear => Some(NONE.to_owned()),
            Self::Set(value) => Some(value.to_string()),
        }
    }
}

/// The word that takes a rule off.
const NONE: &str = "none";

/// The rules that can be changed.
pub const RULES: [&str; 6] = ["ttl", "idle", "versions", "window", "reads", "pinned"];

/// Whether a word names a rule.
pub fn is_rule(name: &str) -> bool {
    RULES.contains(&name)
}

/// What a put or an action wants of the retention of a table. Rules that are not named stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionChange {
    /// See [`Retention::ttl`].
    pub ttl: Rule<TimeSpan>,
    /// See [`Retention::idle`].
    pub idle: Rule<TimeSpan>,
    /// See [`Retention::versions`].
    pub versions: Rule<NonZeroU64>,
    /// See [`Retention::window`].
    pub window: Rule<TimeSpan>,
    /// See [`Retention::reads`].
    pub reads: Rule<NonZeroU64>,
    /// See [`Retention::pinned`].
    pub pinned: Option<bool>,
}

impl RetentionChange {
    /// The change of one rule, by its name and a text: a time such as `1h` for `ttl`, `idle` and `window`, a number
    /// for `versions` and `reads`, `true` or `false` for `pinned`; `none` takes the rule off.
    ///
    /// # Errors
    /// `option_invalid`.
    pub fn of(rule: &str, text: &str) -> Result<Self> {
        let mut change = Self::default();
        match rule {
            "ttl" => change.ttl = span(rule, text)?,
            "idle" => change.idle = span(rule, text)?,
            "versions" => change.versions = parse(text, |text| text.parse().map_err(|_| no_number(rule, text)))?,
            "window" => change.window = span(rule, text)?,
            "reads" => change.reads = parse(text, |text| text.parse().map_err(|_| no_number(rule, text)))?,
            "pinned" => change.pinned = Some(switch(text)?),
            unknown => {
                let message = format!("there is no retention rule `{}`", unknown.escape_debug());
                return Err(Error::new(codes::OPTION_INVALID, message).hint(format!("there are {}", RULES.join(", "))));
            }
        }
        Ok(change)
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What a retention becomes.
    #[must_use]
    pub fn apply(self, to: Retention) -> Retention {
        Retention {
            ttl: self.ttl.apply(to.ttl),
            idle: self.idle.apply(to.idle),
            versions: self.versions.apply(to.versions),
            window: self.window.apply(to.window),
            reads: self.reads.apply(to.reads),
            pinned: self.pinned.unwrap_or(to.pinned),
        }
    }

    /// Two changes as one.
    ///
    /// # Errors
    /// `option_invalid` where they contradict each other.
    pub fn join(self, other: Self) -> Result<Self> {
        Ok(Self {
            ttl: joined("ttl", self.ttl, other.ttl)?,
            idle: joined("idle", self.idle, other.idle)?,
            versions: joined("versions", self.versions, other.versions)?,
            window: joined("window", self.window, other.window)?,
            reads: joined("reads", self.reads, other.reads)?,
            pinned: match (self.pinned, other.pinned) {
                (Some(one), Some(two)) if one != two => return Err(contradiction("pinned", &one, &two)),
                (one, two) => one.or(two),
            },
        })
    }

    /// The rules that change, as [`of`](Self::of) takes them.
    pub fn rules(&self) -> impl Iterator<Item = (&'static str, String)> {
        let pinned = self.pinned.map(|pinned| pinned.to_string());
        let texts =
            [self.ttl.text(), self.idle.text(), self.versions.text(), self.window.text(), self.reads.text(), pinned];
        RULES.into_iter().zip(texts).filter_map(|(rule, text)| Some((rule, text?)))
    }
}

fn parse<T>(text: &str, value: impl FnOnce(&str) -> Result<T>) -> Result<Rule<T>> {
    if text == NONE { Ok(Rule::Clear) } else { value(text).map(Rule::Set) }
}

fn span(rule: &str, text: &str) -> Result<Rule<TimeSpan>> {
    let parsed = parse(text, TimeSpan::from_str)?;
    if parsed == Rule::Set(TimeSpan::default()) {
        let message = format!("a table cannot have a {rule} of no time");
        return Err(Error::new(codes::OPTION_INVALID, message).hint(format!("`{NONE}` takes the rule off")));
    }
    Ok(parsed)
}

fn no_number(rule: &str, text: &str) -> Error {
    Error::new(codes::OPTION_INVALID, format!("`{}` is no number of {rule}", text.escape_debug()))
        .hint(format!("write a whole number from 1 on, or `{NONE}`"))
}

fn switch(text: &str) -> Result<bool> {
    match text {
        "true" => Ok(true),
        "false" | NONE => Ok(false),
        _ => Err(Error::new(codes::OPTION_INVALID, format!("`{}` is neither true nor false", text.escape_debug()))
            .hint("`pinned` is true or false")),
    }
}

fn joined<T: Copy + PartialEq + fmt::Display>(rule: &str, one: Rule<T>, two: Rule<T>) -> Result<Rule<T>> {
    match (one, two) {
        (Rule::Keep, rule) | (rule, Rule::Keep) => Ok(rule),
        (one, two) if one == two => Ok(one),
        (one, two) => Err(contradiction(rule, &one.text().unwrap_or_default(), &two.text().unwrap_or_default())),
    }
}

fn contradiction(rule: &str, one: &dyn fmt::Display, two: &dyn fmt::Display) -> Error {
    Error::new(codes::OPTION_INVALID, format!("the {rule} is given as `{one}` and as `{two}`"))
        .hint("say it once: in a request header or in the descriptor's command")
}

#[cfg(test)]
mod tests;
