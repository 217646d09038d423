//! Flight descriptors: which table is meant, and for a put what to do with it.
//!
//! ```text
//! path      ["eu", "prices"] or ["eu/prices"]
//! command   eu/prices           for a read any ticket: eu/prices@7?rows=0-1000, a signed one, or SELECT …
//! command   {"path": "eu/prices", "mode": "append", "durability": "ephemeral", "ttl": "1h"}
//! ```

use std::collections::BTreeMap;

use airlane_exchange::words::{PutOptions, ReceiptTicket, RetentionWords};
use airlane_model::retention::RULES;
use airlane_model::{Error, PlainTicket, Result, TableName, Ticket, codes, limits};
use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use serde::Deserialize;

/// The table of a put and the options in its descriptor.
///
/// # Errors
/// `descriptor_invalid`, `table_name_invalid`, `option_invalid`, `limit_exceeded`, `not_implemented`.
pub(crate) fn for_put(descriptor: &FlightDescriptor) -> Result<(TableName, PutOptions)> {
    let (ticket, options) = parse(descriptor)?;
    match ticket {
        Ticket::Plain(plain) if plain == PlainTicket::current(plain.table.clone()) => Ok((plain.table, options)),
        Ticket::Plain(plain) => {
            let message = format!("`{plain}` names a part of a table, and a put is of the whole");
            Err(invalid(message).hint(format!("put it as `{}`", plain.table)))
        }
        Ticket::Signed(_) | Ticket::Query(_) => {
            Err(invalid("a signed ticket, and one of a query, is for reading").hint("put a table by its name"))
        }
    }
}

/// What a descriptor asks to read.
///
/// # Errors
/// As [`for_put`], and `ticket_invalid`.
pub(crate) fn for_read(descriptor: &FlightDescriptor) -> Result<Ticket> {
    let (ticket, options) = parse(descriptor)?;
    if options != PutOptions::default() {
        return Err(Error::new(
            codes::OPTION_INVALID,
            "`mode`, `durability`, `idempotency_key`, `ticket` and the rules of retention are options of a put",
        )
        .hint("leave them out to read"));
    }
    Ok(ticket)
}

fn parse(descriptor: &FlightDescriptor) -> Result<(Ticket, PutOptions)> {
    match descriptor.r#type() {
        DescriptorType::Path => Ok((Ticket::current(parse_path(&descriptor.path)?), PutOptions::default())),
        DescriptorType::Cmd => parse_command(&descriptor.cmd),
        DescriptorType::Unknown => {
            let message = format!("a descriptor has type {}, neither a path nor a command", descriptor.r#type);
            Err(invalid(message).hint(HINT))
        }
    }
}

const HINT: &str = "use a path such as `prices`, or a command such as {\"path\":\"prices\",\"mode\":\"append\"}";

fn parse_path(parts: &[String]) -> Result<TableName> {
    if parts.is_empty() {
        return Err(invalid("a descriptor's path is empty").hint(HINT));
    }
    TableName::parse(&parts.join("/"))
}

fn parse_command(command: &[u8]) -> Result<(Ticket, PutOptions)> {
    if command.len() > limits::COMMAND_BYTES_MAX.as_usize() {
        let max = limits::COMMAND_BYTES_MAX;
        let message =
            format!("a descriptor's command has {} bytes, the most is {} ({max})", command.len(), max.as_u64());
        return Err(Error::new(codes::LIMIT_EXCEEDED, message).hint(HINT));
    }
    let text = std::str::from_utf8(command).map_err(|error| {
        let message = format!("a descriptor's command is not UTF-8 at byte {}", error.valid_up_to());
        invalid(message).hint(HINT)
    })?;
    if text.trim_start().starts_with('{') {
        return parse_object(text);
    }
    Ok((text.parse()?, PutOptions::default()))
}

#[derive(Deserialize)]
struct Object {
    path: Option<String>,
    mode: Option<String>,
    durability: Option<String>,
    idempotency_key: Option<String>,
    ticket: Option<ReceiptTicket>,
    #[serde(flatten)]
    retention: RetentionWords,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde::de::IgnoredAny>,
}

fn parse_object(text: &str) -> Result<(Ticket, PutOptions)> {
    let object: Object = serde_json::from_str(text)
        .map_err(|error| invalid(format!("a descriptor's command is no JSON object of options: {error}")).hint(HINT))?;
    if let Some(key) = object.unknown.keys().next() {
        let message = format!("a descriptor's command has the unknown key `{}`", key.escape_debug());
        return Err(Error::new(codes::OPTION_INVALID, message)
            .hint(format!("valid keys: path, mode, durability, idempotency_key, ticket, {}", RULES.join(", "))));
    }
    let path = object.path.ok_or_else(|| invalid("a descriptor's command has no `path`").hint(HINT))?;
    let options = PutOptions {
        mode: object.mode.map(|text| text.parse()).transpose()?,
        durability: object.durability.map(|text| text.parse()).transpose()?,
        retention: object.retention.change()?,
        key: object.idempotency_key.map(|text| text.parse()).transpose()?,
        ticket: object.ticket,
    };
    Ok((Ticket::current(TableName::parse(&path)?), options))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(codes::DESCRIPTOR_INVALID, message)
}

#[cfg(test)]
mod tests {
    use airlane_model::{Durability, PutMode, Retention};

    use super::*;

    fn path(parts: &[&str]) -> FlightDescriptor {
        FlightDescriptor::new_path(parts.iter().map(|part| (*part).to_owned()).collect())
    }

    fn command(text: &str) -> FlightDescriptor {
        FlightDescriptor::new_cmd(text.as_bytes().to_vec())
    }

    #[test]
    fn paths_and_commands_name_tables() {
        for (descriptor, name) in [
            (path(&["prices"]), "prices"),
            (path(&["eu", "prices"]), "eu/prices"),
            (path(&["eu/prices"]), "eu/prices"),
            (command("eu/prices"), "eu/prices"),
            (command(" {\"path\":\"eu/prices\"}"), "eu/prices"),
        ] {
            let (table, options) = for_put(&descriptor).expect(name);
            assert_eq!((table.as_str(), options), (name, PutOptions::default()));
            assert_eq!(for_read(&descriptor).expect(name).to_string(), name);
        }
        let all = r#"{"path":"p","mode":"append","durability":"ephemeral","ttl":"1h","versions":3,"pinned":true}"#;
        let (table, options) = for_put(&command(all)).expect("valid");
        assert_eq!(table.as_str(), "p");
        assert_eq!((options.mode, options.durability), (Some(PutMode::Append), Some(Durability::Ephemeral)));
        assert_eq!(options.retention.apply(Retention::default()).to_string(), "ttl=1h versions=3 pinned=true");
        let (_, options) = for_put(&command(r#"{"path":"p","idempotency_key":"a run 7"}"#)).expect("valid");
        assert_eq!(options.key.expect("a key").as_str(), "a run 7");
        let (_, options) = for_put(&command(r#"{"path":"p","ttl":"none","versions":"4"}"#)).expect("valid");
        assert_eq!(
            options.retention.rules().map(|(rule, text)| format!("{rule}={text}")).collect::<Vec<_>>(),
            ["ttl=none", "versions=4"]
        );
    }

    #[test]
    fn a_read_may_name_a_version_and_a_put_may_not() {
        let descriptor = command("prices@7?rows=0-10");
        assert_eq!(for_read(&descriptor).expect("a ticket").to_string(), "prices@7?rows=0-10");
        assert_eq!(for_put(&descriptor).expect_err("a part").code(), codes::DESCRIPTOR_INVALID);
        let signed = command("~1f0c22aa.e30.AAAA");
        assert_eq!(for_read(&signed).expect("a ticket").to_string(), "~1f0c22aa.e30.AAAA");
        assert_eq!(for_put(&signed).expect_err("for reading").code(), codes::DESCRIPTOR_INVALID);
        let with_mode = command(r#"{"path":"p","mode":"append"}"#);
        assert_eq!(for_read(&with_mode).expect_err("an option").code(), codes::OPTION_INVALID);
        let with_key = command(r#"{"path":"p","idempotency_key":"k"}"#);
        assert_eq!(for_read(&with_key).expect_err("an option").code(), codes::OPTION_INVALID);
        let with_ttl = command(r#"{"path":"p","ttl":"1h"}"#);
        assert_eq!(for_read(&with_ttl).expect_err("an option").code(), codes::OPTION_INVALID);
    }

    #[test]
    fn s7_g12_refuses_what_names_no_table() {
        let long = "x".repeat(limits::COMMAND_BYTES_MAX.as_usize() + 1);
        let many = vec!["a"; 9];
        for (descriptor, code) in [
            (path(&[]), codes::DESCRIPTOR_INVALID),
            (path(&[""]), codes::TABLE_NAME_INVALID),
            (path(&["..", "x"]), codes::TABLE_NAME_INVALID),
            (path(&["../x"]), codes::TABLE_NAME_INVALID),
            (path(&many), codes::TABLE_NAME_INVALID),
            (path(&["x".repeat(256).as_str()]), codes::TABLE_NAME_INVALID),
            (path(&["prices@7"]), codes::TABLE_NAME_INVALID),
            (command(""), codes::TABLE_NAME_INVALID),
            (command("../x"), codes::TABLE_NAME_INVALID),
            (command("[]"), codes::TABLE_NAME_INVALID),
            (command("{}"), codes::DESCRIPTOR_INVALID),
            (command("{\"path\":7}"), codes::DESCRIPTOR_INVALID),
            (command("{\"path\":\"p\",\"path\":\"q\"}"), codes::DESCRIPTOR_INVALID),
            (command("{\"path\":\"p\"} x"), codes::DESCRIPTOR_INVALID),
            (command("{\"path\":\"../x\"}"), codes::TABLE_NAME_INVALID),
            (command("{\"path\":\"p\",\"mod\":\"append\"}"), codes::OPTION_INVALID),
            (command("{\"path\":\"p\",\"mode\":\"upsert\"}"), codes::OPTION_INVALID),
            (command("{\"path\":\"p\",\"ttl\":\"soon\"}"), codes::OPTION_INVALID),
            (command("{\"path\":\"p\",\"ttl\":\"0s\"}"), codes::OPTION_INVALID),
            (command("{\"path\":\"p\",\"ttl\":3600}"), codes::OPTION_INVALID),
            (command("{\"path\":\"p\",\"versions\":0}"), codes::OPTION_INVALID),
            (command("{\"path\":\"p\",\"versions\":-1}"), codes::DESCRIPTOR_INVALID),
            (command("{\"path\":\"p\",\"ttl\":[\"1h\"]}"), codes::DESCRIPTOR_INVALID),
            (command("{\"path\":\"p\",\"ttl\":\"1h\",\"ttl\":\"2h\"}"), codes::DESCRIPTOR_INVALID),
            (command("{\"path\":\"p\",\"idempotency_key\":\"\"}"), codes::OPTION_INVALID),
            (command("{\"path\":\"p\",\"idempotency_key\":\"a\\nb\"}"), codes::OPTION_INVALID),
            (command("{\"path\":\"p\",\"idempotency_key\":\"\\u00e9\"}"), codes::OPTION_INVALID),
            (
                command(&format!("{{\"path\":\"p\",\"idempotency_key\":\"{}\"}}", "k".repeat(10_000))),
                codes::OPTION_INVALID,
            ),
            (command("{\"path\":\"p\",\"idempotency_key\":7}"), codes::DESCRIPTOR_INVALID),
            (command("{\"path\":\"p\",\"window\":\"old\"}"), codes::OPTION_INVALID),
            (command("{\"path\":\"p\",\"reads\":0}"), codes::OPTION_INVALID),
            (command("plan:forecast"), codes::NOT_IMPLEMENTED),
            (command(&long), codes::LIMIT_EXCEEDED),
            (FlightDescriptor { cmd: vec![0xFF].into(), ..command("") }, codes::DESCRIPTOR_INVALID),
            (FlightDescriptor::default(), codes::DESCRIPTOR_INVALID),
            (FlightDescriptor { r#type: 9, ..path(&["p"]) }, codes::DESCRIPTOR_INVALID),
        ] {
            assert_eq!(for_put(&descriptor).expect_err("no table").code(), code, "{descriptor}");
            assert_eq!(for_read(&descriptor).expect_err("no table").code(), code, "{descriptor}");
        }
        let error = for_put(&command("{\"path\":\"p\",\"mod\":\"append\"}")).expect_err("an unknown key");
        assert!(error.to_string().contains("path, mode, durability"), "{error}");
    }

    #[test]
    fn deep_json_is_an_error_and_no_stack_overflow() {
        let deep = format!("{{\"path\":{}", "[".repeat(60_000));
        assert_eq!(for_put(&command(&deep)).expect_err("too deep").code(), codes::DESCRIPTOR_INVALID);
        let deep = format!("{{\"x\":{}", "[".repeat(60_000));
        assert_eq!(for_put(&command(&deep)).expect_err("too deep").code(), codes::DESCRIPTOR_INVALID);
    }
}
