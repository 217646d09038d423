//! S9: what a caller of one namespace gets to see of another, where the server as a whole is asked or is full.

use airlane_model::ByteSize;

use super::harness::*;
use super::rights::*;
use super::tables::*;

const RIGHTS: &str = "
[rights.eu]
eu = [\"read\", \"write\"]
[rights.operator]
\"*\" = [\"admin\"]
";
/// The tables of the others.
const OTHERS: &str = "neighbour";

#[tokio::test(flavor = "multi_thread")]
async fn s9_refusals_for_lack_of_room_lists_probes_and_metrics_name_no_neighbour() {
    let server = TestServer::start_with(|store, options| {
        store.memory.limit = ByteSize::mib(16);
        // Nothing goes to disk, so that what the others have is what is missing.
        store.memory.spill_max = Some(ByteSize::bytes(0));
        let folder = store.folder.as_ref().expect("a folder").parent().expect("a parent").to_owned();
        let path = folder.join("rights.toml");
        std::fs::write(&path, rights_file(&["eu", "operator"], RIGHTS)).expect("written");
        options.rights_file = Some(path);
    })
    .await;
    let spec = |name: &str| airlane_exchange::PutSpec {
        table: name.parse().expect("a name"),
        mode: airlane_model::PutMode::Replace,
        durability: Some(airlane_model::Durability::Ephemeral),
        retention: airlane_model::RetentionChange::default(),
        key: None,
        caller: None,
    };
    let batch = numbers(0, 1 << 17);
    let schema = airlane_segment::TableSchema::from_arrow(&batch.schema()).expect("a schema");
    let local = airlane_model::Caller::local();
    let mut tables = 0;
    loop {
        let name = format!("us/{OTHERS}{tables}");
        let put = server.handle.exchange().put_batches(&local, spec(&name), schema.clone());
        let mut put = put.expect("a put");
        if put.append(&batch).is_err() || put.commit().await.is_err() {
            break;
        }
        tables += 1;
        assert!(tables < 100, "memory is never full");
    }
    assert!(tables > 3, "{tables}");

    let token = token_of("eu");
    let mut client = server.client().await;
    let mut seen = Vec::new();
    for (name, rows) in [("eu/t", 1 << 20), (&format!("us/{OTHERS}0").replace("us/", "eu/"), 1 << 20)] {
        let messages = encode(by_path(name), numbers_schema(), vec![numbers(0, rows)]);
        let mut request = with(Some(&token), messages);
        request.metadata_mut().insert("airlane-durability", "ephemeral".parse().expect("a header"));
        let status = put_request(&mut client, request).await.expect_err("there is no room");
        assert_eq!(code_name(&status), "memory_full", "{status}");
        // Its own name it may see.
        seen.push(format!("{status:?} {status}").replace(name, ""));
    }
    let info = client.get_flight_info(with(Some(&token), by_path(&format!("us/{OTHERS}0")))).await;
    let absent = client.get_flight_info(with(Some(&token), by_path("us/absent"))).await.expect_err("absent");
    let forbidden = info.expect_err("forbidden");
    let own = format!("us/{OTHERS}0");
    assert_eq!(forbidden.message().replace(&own, ""), absent.message().replace("us/absent", ""));
    let flights = client.list_flights(with(Some(&token), arrow_flight::Criteria::default())).await.expect("a list");
    let flights: Vec<_> = futures::TryStreamExt::try_collect(flights.into_inner()).await.expect("a list");
    seen.push(format!("{:?}", flights as Vec<arrow_flight::FlightInfo>));
    for (path, token) in [("/readyz", None), ("/healthz", None), ("/", Some(&token)), ("/metrics", Some(&token))] {
        let headers = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        seen.push(fetch_at(&server.address(), path, &headers).await.1);
    }
    // Whoever keeps the server sees how it does, and no name.
    let headers = format!("authorization: Bearer {}\r\n", token_of("operator"));
    let (_, metrics) = fetch_at(&server.address(), "/metrics", &headers).await;
    assert!(metrics.contains("airlane_tables{"), "{metrics}");
    seen.push(metrics);
    for text in seen {
        assert!(!text.contains(OTHERS) && !text.contains("us/"), "{text}");
    }
}
