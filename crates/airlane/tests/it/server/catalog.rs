//! The small calls: infos, schemas, lists, actions.

use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, Criteria, Empty, FlightDescriptor,
    FlightEndpoint, FlightInfo, IpcMessage, RenewFlightEndpointRequest, Ticket,
};
use arrow_schema::Schema;
use futures::TryStreamExt;
use prost::Message;
use tonic::{Code, Status};

use super::harness::*;
use super::tables::*;

pub(crate) async fn act(client: &mut Client, name: &str, body: &str) -> Result<serde_json::Value, Status> {
    let result = act_in_bytes(client, name, body.as_bytes().to_vec()).await?;
    Ok(serde_json::from_slice(&result).expect("JSON"))
}

async fn act_in_bytes(client: &mut Client, name: &str, body: Vec<u8>) -> Result<bytes::Bytes, Status> {
    let action = Action { r#type: name.into(), body: body.into() };
    let results: Vec<_> = client.do_action(action).await?.into_inner().try_collect().await?;
    assert_eq!(results.len(), 1);
    Ok(results[0].body.clone())
}

async fn list(client: &mut Client, prefix: &str) -> Vec<FlightInfo> {
    let criteria = Criteria { expression: prefix.as_bytes().to_vec().into() };
    client.list_flights(criteria).await.expect("a list").into_inner().try_collect().await.expect("a list")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoints_of_an_info_add_up() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    // 80 MiB and more: two segments.
    let batches: Vec<_> = (0..110).map(|index| numbers(index * 100_000, 100_000)).collect();
    let receipt = put(&mut client, "t", &batches).await.expect("a table");

    let info = client.get_flight_info(by_path("t")).await.expect("an info").into_inner();
    assert_eq!(info.total_records, 11_000_000);
    assert_eq!(info.total_bytes as u64, receipt.bytes);
    assert!(info.ordered);
    assert_eq!(info.flight_descriptor, Some(by_path("t")));
    assert_eq!(Schema::try_from(IpcMessage(info.schema.clone())).expect("a schema"), *numbers_schema());
    let table: serde_json::Value = serde_json::from_slice(&info.app_metadata).expect("JSON");
    assert_eq!((&table["table"], &table["version"]), (&"t".into(), &1.into()));
    assert!(info.endpoint.len() > 1, "{} endpoints", info.endpoint.len());

    let (mut rows, mut bytes) = (0_i64, 0);
    for endpoint in &info.endpoint {
        assert_eq!(endpoint.location, [], "the ticket is for this server");
        let ticket = endpoint.ticket.as_ref().expect("a ticket");
        let messages =
            get_messages(&mut client, std::str::from_utf8(&ticket.ticket).expect("text")).await.expect("rows");
        for message in messages.iter().filter(|message| !message.app_metadata.is_empty()) {
            let metadata: serde_json::Value = serde_json::from_slice(&message.app_metadata).expect("JSON");
            assert_eq!(metadata["row_offset"], rows, "in order and without gaps");
            let header = arrow_ipc::root_as_message(&message.data_header).expect("a message");
            rows += header.header_as_record_batch().expect("a batch").length();
        }
        bytes += messages.iter().map(|message| message.data_body.len() as i64).sum::<i64>();
    }
    assert_eq!((rows, bytes), (info.total_records, info.total_bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_listed_by_the_beginning_of_their_names() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for name in ["eu/b", "eu/a", "us/a", "eux"] {
        put(&mut client, name, &[numbers(0, 3)]).await.expect(name);
    }
    for (prefix, expected) in
        [("eu/", &["eu/a", "eu/b"][..]), ("", &["eu/a", "eu/b", "eux", "us/a"]), ("no", &[]), ("EU", &[])]
    {
        let names: Vec<String> = list(&mut client, prefix)
            .await
            .into_iter()
            .map(|info| info.flight_descriptor.expect("a descriptor").path.join("/"))
            .collect();
        assert_eq!(names, expected, "{prefix}");
    }
    let criteria = Criteria { expression: vec![0xFF].into() };
    assert_eq!(code_name(&client.list_flights(criteria).await.expect_err("no text")), "option_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_describe_and_drop() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let listed: Vec<_> = client.list_actions(Empty {}).await.expect("a list").into_inner().try_collect().await.unwrap();
    let names: Vec<&str> = listed.iter().map(|action| action.r#type.as_str()).collect();
    let own = ["describe", "retention", "drop", "ticket", "confirm", "rotate_ticket_keys", "execute", "status"];
    let of_contracts =
        ["add", "list", "show", "diff", "bind", "unbind", "bindings"].map(|word| format!("contract_{word}"));
    let of_the_protocol =
        ["CancelFlightInfo", "RenewFlightEndpoint", "SetSessionOptions", "GetSessionOptions", "CloseSession"];
    let of_sql = ["CreatePreparedStatement", "ClosePreparedStatement", "BeginTransaction", "EndTransaction"];
    let expected = own.into_iter().chain(of_contracts.iter().map(String::as_str)).chain(of_the_protocol).chain(of_sql);
    assert_eq!(names, expected.collect::<Vec<_>>());
    assert!(listed.iter().all(|action| action.description.len() > 20));

    let receipt = put(&mut client, "eu/t", &[kinds(10)]).await.expect("a table");
    for body in ["eu/t", "{\"table\":\"eu/t\"}", "eu/t@1"] {
        let described = act(&mut client, "describe", body).await.expect(body);
        assert_eq!(described["table_id"], receipt.table_id.to_string());
        assert_eq!((&described["rows"], &described["version"]), (&10.into(), &1.into()));
        assert_eq!(described["fields"][0], serde_json::json!({"name": "int", "type": "Int32", "nullable": true}));
    }
    assert_eq!(act(&mut client, "drop", "eu/t").await.expect("a drop")["table"], "eu/t");
    for (action, body, code) in [
        ("drop", "eu/t", "table_not_found"),
        ("describe", "eu/t", "table_not_found"),
        ("describe", "../x", "table_name_invalid"),
        ("drop", "eu/t@1", "option_invalid"),
        ("drop", "{\"name\":\"eu/t\"}", "option_invalid"),
        ("truncate", "eu/t", "action_unknown"),
    ] {
        let status = act(&mut client, action, body).await.expect_err(body);
        assert_eq!(code_name(&status), code, "{action} {body}: {status}");
        assert!(status.message().contains("hint:"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_by_code_with_a_hint() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    put(&mut client, "t", &[numbers(0, 10)]).await.expect("a table");
    for (ticket, code, name) in [
        ("no_such_table", Code::NotFound, "table_not_found"),
        ("t@9", Code::NotFound, "version_not_found"),
        ("t?id=00112233445566778899aabbccddeeff", Code::NotFound, "table_recreated"),
        ("t?rows=0-11", Code::InvalidArgument, "rows_out_of_range"),
        ("t@x", Code::InvalidArgument, "ticket_invalid"),
        ("../x", Code::InvalidArgument, "table_name_invalid"),
        ("", Code::InvalidArgument, "table_name_invalid"),
        ("~abc", Code::NotFound, "ticket_refused"),
        ("sql:SELECT nothing FROM t", Code::InvalidArgument, "sql_invalid"),
        ("plan:forecast", Code::Unimplemented, "not_implemented"),
    ] {
        let by_get = get(&mut client, ticket).await.expect_err(ticket);
        let by_info = client.get_flight_info(FlightDescriptor::new_cmd(ticket)).await.expect_err(ticket);
        for status in [by_get, by_info] {
            assert_eq!((status.code(), code_name(&status)), (code, name), "{ticket}: {status}");
            assert!(status.message().contains("hint:"), "{status}");
        }
    }
    let status = client.get_schema(by_path("no_such_table")).await.expect_err("no table");
    assert_eq!(code_name(&status), "table_not_found");
    let schema = client.get_schema(by_path("t")).await.expect("a schema").into_inner().schema;
    assert_eq!(Schema::try_from(IpcMessage(schema)).expect("a schema"), *numbers_schema());
}

#[tokio::test(flavor = "multi_thread")]
async fn rpcs_that_come_later_answer_by_name() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let handshake = client.handshake(futures::stream::empty()).await.expect_err("later");
    let exchange = client.do_exchange(futures::stream::empty()).await.expect_err("later");
    for (status, rpc) in [(handshake, "Handshake"), (exchange, "DoExchange")] {
        assert_eq!((status.code(), code_name(&status)), (Code::Unimplemented, "not_implemented"));
        assert!(status.message().starts_with(&format!("{rpc} is not implemented")), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_complete_at_once() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    put(&mut client, "t", &[kinds(10)]).await.expect("a table");
    let poll = client.poll_flight_info(by_path("t")).await.expect("a poll").into_inner();
    let info = client.get_flight_info(by_path("t")).await.expect("an info").into_inner();
    assert_eq!(poll.info, Some(info));
    assert_eq!((poll.flight_descriptor, poll.progress, poll.expiration_time), (None, Some(1.0), None));
    let status = client.poll_flight_info(by_path("no_such_table")).await.expect_err("no table");
    assert_eq!((status.code(), code_name(&status)), (Code::NotFound, "table_not_found"));
}

fn endpoint(ticket: &str) -> FlightEndpoint {
    FlightEndpoint { ticket: Some(Ticket::new(ticket.to_owned())), ..FlightEndpoint::default() }
}

fn cancel(endpoints: Vec<FlightEndpoint>) -> Vec<u8> {
    let info = FlightInfo { endpoint: endpoints, ..FlightInfo::default() };
    CancelFlightInfoRequest { info: Some(info) }.encode_to_vec()
}

fn renew(endpoint: FlightEndpoint) -> Vec<u8> {
    RenewFlightEndpointRequest { endpoint: Some(endpoint) }.encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_info_cannot_be_cancelled_and_an_endpoint_needs_no_renewal() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    put(&mut client, "t", &[kinds(10)]).await.expect("a table");
    let info = client.get_flight_info(by_path("t")).await.expect("an info").into_inner();

    let request = CancelFlightInfoRequest { info: Some(info.clone()) }.encode_to_vec();
    let result = act_in_bytes(&mut client, "CancelFlightInfo", request).await.expect("an answer");
    let result = CancelFlightInfoResult::decode(result).expect("a result");
    assert_eq!(result.status(), CancelStatus::NotCancellable);
    get(&mut client, "t").await.expect("it can be read afterwards");

    let result = act_in_bytes(&mut client, "RenewFlightEndpoint", renew(info.endpoint[0].clone())).await;
    assert_eq!(FlightEndpoint::decode(result.expect("an answer")).expect("an endpoint"), info.endpoint[0]);

    let no_ticket = FlightEndpoint::default;
    for (action, body, code) in [
        ("CancelFlightInfo", b"rubbish".to_vec(), "message_invalid"),
        ("CancelFlightInfo", Vec::new(), "message_invalid"),
        ("CancelFlightInfo", cancel(vec![]), "message_invalid"),
        ("CancelFlightInfo", cancel(vec![endpoint("t"), no_ticket()]), "message_invalid"),
        ("CancelFlightInfo", cancel(vec![endpoint("../x")]), "table_name_invalid"),
        ("CancelFlightInfo", cancel(vec![endpoint("t"), endpoint("no_such_table")]), "table_not_found"),
        ("CancelFlightInfo", cancel(vec![endpoint("t"); 1025]), "limit_exceeded"),
        ("CancelFlightInfo", vec![0; (1 << 20) + 1], "limit_exceeded"),
        ("RenewFlightEndpoint", b"rubbish".to_vec(), "message_invalid"),
        ("RenewFlightEndpoint", Vec::new(), "message_invalid"),
        ("RenewFlightEndpoint", renew(no_ticket()), "message_invalid"),
        ("RenewFlightEndpoint", renew(endpoint("t@9")), "version_not_found"),
    ] {
        let status = act_in_bytes(&mut client, action, body).await.expect_err(code);
        assert_eq!(code_name(&status), code, "{action}: {status}");
        assert!(status.message().contains("hint:"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_sessions_and_each_action_of_them_says_so() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    // `{"catalog": "x"}`, and for it the error 1: INVALID_NAME.
    let request = b"\x0A\x0E\x0A\x07catalog\x12\x03\x0A\x01x".to_vec();
    let refused = act_in_bytes(&mut client, "SetSessionOptions", request).await.expect("an answer");
    assert_eq!(refused, &b"\x0A\x0D\x0A\x07catalog\x12\x02\x08\x01"[..]);
    assert_eq!(act_in_bytes(&mut client, "GetSessionOptions", vec![]).await.expect("an answer"), "");
    for _ in 0..2 {
        assert_eq!(act_in_bytes(&mut client, "CloseSession", vec![]).await.expect("an answer"), &b"\x08\x01"[..]);
    }
    for action in ["SetSessionOptions", "GetSessionOptions", "CloseSession"] {
        let status = act_in_bytes(&mut client, action, b"rubbish".to_vec()).await.expect_err("rubbish");
        assert_eq!(code_name(&status), "message_invalid", "{action}: {status}");
    }
}
