//! G10: a fault of the server ends one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airlane_store::testing::{FaultDisk, Operation};
use arrow_flight::FlightDescriptor;
use futures::StreamExt;
use tonic::Code;

use super::harness::*;
use super::tables::*;

#[tokio::test(flavor = "multi_thread")]
async fn g10_a_panic_is_internal_and_siblings_go_on() {
    let large: Vec<_> = (0..50).map(|index| numbers(index * 100_000, 100_000)).collect();
    let server = TestServer::start().await;
    put(&mut server.client().await, "cold", &large).await.expect("a table");
    let TestServer { mut handle, folder } = server;
    handle.stop();
    handle.wait().await.expect("a clean end");

    // Restarted, the server reads the segments of `cold` from disk when they are asked for.
    // Its disk has a bug, once it is armed.
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = is_armed.clone();
    let disk = FaultDisk::hooked(move |operation| {
        let is_met = matches!(operation, Operation::Create | Operation::Open);
        assert!(!is_met || !armed.load(Ordering::SeqCst), "a fault on purpose");
    });
    let data = folder.path().join("data");
    let server = TestServer::start_with(|store, _| {
        store.folder = Some(data);
        store.disk = Arc::new(disk);
    })
    .await;
    for (encoding, mut client) in server.clients().await {
        put(&mut client, "warm", &large[..5]).await.expect("a table");
        let panics = super::http::metric(&server, "airlane_flight_panics_total").await;
        let mut sibling = client.do_get(arrow_flight::Ticket::new("warm")).await.expect("a table").into_inner();
        sibling.next().await.expect("a schema").expect("a schema");

        is_armed.store(true, Ordering::SeqCst);
        // To tell how many bytes some rows have, their segment is opened.
        let rows = FlightDescriptor::new_cmd("cold?rows=5-99");
        let status = client.get_flight_info(rows.clone()).await.expect_err("a fault in a unary call");
        assert_eq!((status.code(), code_name(&status)), (Code::Internal, "internal"), "{encoding}: {status}");
        assert!(status.message().contains("\nhint: "), "{encoding}: {status}");
        client.get_flight_info(by_path("warm")).await.expect("another unary call");
        let status = get(&mut client, "cold").await.expect_err("a fault in the body of DoGet");
        assert_eq!((status.code(), code_name(&status)), (Code::Internal, "internal"), "{encoding}: {status}");
        let status = put(&mut client, "other", &large).await.expect_err("a fault in DoPut");
        assert_eq!((status.code(), code_name(&status)), (Code::Internal, "internal"), "{encoding}: {status}");
        is_armed.store(false, Ordering::SeqCst);
        let counted = super::http::metric(&server, "airlane_flight_panics_total").await - panics;
        assert!(counted >= 3.0, "{encoding}: {counted} of 3 were counted");

        while let Some(message) = sibling.next().await {
            message.expect("the sibling goes on");
        }
        put(&mut client, "other", &large[..1]).await.expect("the connection goes on");
    }
    let info = server.client().await.get_flight_info(FlightDescriptor::new_cmd("cold?rows=5-99")).await;
    assert_eq!(info.expect("whole").into_inner().total_records, 94);
    let rows: usize =
        get(&mut server.client().await, "cold").await.expect("whole").1.iter().map(|b| b.num_rows()).sum();
    assert_eq!(rows, 5_000_000);
}
