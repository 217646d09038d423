//! `serve --print-config`: each value and where it came from, as a file that can be kept.

use super::Resolved;

/// As TOML with the origins in comments.
pub(crate) fn toml(all: &[Resolved]) -> String {
    let lines: Vec<(String, String)> = all
        .iter()
        .map(|resolved| {
            let line = match &resolved.value {
                Some(value) => format!("{} = {value}", resolved.setting.key),
                None => format!("# {} is not set", resolved.setting.key),
            };
            (line, resolved.origin.to_string())
        })
        .collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
    let lines = lines.iter().map(|(line, origin)| format!("{line:width$}  # {origin}\n"));
    lines.collect()
}

/// As a JSON object: key → value and origin.
pub(crate) fn json(all: &[Resolved]) -> serde_json::Value {
    let entries = all.iter().map(|resolved| {
        let value = resolved.value.as_ref().map(|text| json_of(text));
        let entry = serde_json::json!({ "value": value, "origin": resolved.origin.to_string() });
        (resolved.setting.key.to_owned(), entry)
    });
    serde_json::Value::Object(entries.collect())
}

fn json_of(toml: &str) -> serde_json::Value {
    let parsed: Result<toml::Table, _> = format!("value = {toml}").parse();
    let value = parsed.ok().and_then(|mut table| table.remove("value"));
    value.and_then(|value| serde_json::to_value(value).ok()).unwrap_or(serde_json::Value::Null)
}
