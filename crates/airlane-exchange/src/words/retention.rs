//! Rules of retention as JSON objects have them: `{"ttl": "1h", "versions": 3, "pinned": true}`.

use std::fmt;

use airlane_model::{Result, RetentionChange};
use schemars::JsonSchema;
use serde::Deserialize;

/// The rules among the keys of an object.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct RetentionWords {
    ttl: Option<RuleValue>,
    idle: Option<RuleValue>,
    versions: Option<RuleValue>,
    pinned: Option<RuleValue>,
    window: Option<RuleValue>,
    reads: Option<RuleValue>,
}

/// A value, in whichever type the writer of the JSON finds natural.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum RuleValue {
    Text(String),
    Number(u64),
    Switch(bool),
}

impl fmt::Display for RuleValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Switch(switch) => switch.fmt(f),
        }
    }
}

impl RetentionWords {
    /// What changes.
    ///
    /// # Errors
    /// `option_invalid`.
    pub fn change(&self) -> Result<RetentionChange> {
        let rules = [
            ("ttl", &self.ttl),
            ("idle", &self.idle),
            ("versions", &self.versions),
            ("pinned", &self.pinned),
            ("window", &self.window),
            ("reads", &self.reads),
        ];
        let mut change = RetentionChange::default();
        for (rule, value) in rules {
            if let Some(value) = value {
                change = change.join(RetentionChange::of(rule, &value.to_string())?)?;
            }
        }
        Ok(change)
    }
}
