//! The action that changes how long a table is kept.

use std::collections::BTreeMap;

use airlane_model::retention::RULES;
use airlane_model::{Error, Result, RetentionChange, TableName, codes};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::body;
use airlane_exchange::words::RetentionWords;

const PLACE: &str = "body of action `retention`";

#[derive(Deserialize)]
struct Asked {
    table: String,
    #[serde(flatten)]
    rules: RetentionWords,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

/// The table that a body names, and what is to change.
pub(super) fn asked(body: &Bytes) -> Result<(TableName, RetentionChange)> {
    let asked: Asked = body::json("retention", body, &hint())?;
    if let Some(key) = asked.unknown.keys().next() {
        return Err(invalid(format!("a body has the unknown key `{}`", key.escape_debug())));
    }
    let change = asked.rules.change().map_err(|error| error.at(PLACE))?;
    if change.is_empty() {
        return Err(invalid("a body names no rule to change".into()));
    }
    Ok((TableName::parse(&asked.table).map_err(|error| error.at(PLACE))?, change))
}

fn invalid(message: String) -> Error {
    Error::new(codes::OPTION_INVALID, message).at(PLACE).hint(hint())
}

fn hint() -> String {
    format!("send for example {{\"table\": \"prices\", \"ttl\": \"1h\"}}; the rules are {}", RULES.join(", "))
}

#[cfg(test)]
mod tests {
    use airlane_model::limits;

    use super::*;

    fn ask(text: &str) -> Result<(TableName, RetentionChange)> {
        asked(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_body_names_a_table_and_some_rules() {
        let text = r#"{"table":"eu/prices","ttl":"1h","idle":"none","versions":3,"pinned":false}"#;
        let (table, change) = ask(text).expect("valid");
        let rules: Vec<String> = change.rules().map(|(rule, text)| format!("{rule}={text}")).collect();
        assert_eq!((table.as_str(), rules.join(" ")), ("eu/prices", "ttl=1h idle=none versions=3 pinned=false".into()));
        let long = " ".repeat(limits::COMMAND_BYTES_MAX.as_usize() + 1);
        for (text, code) in [
            ("", codes::OPTION_INVALID),
            ("eu/prices", codes::OPTION_INVALID),
            ("{}", codes::OPTION_INVALID),
            (r#"{"table":"a"}"#, codes::OPTION_INVALID),
            (r#"{"ttl":"1h"}"#, codes::OPTION_INVALID),
            (r#"{"table":"a","tll":"1h"}"#, codes::OPTION_INVALID),
            (r#"{"table":"a","ttl":"1h","ttl":"2h"}"#, codes::OPTION_INVALID),
            (r#"{"table":"a","ttl":"0s"}"#, codes::OPTION_INVALID),
            (r#"{"table":"a","ttl":{}}"#, codes::OPTION_INVALID),
            (r#"{"table":"a","window":"old"}"#, codes::OPTION_INVALID),
            (r#"{"table":"../x","ttl":"1h"}"#, codes::TABLE_NAME_INVALID),
            (&long, codes::LIMIT_EXCEEDED),
        ] {
            let error = ask(text).expect_err(text);
            assert_eq!((error.code(), error.place()), (code, Some(PLACE)), "{text}");
        }
    }
}
