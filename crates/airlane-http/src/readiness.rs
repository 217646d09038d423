//! What `/readyz` answers.
//!
//! ```json
//! {"ready":false,"reasons":["the server is stopping"],
//!  "checks":{"store":{"status":"ok"},"drain":{"status":"failing","message":"the server is stopping"}}}
//! ```

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// Its name, which does not change.
    #[serde(skip)]
    pub name: &'static str,
    /// How it is.
    #[serde(rename = "status")]
    pub health: Health,
    /// What is wrong, as a sentence for an operator. Probes bring no credentials, so it tells nothing of any table.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub message: Cow<'static, str>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Ok,
    /// Somebody should look at it; requests are served.
    Warning,
    /// No requests should come.
    Failing,
}

impl Check {
    /// All is well.
    pub fn ok(name: &'static str) -> Self {
        Self { name, health: Health::Ok, message: Cow::Borrowed("") }
    }

    /// Somebody should look at it.
    pub fn warning(name: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { name, health: Health::Warning, message: message.into() }
    }

    /// No requests should come.
    pub fn failing(name: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { name, health: Health::Failing, message: message.into() }
    }
}

/// The answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    ready: bool,
    reasons: Vec<Cow<'static, str>>,
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "std::collections::BTreeMap<String, Check>")]
    checks: Vec<Check>,
}

impl Report {
    pub(crate) fn of(checks: Vec<Check>) -> Self {
        let failing = checks.iter().filter(|check| check.health == Health::Failing);
        let reasons: Vec<_> = failing.map(|check| check.message.clone()).collect();
        Self { ready: reasons.is_empty(), reasons, checks }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }
}

fn by_name<S: Serializer>(checks: &[Check], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(checks.len()))?;
    for check in checks {
        map.serialize_entry(check.name, check)?;
    }
    map.end()
}
