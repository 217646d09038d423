//! D10: a server in a time zone whose clocks are put forward and back, and a second that comes twice. Time is counted since
//! 1970, so neither may change anything.

use airlane_model::{Clock, SystemClock};
use airlane_testkit::ServerProcess;

use super::harness::*;
use super::http::metric_of;
use super::restarts::{faketime, put_with, read, ticket_of};
use crate::cli::binary;

/// In Berlin 03:00 becomes 02:00, and 02:00 becomes 03:00, in seconds since 1970.
const SWITCHES: [i64; 2] = [1_792_890_000, 1_806_195_600];

fn now() -> i64 {
    SystemClock.now().as_micros() / 1_000_000
}

#[tokio::test(flavor = "multi_thread")]
async fn d10_summer_time_and_a_second_that_comes_twice_change_nothing() {
    let Some(library) = faketime() else {
        println!(
            "SKIPPED: d10_summer_time_and_a_second_that_comes_twice_change_nothing: no libfaketime (package faketime)"
        );
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("time");
    // It appears in one step: the server reads it all the time.
    let set = |time: i64| {
        let draft = folder.path().join("time.new");
        std::fs::write(&draft, format!("{:+}", time - now())).expect("written");
        std::fs::rename(&draft, &file).expect("renamed");
    };
    set(SWITCHES[0] - 5);
    let (library, path) = (library.display().to_string(), file.display().to_string());
    let variables = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", path.as_str()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("TZ", "Europe/Berlin"),
    ];
    let server = ServerProcess::start_in(&variables, binary(), &folder.path().join("data"), [""; 0]);
    let address = format!("127.0.0.1:{}", server.port());
    let mut client = client_of(&address).await;
    for (switch, table) in SWITCHES.into_iter().zip(["autumn", "spring"]) {
        set(switch - 5);
        put_with(&mut client, table, 10, &[("airlane-ttl", "1h")]).await;
        let (before, expires) = ticket_of(&mut client, table).await;
        // An hour too much or too little would be seen; a slow machine is not.
        let due = |expires: u64, at: i64| expires.abs_diff(u64::try_from(at).expect("after 1970") + 3_600) < 900;
        assert!(due(expires, switch), "{table}: {expires}");
        set(switch + 5);
        let (after, expires) = ticket_of(&mut client, table).await;
        assert!(due(expires, switch), "{table}: {expires}");
        for ticket in [&before, &after, table] {
            assert_eq!(read(&mut client, ticket).await.expect("good"), 10, "{table}");
        }
        set(switch + 2_000);
        assert_eq!(read(&mut client, &before).await.expect("half an hour is not one"), 10, "{table}");
        set(switch + 3_600 + 900);
        let status = read(&mut client, &before).await.expect_err("an hour and more");
        assert_eq!(code_name(&status), "ticket_expired", "{table}");

        // As machines do that know no 61st second.
        put_with(&mut client, "often", 10, &[]).await;
        let (ticket, _) = ticket_of(&mut client, "often").await;
        for count in 0..10 {
            set(switch + 5_000);
            put_with(&mut client, "often", 10, &[("airlane-mode", "append")]).await;
            assert_eq!(read(&mut client, &ticket).await.expect("good"), 10);
            assert_eq!(read(&mut client, "often").await.expect("in order"), 10 * (count + 2));
        }
    }
    assert!(metric_of(&address, "airlane_expired_tables_total").await.abs() < f64::EPSILON);
    let (status, log) = server.stop();
    assert!(status.success() && !log.contains("panicked"), "{log}");
}
