//! Settings: what they are, where their values come from, and how to show them.
//!
//! ```text
//! flag --port  >  variable AIRLANE_PORT  >  key `port` of airlane.toml  >  default
//! ```
//!
//! [`settings`] is the one list; the flags, the variables, the keys, `serve --print-config` and the reference page are
//! all made from it.

pub(crate) mod file;
pub(crate) mod flags;
pub(crate) mod print;
pub(crate) mod settings;
pub(crate) mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use airlane_model::{Error, Result, codes};

pub(crate) use settings::{ClientSettings, ServerSettings};

/// One setting, as the list declares it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// The key in `airlane.toml`; the flag and the variable are made from it.
    pub(crate) key: &'static str,
    /// What stands for the value in help texts; empty for a switch.
    pub(crate) value_name: &'static str,
    /// The lines of its manual.
    pub(crate) doc: &'static [&'static str],
}

impl Setting {
    /// `data_dir` → `data-dir`.
    pub(crate) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// `data_dir` → `AIRLANE_DATA_DIR`.
    pub(crate) fn variable(&self) -> String {
        format!("AIRLANE_{}", self.key.to_ascii_uppercase())
    }

    /// Whether it is on or off, and its flag takes no value.
    pub(crate) fn is_switch(&self) -> bool {
        self.value_name.is_empty()
    }

    /// Its manual, as paragraphs with an empty line between them.
    pub(crate) fn manual(&self) -> String {
        let paragraphs = self.doc.split(|line| line.trim().is_empty());
        let paragraphs = paragraphs.map(|lines| lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" "));
        paragraphs.collect::<Vec<_>>().join("\n\n")
    }

    /// The first sentence of its manual, for the short help.
    pub(crate) fn summary(&self) -> String {
        let manual = self.manual();
        let paragraph = manual.split("\n\n").next().unwrap_or_default();
        let sentence = paragraph.split_once(". ").map_or(paragraph, |(sentence, _)| sentence);
        sentence.trim_end_matches('.').to_owned()
    }
}

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Variable { name: String },
    Flag { name: String },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Variable { name } => write!(f, "variable {name}"),
            Self::Flag { name } => write!(f, "flag --{name}"),
        }
    }
}

/// A setting with its value as TOML text, and where that comes from.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) setting: &'static Setting,
    /// Absent: not set, and there is no default.
    pub(crate) value: Option<String>,
    pub(crate) origin: Origin,
}

/// The environment variables of the process, handed in so that tests can set them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process. What is not UTF-8 is left out.
    pub(crate) fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable; empty counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// Everything that values come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The flags that were given, by key.
    pub(crate) flags: BTreeMap<String, String>,
    /// The environment.
    pub(crate) environment: Environment,
    /// The configuration file, where there is one.
    pub(crate) file: Option<file::ConfigFile>,
}

impl Sources {
    /// The text of a setting from the first source that has it.
    fn find(&self, setting: &Setting) -> Option<(String, Origin)> {
        if let Some(text) = self.flags.get(setting.key) {
            return Some((text.clone(), Origin::Flag { name: setting.flag() }));
        }
        let name = setting.variable();
        if let Some(text) = self.environment.get(&name) {
            return Some((text.to_owned(), Origin::Variable { name }));
        }
        let file = self.file.as_ref()?;
        let entry = file.entries.get(setting.key)?;
        Some((entry.text.clone(), Origin::File { path: file.path.clone(), line: entry.line }))
    }

    /// The value of a setting and how it is shown.
    fn resolve<T: value::Value>(
        &self,
        setting: &'static Setting,
        default: impl FnOnce(&Environment) -> T,
    ) -> Result<(T, Resolved)> {
        let (value, origin) = match self.find(setting) {
            None => (default(&self.environment), Origin::Default),
            Some((text, origin)) => {
                let value = T::parse(&text).map_err(|reason| {
                    let message = format!("`{}` is no value for `{}`: {reason}", text.escape_debug(), setting.key);
                    Error::new(codes::CONFIG_INVALID, message).at(origin.to_string())
                })?;
                (value, origin)
            }
        };
        let resolved = Resolved { setting, value: value.to_toml(), origin };
        Ok((value, resolved))
    }
}

/// The names that look most like a wrong one, best first.
pub(crate) fn near<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    const SIMILARITY_MIN: f64 = 0.7;
    let similar = |name: &str| strsim::jaro_winkler(wrong, name);
    let mut near: Vec<&str> = names.into_iter().filter(|name| similar(name) >= SIMILARITY_MIN).collect();
    near.sort_by(|a, b| similar(b).total_cmp(&similar(a)));
    near.truncate(3);
    near
}

#[cfg(test)]
mod tests;
