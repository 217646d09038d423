//! The actions: what Flight has no RPC for.

use airlane_exchange::Exchange;
use airlane_exchange::words::{Contracts, DescribedTable, Figures, StatementRequest};
use airlane_model::{Caller, Error, PlainTicket, Result, Ticket, codes, limits};
use arrow_flight::{Action, ActionType};
use serde::{Deserialize, Serialize};

use airlane_exchange::blocking;

use crate::sql::{self, Prepared};

use super::{body, contract, endpoint, retention, session, status, ticket};

const ACTIONS: [(&str, &str); 24] = [
    (
        "describe",
        "Describes a table. Body: its name or ticket, or {\"table\": \"name\"}. \
         Result: JSON with version, rows, bytes, segments, durability, retention and fields.",
    ),
    (
        "retention",
        "Changes how long a table is kept. Body: {\"table\": \"name\"} and some of ttl, idle, versions, reads and pinned, such as \
         \"ttl\": \"1h\"; \"none\" takes a rule off. Result: JSON with the table.",
    ),
    (
        "drop",
        "Drops a table everywhere; running readers finish. Body: its name, or {\"table\": \"name\"}. \
         Result: JSON with the table as it was.",
    ),
    (
        "ticket",
        "Signs a ticket: whoever holds it may read what it says. Body: {\"ticket\": \"name or ticket\", \"columns\": [\"a\"], \
         \"rows\": \"0-1000\", \"ttl\": \"10m\", \"caller\": \"who alone may use it\", \"reads\": 1, \
         \"at_most_once\": true}, all but the ticket optional. Result: JSON with the ticket and what it says.",
    ),
    (
        "confirm",
        "Confirms a counted read that was begun with airlane-confirm: explicit, so that it is used. Body: the ticket that the \
         schema of the read has in its app_metadata, or one of its FlightInfo. Result: JSON with the table.",
    ),
    (
        "rotate_ticket_keys",
        "Has tickets signed by a new key from now on, for callers with the right admin for all namespaces. Body: {\"revoke\": true}, which \
         makes all tickets void that were signed before, or none. Result: JSON with the key, and how many there are and were \
         forgotten.",
    ),
    (
        "execute",
        "Does what a statement in SQL says that changes tables: CREATE TABLE AS, INSERT INTO or DROP TABLE. Body: \
         {\"sql\": \"INSERT INTO …\"}, and \"parameters\": [1, \"eu\"] where it has some. Result: JSON with the rows, the receipt \
         and the tables that were dropped.",
    ),
    (
        "status",
        "Tells how the server does, to callers with the right admin for all namespaces. No body. Result: JSON with requests, rows, \
         bytes and memory, and the largest and most read of the tables that the caller may read.",
    ),
    (
        "contract_add",
        "Registers a data contract or a new version of one, for callers with the right admin for all namespaces. Body: {\"contract\": \
         \"name\", \"document\": \"YAML\", \"compatibility\": \"backward\"}. Result: JSON with the contract and its version.",
    ),
    (
        "contract_list",
        "Lists the data contracts, those that come with Airlane among them. No body. Result: JSON with contracts and what each is \
         bound to.",
    ),
    (
        "contract_show",
        "Answers the document of a data contract as it was registered. Body: {\"contract\": \"name\", \"version\": 2}, the newest \
         without a version. Result: JSON with the document.",
    ),
    (
        "contract_diff",
        "Compares two versions of a data contract, or one and a document. Body: {\"contract\": \"name\", \"from\": 1, \"to\": 2}, or \
         {\"contract\": \"name\", \"document\": \"YAML\"}. Result: JSON with the changes and what each breaks.",
    ),
    (
        "contract_bind",
        "Binds a data contract to tables, for callers with the right admin for all namespaces. Body: {\"tables\": \"eu/*\", \
         \"contract\": \"name\", \"mode\": \"reject\"}. Result: JSON with the binding.",
    ),
    (
        "contract_unbind",
        "Takes a data contract off tables, for callers with the right admin for all namespaces. Body: {\"tables\": \"eu/*\"}. Result: \
         JSON with the binding that was there.",
    ),
    (
        "contract_bindings",
        "Tells which data contracts are bound to which tables. No body. Result: JSON with the bindings.",
    ),
    (
        "CancelFlightInfo",
        "Of the protocol. Body: CancelFlightInfoRequest. Result: CancelFlightInfoResult: NOT_CANCELLABLE, since nothing \
         runs before a read, and a read ends with its call.",
    ),
    (
        "RenewFlightEndpoint",
        "Of the protocol. Body: RenewFlightEndpointRequest. Result: the FlightEndpoint; a signed ticket that \
         expires gets its time anew, where the caller may read the table.",
    ),
    (
        "SetSessionOptions",
        "Of the protocol. Body: SetSessionOptionsRequest. Result: SetSessionOptionsResult: INVALID_NAME for each \
         option, since there are no sessions.",
    ),
    (
        "GetSessionOptions",
        "Of the protocol. Body: GetSessionOptionsRequest. Result: GetSessionOptionsResult without an option.",
    ),
    (
        "CloseSession",
        "Of the protocol. Body: CloseSessionRequest. Result: CloseSessionResult: CLOSED, since nothing is kept.",
    ),
    (
        "CreatePreparedStatement",
        "Of Flight SQL. Body: ActionCreatePreparedStatementRequest. Result: ActionCreatePreparedStatementResult with the handle, \
         which is the caller's alone and is forgotten after an hour without use.",
    ),
    ("ClosePreparedStatement", "Of Flight SQL. Body: ActionClosePreparedStatementRequest. No result."),
    ("BeginTransaction", "Of Flight SQL. Refused as not implemented: each statement is kept whole or not at all."),
    ("EndTransaction", "Of Flight SQL. Refused as not implemented, as BeginTransaction."),
];

/// The actions there are.
pub(super) fn list() -> impl Iterator<Item = ActionType> + Send {
    ACTIONS
        .into_iter()
        .map(|(name, description)| ActionType { r#type: name.to_owned(), description: description.to_owned() })
}

/// Runs an action; answers the body of its result, where it has one.
pub(super) async fn run(
    exchange: &Exchange,
    figures: &dyn Figures,
    prepared: &Prepared,
    caller: &Caller,
    action: &Action,
) -> Result<Option<Vec<u8>>> {
    let body = match action.r#type.as_str() {
        "describe" => json(&DescribedTable::new(&exchange.describe(caller, &target(action)?)?)),
        "drop" => {
            let ticket = target(action)?;
            if ticket != PlainTicket::current(ticket.table.clone()) {
                let message = format!("`{ticket}` names a part of a table, and a drop is of the whole");
                return Err(Error::new(codes::OPTION_INVALID, message).hint(format!("drop `{}`", ticket.table)));
            }
            json(&exchange.drop_table(caller, &ticket.table).await?)
        }
        "retention" => {
            let (table, change) = retention::asked(&action.body)?;
            json(&exchange.set_retention(caller, &table, change).await?)
        }
        "ticket" => json(&ticket::sign(exchange, caller, &action.body)?),
        "confirm" => confirm(exchange, caller, action).await,
        "rotate_ticket_keys" => {
            let (exchange, caller, body) = (exchange.clone(), caller.clone(), action.body.clone());
            blocking_json(move || ticket::rotate(&exchange, &caller, &body)).await
        }
        "contract_add" => contract::add(exchange, caller, &action.body).await,
        "contract_list" => {
            body::check_empty("contract_list", &action.body)?;
            json(&Contracts::of(exchange))
        }
        "contract_show" => json(&contract::show(exchange, &action.body)?),
        "contract_diff" => contract::diff(exchange, &action.body).await,
        "contract_bind" => contract::bind(exchange, caller, &action.body).await,
        "contract_unbind" => contract::unbind(exchange, caller, &action.body).await,
        "contract_bindings" => contract::bindings(exchange, &action.body),
        "execute" => {
            let request: StatementRequest = body::json("execute", &action.body, StatementRequest::HINT)?;
            json(&exchange.execute(caller, &request.ticket()?).await?)
        }
        "status" => json(&status::answer(exchange, figures, caller, &action.body)?),
        "CancelFlightInfo" => endpoint::cancel(exchange, caller, &action.body),
        "RenewFlightEndpoint" => endpoint::renew(exchange, caller, &action.body),
        "SetSessionOptions" => session::set_options(&action.body),
        "GetSessionOptions" => session::get_options(&action.body),
        "CloseSession" => session::close(&action.body),
        "CreatePreparedStatement" => sql::actions::prepare(exchange, caller, prepared, &action.body).await,
        "ClosePreparedStatement" => return sql::actions::close(caller, prepared, &action.body).map(|()| None),
        "BeginTransaction" => Err(sql::actions::transactions()),
        "EndTransaction" => Err(sql::actions::transactions()),
        unknown => {
            let names: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
            Err(Error::new(codes::ACTION_UNKNOWN, format!("there is no action `{}`", unknown.escape_debug()))
                .hint(format!("valid actions: {}", names.join(", "))))
        }
    };
    body.map(Some)
}

/// Waits for a commit, so it is not for a thread that serves sockets.
async fn confirm(exchange: &Exchange, caller: &Caller, action: &Action) -> Result<Vec<u8>> {
    let place = || body::place("confirm");
    body::check_size("confirm", &action.body, limits::COMMAND_BYTES_MAX, "send the ticket, as it is")?;
    let ticket = Ticket::parse_bytes(&action.body).map_err(|error| error.at(place()))?;
    let (exchange, caller) = (exchange.clone(), caller.clone());
    blocking_json(move || Ok(serde_json::json!({ "table": exchange.confirm(&caller, &ticket)? }))).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    table: String,
}

const HINT: &str = "send the table's name, or {\"table\": \"name\"}";

/// The table that the body of an action names, as text or as JSON.
fn target(action: &Action) -> Result<PlainTicket> {
    match named(action)? {
        Ticket::Plain(plain) => Ok(plain),
        Ticket::Signed(_) | Ticket::Query(_) => Err(Error::new(codes::OPTION_INVALID, "such a ticket is for reading")
            .at(body::place(&action.r#type))
            .hint("name the table; what a ticket reads, GetFlightInfo tells")),
    }
}

fn named(action: &Action) -> Result<Ticket> {
    let place = || body::place(&action.r#type);
    if !action.body.trim_ascii_start().starts_with(b"{") {
        body::check_size(&action.r#type, &action.body, limits::COMMAND_BYTES_MAX, HINT)?;
        return Ticket::parse_bytes(&action.body).map_err(|error| error.at(place()));
    }
    let target: Target = body::json(&action.r#type, &action.body, HINT)?;
    target.table.parse().map_err(|error: Error| error.at(place()))
}

/// The JSON of what waits for the disk or takes a processor.
pub(super) async fn blocking_json<T: Serialize + Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<Vec<u8>> {
    json(&blocking::run(work).await?)
}

/// An answer as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Error::new(codes::INTERNAL, "a result cannot be written as JSON").source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Action {
        Action { r#type: "drop".into(), body: text.as_bytes().to_vec().into() }
    }

    /// What is not in the list has no row in the table of rights either.
    #[test]
    fn s5_every_action_that_runs_is_in_the_list() {
        let source = include_str!("action.rs");
        let (_, run) = source.split_once("match action.r#type.as_str() {").expect("the match");
        let (run, _) = run.split_once("unknown => {").expect("its last arm");
        let arms = run.lines().filter_map(|line| line.strip_prefix("        \"")?.split_once("\" =>"));
        let arms: Vec<&str> = arms.map(|(name, _)| name).collect();
        let mut names: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
        let mut sorted = arms.clone();
        sorted.sort_unstable();
        names.sort_unstable();
        assert_eq!(sorted, names);
        assert_eq!(run.matches(" => ").count(), arms.len(), "each arm is of one name");
    }

    #[test]
    fn a_body_names_a_table_as_text_or_as_json() {
        for text in ["eu/prices", "{\"table\":\"eu/prices\"}", "  {\"table\": \"eu/prices\"} "] {
            assert_eq!(target(&body(text)).expect(text).to_string(), "eu/prices");
        }
        for (text, code) in [
            ("", codes::TABLE_NAME_INVALID),
            ("../x", codes::TABLE_NAME_INVALID),
            ("~1f0c22aa.e30.AAAA", codes::OPTION_INVALID),
            ("{}", codes::OPTION_INVALID),
            ("{\"table\":7}", codes::OPTION_INVALID),
            ("{\"table\":\"a\",\"force\":true}", codes::OPTION_INVALID),
            ("{\"table\":\"../x\"}", codes::TABLE_NAME_INVALID),
        ] {
            let error = target(&body(text)).expect_err(text);
            assert_eq!((error.code(), error.place()), (code, Some("body of action `drop`")), "{text}");
        }
        let long = "x".repeat(limits::COMMAND_BYTES_MAX.as_usize() + 1);
        assert_eq!(target(&body(&long)).expect_err("long").code(), codes::LIMIT_EXCEEDED);
    }
}
