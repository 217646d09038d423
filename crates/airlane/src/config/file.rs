//! `airlane.toml`: found, read and checked for unknown keys.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use airlane_model::{Error, Result, codes};
use toml::de::{DeTable, DeValue};

use super::{ClientSettings, Environment, ServerSettings, Setting, near};

const NAME: &str = "airlane.toml";

/// A configuration file that was read.
#[derive(Clone, Debug)]
pub(crate) struct ConfigFile {
    pub(crate) path: PathBuf,
    pub(crate) entries: BTreeMap<String, Entry>,
}

/// The value of a key as text, as a flag would have it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// Finds and reads the file: the one asked for, else `AIRLANE_CONFIG`, else `airlane.toml` in the working folder, else
/// `$XDG_CONFIG_HOME/airlane/airlane.toml` (or below `~/.config`). The first two must exist.
///
/// # Errors
/// `file_failed`; `config_invalid` with the line.
pub(crate) fn load(asked: Option<&Path>, environment: &Environment) -> Result<Option<ConfigFile>> {
    if let Some(path) = asked.map(Path::to_owned).or_else(|| environment.get("AIRLANE_CONFIG").map(PathBuf::from)) {
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
        return parse(path, &text).map(Some);
    }
    let home = environment
        .get("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| environment.get("HOME").map(|home| PathBuf::from(home).join(".config")));
    let places = [Some(PathBuf::from(NAME)), home.map(|home| home.join("airlane").join(NAME))];
    for path in places.into_iter().flatten() {
        match std::fs::read_to_string(&path) {
            Ok(text) => return parse(path, &text).map(Some),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(failed(&path, error)),
        }
    }
    Ok(None)
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::new(codes::FILE_FAILED, format!("the configuration file cannot be read: {error}"))
        .at(path.display().to_string())
        .source(error)
}

fn parse(path: PathBuf, text: &str) -> Result<ConfigFile> {
    let at = |line: usize| format!("{}, line {line}", path.display());
    let line_of = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let line = line_of(error.span().map_or(0, |span| span.start));
        Error::new(codes::CONFIG_INVALID, format!("the file is no TOML: {}", error.message())).at(at(line))
    })?;
    let mut entries = BTreeMap::new();
    for (key, value) in table.get_ref() {
        let (name, line) = (key.get_ref().as_ref(), line_of(key.span().start));
        if !known().any(|setting| setting.key == name) {
            let near = near(name, known().map(|setting| setting.key));
            let hint = match near.as_slice() {
                [] => format!("valid keys: {}", known().map(|setting| setting.key).collect::<Vec<_>>().join(", ")),
                near => format!("did you mean `{}`?", near.join("` or `")),
            };
            let message = format!("`{}` is no setting", name.escape_debug());
            return Err(Error::new(codes::CONFIG_INVALID, message).at(at(line)).hint(hint));
        }
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Boolean(switch) => switch.to_string(),
            other => {
                let message =
                    format!("`{name}` is of type {}, expected a text, a number or a switch", other.type_str());
                return Err(Error::new(codes::CONFIG_INVALID, message).at(at(line)));
            }
        };
        entries.insert(name.to_owned(), Entry { text, line });
    }
    Ok(ConfigFile { path, entries })
}

fn known() -> impl Iterator<Item = &'static Setting> {
    ServerSettings::TABLE.iter().chain(ClientSettings::TABLE)
}
