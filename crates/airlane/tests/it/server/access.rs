//! Who may do what: one table of everything that can be asked for, tried by every role on every object.
//!
//! What the protocol, the list of actions or the HTTP door has and the table has not fails the test.

use std::collections::BTreeSet;

use airlane_model::contract::Binding;
use airlane_model::{Caller, TableName};
use arrow_flight::sql::{ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ProstMessageExt};
use arrow_flight::{
    Action, CancelFlightInfoRequest, Criteria, Empty, FlightEndpoint, FlightInfo, HandshakeRequest,
    RenewFlightEndpointRequest, Ticket,
};
use futures::TryStreamExt;
use prost::Message;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use super::harness::*;
use super::rights::*;
use super::tables::*;

/// What a caller must have for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing at all.
    Open,
    /// Credentials.
    Known,
    /// To read the table, and that it is there.
    Read,
    /// To write in the namespace.
    Put,
    /// To write in the namespace, and that the table is there: what changes or ends it.
    Drop,
    /// Credentials; the answer has what may be read.
    List,
    /// To have begun the upload. There is none here.
    Upload,
    /// `admin` for all namespaces.
    Admin,
    /// Credentials, for the answer that it is not implemented.
    Later,
}

/// Everything that can be asked for. RPCs and actions have their names, HTTP requests their method and path.
const TABLE: &[(&str, Need)] = &[
    ("Handshake", Need::Known),
    ("ListFlights", Need::List),
    ("GetFlightInfo", Need::Read),
    ("PollFlightInfo", Need::Read),
    ("GetSchema", Need::Read),
    ("DoGet", Need::Read),
    ("DoPut", Need::Put),
    ("DoExchange", Need::Later),
    ("ListActions", Need::Known),
    ("DoAction describe", Need::Read),
    ("DoAction drop", Need::Drop),
    ("DoAction ticket", Need::Read),
    ("DoAction confirm", Need::Read),
    ("DoAction execute", Need::Put),
    ("DoAction retention", Need::Drop),
    ("DoAction contract_add", Need::Admin),
    ("DoAction contract_list", Need::Known),
    ("DoAction contract_show", Need::Known),
    ("DoAction contract_diff", Need::Known),
    ("DoAction contract_bind", Need::Admin),
    ("DoAction contract_unbind", Need::Admin),
    ("DoAction contract_bindings", Need::Known),
    ("DoAction status", Need::Admin),
    ("DoAction rotate_ticket_keys", Need::Admin),
    ("DoAction CancelFlightInfo", Need::Read),
    ("DoAction RenewFlightEndpoint", Need::Read),
    ("DoAction SetSessionOptions", Need::Known),
    ("DoAction GetSessionOptions", Need::Known),
    ("DoAction CloseSession", Need::Known),
    ("DoAction CreatePreparedStatement", Need::Read),
    ("DoAction ClosePreparedStatement", Need::Known),
    ("DoAction BeginTransaction", Need::Later),
    ("DoAction EndTransaction", Need::Later),
    ("health", Need::Open),
    ("reflection", Need::Known),
    ("GET /", Need::Known),
    ("GET /healthz", Need::Open),
    ("GET /readyz", Need::Open),
    ("GET /metrics", Need::Admin),
    ("GET /v1/tables", Need::List),
    ("GET /v1/tables/{name}", Need::Read),
    ("HEAD /v1/tables/{name}", Need::Read),
    ("PUT /v1/tables/{name}", Need::Put),
    ("POST /v1/tables/{name}", Need::Put),
    ("DELETE /v1/tables/{name}", Need::Drop),
    ("GET /v1/tickets/{ticket}", Need::Read),
    ("HEAD /v1/tickets/{ticket}", Need::Read),
    ("POST /v1/tickets", Need::Read),
    ("POST /v1/sql", Need::Read),
    ("GET /v1/schemas/{name}", Need::Read),
    ("GET /v1/versions/{name}", Need::Read),
    ("GET /v1/stats/{name}", Need::Read),
    ("GET /v1/retention/{name}", Need::Read),
    ("PATCH /v1/retention/{name}", Need::Drop),
    ("HEAD /v1/uploads/{id}", Need::Upload),
    ("PATCH /v1/uploads/{id}", Need::Upload),
    ("DELETE /v1/uploads/{id}", Need::Upload),
    ("GET /v1/contracts", Need::Known),
    ("PUT /v1/contracts/{name}", Need::Admin),
    ("GET /v1/contracts/{name}", Need::Known),
    ("GET /v1/contract-changes/{name}", Need::Known),
    ("PUT /v1/bindings", Need::Admin),
    ("DELETE /v1/bindings", Need::Admin),
    ("GET /v1/changes", Need::Known),
    ("GET /v1/status", Need::Admin),
    ("POST /v1/keys/rotate", Need::Admin),
    ("GET /v1/openapi.json", Need::Known),
    ("GET /docs", Need::Known),
    ("GET /docs/{file}", Need::Known),
];

/// Tokens, and what they may do in `eu`; nobody of them has a right in `us`.
const ROLES: [(&str, bool, bool); 5] = [
    ("stranger", false, false),
    ("reader", true, false),
    ("writer", false, true),
    ("owner", true, true),
    ("operator", false, false),
];

const OBJECTS: [&str; 4] = ["eu/there", "eu/absent", "us/there", "us/absent"];

const RIGHTS: &str = "
[rights.reader]
eu = [\"read\"]
[rights.writer]
eu = [\"write\"]
[rights.owner]
eu = [\"read\", \"write\"]
[rights.operator]
\"*\" = [\"admin\"]
";

/// The code of the answer that is due.
fn due(need: Need, role: Option<(&str, bool, bool)>, object: &str) -> &'static str {
    let Some((role, reads, writes)) = role else {
        return if need == Need::Open { "ok" } else { "credentials_missing" };
    };
    let (in_reach, is_there) = (object.starts_with("eu/"), object.ends_with("/there"));
    let (reads, writes) = (reads && in_reach, writes && in_reach);
    match need {
        Need::Open | Need::Known | Need::List => "ok",
        Need::Later => "not_implemented",
        Need::Upload => "upload_not_found",
        Need::Read if reads && is_there => "ok",
        Need::Read => "table_not_found",
        Need::Put if writes => "ok",
        Need::Put => "permission_denied",
        Need::Drop if writes && is_there => "ok",
        Need::Drop if !writes && reads => "permission_denied",
        Need::Drop => "table_not_found",
        Need::Admin if role == "operator" => "ok",
        Need::Admin => "permission_denied",
    }
}

/// Asks, and answers the code that came.
async fn ask(server: &TestServer, what: &str, token: Option<&str>, object: &str) -> String {
    if let Some((method, path)) = what.split_once(" /") {
        let object = if path.starts_with("docs/") { "start.js" } else { object };
        let name = match path {
            "v1/contracts/{name}" => "v1/contracts/cell".to_owned(),
            "v1/contract-changes/{name}" => "v1/contract-changes/cell?from=0".to_owned(),
            "v1/bindings" if method == "DELETE" => {
                bind_cell(server);
                "v1/bindings?tables=zz/*".to_owned()
            }
            path => path.split_once('{').map_or_else(|| path.to_owned(), |(path, _)| format!("{path}{object}")),
        };
        let body = match (method, path) {
            ("PUT" | "POST", "v1/tables/{name}") => "n\n1\n".to_owned(),
            ("POST", "v1/tickets") => format!(r#"{{"ticket":"{object}"}}"#),
            ("POST", "v1/sql") => format!(r#"{{"sql":"SELECT n FROM \"{object}\""}}"#),
            ("PATCH", _) => r#"{"versions":3}"#.to_owned(),
            ("PUT", "v1/contracts/{name}") => cell(),
            ("PUT", "v1/bindings") => r#"{"tables":"zz/*","contract":"cell"}"#.to_owned(),
            _ => "{}".to_owned(),
        };
        return http_code_of(server, method, &format!("/{name}"), token, &body).await;
    }
    match call(server, what, token, object).await {
        Ok(()) => "ok".into(),
        Err(status) => code_name(&status).to_owned(),
    }
}

async fn call(server: &TestServer, what: &str, token: Option<&str>, object: &str) -> Result<(), Status> {
    let mut client = server.client().await;
    let act = |name: &str| Action { r#type: name.into(), body: object.as_bytes().to_vec().into() };
    match what {
        "Handshake" => {
            let answers = client.handshake(with(token, futures::stream::empty::<HandshakeRequest>())).await?;
            answers.into_inner().try_collect::<Vec<_>>().await?;
        }
        "ListFlights" => {
            let flights = client.list_flights(with(token, Criteria::default())).await?.into_inner();
            let flights: Vec<FlightInfo> = flights.try_collect().await?;
            let names: Vec<_> =
                flights.iter().map(|flight| flight.flight_descriptor.clone().expect("one").path.join("/")).collect();
            let reads =
                token.is_some_and(|token| ROLES.iter().any(|(role, reads, _)| token.starts_with(role) && *reads));
            assert_eq!(names, if reads { vec!["eu/there"] } else { vec![] }, "{token:?}");
        }
        "GetFlightInfo" => _ = client.get_flight_info(with(token, by_path(object))).await?,
        "PollFlightInfo" => _ = client.poll_flight_info(with(token, by_path(object))).await?,
        "GetSchema" => _ = client.get_schema(with(token, by_path(object))).await?,
        "DoGet" => _ = decode(client.do_get(with(token, Ticket::new(object.to_owned()))).await?.into_inner()).await?,
        "DoPut" => {
            let messages = encode(by_path(object), numbers_schema(), vec![numbers(0, 10)]);
            put_request(&mut client, with(token, messages)).await?;
        }
        "DoExchange" => _ = client.do_exchange(with(token, futures::stream::empty())).await?,
        "ListActions" => {
            client.list_actions(with(token, Empty {})).await?.into_inner().try_collect::<Vec<_>>().await?;
        }
        "DoAction CancelFlightInfo" => {
            let info = FlightInfo { endpoint: vec![endpoint(object)], ..FlightInfo::default() };
            let body = CancelFlightInfoRequest { info: Some(info) }.encode_to_vec().into();
            _ = client.do_action(with(token, Action { r#type: "CancelFlightInfo".into(), body })).await?;
        }
        "DoAction RenewFlightEndpoint" => {
            let body = RenewFlightEndpointRequest { endpoint: Some(endpoint(object)) }.encode_to_vec().into();
            _ = client.do_action(with(token, Action { r#type: "RenewFlightEndpoint".into(), body })).await?;
        }
        "DoAction CreatePreparedStatement" => {
            let query = format!("SELECT n FROM \"{object}\"");
            let body = ActionCreatePreparedStatementRequest { query, transaction_id: None }.as_any().encode_to_vec();
            let action = Action { r#type: "CreatePreparedStatement".into(), body: body.into() };
            _ = client.do_action(with(token, action)).await?;
        }
        "DoAction ClosePreparedStatement" => {
            let closed = ActionClosePreparedStatementRequest { prepared_statement_handle: Default::default() };
            let body = closed.as_any().encode_to_vec();
            let action = Action { r#type: "ClosePreparedStatement".into(), body: body.into() };
            _ = client.do_action(with(token, action)).await?;
        }
        "DoAction SetSessionOptions"
        | "DoAction GetSessionOptions"
        | "DoAction CloseSession"
        | "DoAction BeginTransaction"
        | "DoAction EndTransaction" => {
            let name = what.trim_start_matches("DoAction ");
            _ = client.do_action(with(token, Action { r#type: name.into(), body: Vec::new().into() })).await?;
        }
        "DoAction contract_add" | "DoAction contract_bind" | "DoAction contract_unbind" => {
            let name = what.trim_start_matches("DoAction ");
            if name == "contract_unbind" {
                bind_cell(server);
            }
            let body = match name {
                // Who may not learns nothing about the body.
                _ if token != Some(&token_of("operator")) => "no JSON".to_owned(),
                "contract_add" => serde_json::json!({"contract": "cell", "document": cell()}).to_string(),
                "contract_bind" => r#"{"tables":"zz/*","contract":"cell"}"#.to_owned(),
                _ => r#"{"tables":"zz/*"}"#.to_owned(),
            };
            _ = client.do_action(with(token, Action { r#type: name.into(), body: body.into() })).await?;
        }
        "DoAction contract_list" | "DoAction contract_bindings" => {
            let name = what.trim_start_matches("DoAction ");
            _ = client.do_action(with(token, Action { r#type: name.into(), body: Vec::new().into() })).await?;
        }
        "DoAction contract_show" | "DoAction contract_diff" => {
            let name = what.trim_start_matches("DoAction ");
            let body = match name {
                "contract_show" => serde_json::json!({"contract": "cell"}),
                _ => serde_json::json!({"contract": "cell", "from": 0, "document": cell()}),
            };
            _ = client.do_action(with(token, Action { r#type: name.into(), body: body.to_string().into() })).await?;
        }
        "DoAction describe" => _ = client.do_action(with(token, act("describe"))).await?,
        "DoAction retention" => {
            let body = format!("{{\"table\":\"{object}\",\"ttl\":\"1h\"}}").into_bytes().into();
            _ = client.do_action(with(token, Action { r#type: "retention".into(), body })).await?;
        }
        "DoAction status" => {
            _ = client.do_action(with(token, Action { r#type: "status".into(), body: Vec::new().into() })).await?;
        }
        "DoAction rotate_ticket_keys" => {
            // Who may not learns nothing about the body.
            let body = if token == Some(&token_of("operator")) { "" } else { "no JSON" };
            let body = body.as_bytes().to_vec().into();
            _ = client.do_action(with(token, Action { r#type: "rotate_ticket_keys".into(), body })).await?;
        }
        "DoAction ticket" => {
            let body = format!("{{\"ticket\":\"{object}\"}}").into_bytes().into();
            _ = client.do_action(with(token, Action { r#type: "ticket".into(), body })).await?;
        }
        "DoAction execute" => {
            let body = format!(r#"{{"sql":"CREATE OR REPLACE TABLE \"{object}\" AS SELECT 1 AS n"}}"#);
            _ = client
                .do_action(with(token, Action { r#type: "execute".into(), body: body.into_bytes().into() }))
                .await?;
        }
        "DoAction confirm" => _ = client.do_action(with(token, act("confirm"))).await?,
        "DoAction drop" => _ = client.do_action(with(token, act("drop"))).await?,
        "health" => {
            let request = with(token, HealthCheckRequest::default());
            HealthClient::new(channel(server).await).check(request).await?;
        }
        "reflection" => {
            let message_request = Some(MessageRequest::ListServices(String::new()));
            let ask = ServerReflectionRequest { host: String::new(), message_request };
            let asked = with(token, futures::stream::iter([ask]));
            ServerReflectionClient::new(channel(server).await).server_reflection_info(asked).await?;
        }
        _ => panic!("the test does not know how to ask for {what}"),
    }
    Ok(())
}

/// A contract.
fn cell() -> String {
    let cell = airlane_testkit::workspace().join("spec/contracts/cell.yaml");
    std::fs::read_to_string(cell).expect("a contract")
}

fn bind_cell(server: &TestServer) {
    let binding = Binding { contract: "cell".into(), mode: Default::default() };
    server.handle.exchange().bind_contract(&Caller::local(), "zz/*", binding).expect("bound");
}

fn endpoint(ticket: &str) -> FlightEndpoint {
    FlightEndpoint { ticket: Some(Ticket::new(ticket.to_owned())), ..FlightEndpoint::default() }
}

/// Makes what is to be there and takes away what is not.
async fn restore(server: &TestServer) {
    let exchange = server.handle.exchange();
    let listed: BTreeSet<String> = server.tables().into_iter().collect();
    for name in OBJECTS {
        let table: TableName = name.parse().expect("a name");
        match (name.ends_with("/there"), listed.contains(name)) {
            (true, false) => server.put_here(name, &[numbers(0, 10)]).await,
            (false, true) => _ = exchange.drop_table(&Caller::local(), &table).await.expect("dropped"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_s9_every_role_gets_what_the_table_says_of_everything_there_is() {
    let roles = ROLES.map(|(role, ..)| role);
    let server = guarded(&roles, RIGHTS).await;
    restore(&server).await;
    let mut asserted = 0;
    for (what, need) in TABLE {
        for object in OBJECTS {
            for role in ROLES.into_iter().map(Some).chain([None]) {
                let token = role.map(|(role, ..)| token_of(role));
                let answered = ask(&server, what, token.as_deref(), object).await;
                assert_eq!(answered, due(*need, role, object), "{what} of {object} by {role:?}");
                asserted += 1;
                restore(&server).await;
            }
            if *need != Need::Open {
                let answered = ask(&server, what, Some("wrong"), object).await;
                assert_eq!(answered, "credentials_refused", "{what} of {object} by a wrong token");
            }
        }
    }
    assert!(asserted >= 180, "{asserted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_everything_that_can_be_asked_for_has_a_row() {
    let server = guarded(&["reader"], "").await;
    let rows: Vec<&str> = TABLE.iter().map(|(what, _)| *what).collect();
    let spec = std::fs::read_to_string(airlane_testkit::workspace().join("spec/flight.proto")).expect("the protocol");
    let rpcs: Vec<&str> = spec
        .lines()
        .filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next())
        .filter(|rpc| *rpc != "DoAction")
        .collect();
    assert!(rpcs.len() >= 9, "{rpcs:?}");
    let mut client = server.client().await;
    let actions = client.list_actions(with(Some(&token_of("reader")), Empty {})).await.expect("a list").into_inner();
    let actions: Vec<_> = actions.try_collect().await.expect("a list");
    let actions: Vec<String> = actions.iter().map(|action| format!("DoAction {}", action.r#type)).collect();
    assert!(!actions.is_empty());
    let all =
        rpcs.into_iter().chain(actions.iter().map(String::as_str)).chain(airlane_http::ROUTES.map(|route| route.name));
    for what in all {
        assert!(rows.contains(&what), "{what} can be asked for and has no row in the table of rights");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_a_table_that_may_not_be_seen_is_answered_as_one_that_is_not_there() {
    let server = guarded(&["reader"], RIGHTS_OF_READER).await;
    server.put_here("us/t", &[numbers(0, 10)]).await;
    let token = token_of("reader");
    let mut client = server.client().await;
    for (forbidden, absent) in
        [("us/t", "us/u"), ("us/t@1", "us/u@1"), ("us/t@9", "us/u@9"), ("us/t?rows=0-99", "us/u?rows=0-99")]
    {
        let mut answers = Vec::new();
        for ticket in [forbidden, absent] {
            let status = client.do_get(with(Some(&token), Ticket::new(ticket))).await.expect_err(ticket);
            let text = status.message().replace("us/u", "us/t");
            answers.push((status.code(), code_name(&status).to_owned(), text, status.metadata().len()));
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].0, Code::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_past_the_gate_without_a_caller_is_from_nobody() {
    // The rights of a door that forgot the gate: none.
    let server = TestServer::start().await;
    let nobody = Caller::nobody();
    server.put_here("t", &[numbers(0, 10)]).await;
    let exchange = server.handle.exchange();
    assert!(exchange.list(&nobody, "").is_empty());
    assert_eq!(exchange.list(&Caller::local(), "").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_change_hold_for_the_next_request() {
    let server = guarded(&["reader"], RIGHTS_OF_READER).await;
    server.put_here("eu/t", &[numbers(0, 10)]).await;
    server.put_here("us/t", &[numbers(0, 10)]).await;
    let token = token_of("reader");
    assert_eq!(ask(&server, "DoGet", Some(&token), "eu/t").await, "ok");
    server.write_rights(&["reader"], "[rights.reader]\nus = [\"read\"]\n");
    server.handle.reload().now();
    let mut client = server.client().await;
    eventually_async("the rights are the new ones", async || {
        client.do_get(with(Some(&token), Ticket::new("us/t"))).await.is_ok()
    })
    .await;
    assert_eq!(ask(&server, "DoGet", Some(&token), "eu/t").await, "table_not_found");

    server.write_rights(&["reader"], "[rights.reader]\nus = [\"raed\"]\n");
    server.handle.reload().now();
    // A broken file changes nothing, however long one waits; a good one after it shows that it was looked at.
    server.write_rights(&["reader", "other"], "[rights.reader]\nus = [\"read\"]\n");
    server.handle.reload().now();
    eventually_async("another token is taken", async || {
        client.list_actions(with(Some(&token_of("other")), Empty {})).await.is_ok()
    })
    .await;
    assert_eq!(ask(&server, "DoGet", Some(&token), "us/t").await, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_answers_a_token_for_the_calls_to_come() {
    let server = guarded(&["reader"], RIGHTS_OF_READER).await;
    server.put_here("eu/t", &[numbers(0, 10)]).await;
    let mut client = server.client().await;
    let mut login = Request::new(futures::stream::empty::<HandshakeRequest>());
    login.metadata_mut().insert("authorization", basic("ada", "correct horse").parse().expect("a header"));
    let answer = client.handshake(login).await.expect("logged in");
    let bearer = answer.metadata().get("authorization").expect("a token").to_str().expect("text").to_owned();
    let session = bearer.strip_prefix("Bearer ").expect("a bearer token");
    client
        .do_action(with(Some(session), Action { r#type: "describe".into(), body: "ada/t".into() }))
        .await
        .expect_err("absent");
    let messages = encode(by_path("ada/t"), numbers_schema(), vec![numbers(0, 10)]);
    put_request(&mut client, with(Some(session), messages)).await.expect("ada may write there");

    let mut wrong = Request::new(futures::stream::empty::<HandshakeRequest>());
    wrong.metadata_mut().insert("authorization", basic("ada", "wrong horse").parse().expect("a header"));
    let status = client.handshake(wrong).await.expect_err("refused");
    assert_eq!((status.code(), code_name(&status)), (Code::Unauthenticated, "credentials_refused"));
}
