//! D10 to D13: the real binary when the clock is wrong, after a kill, and over a folder of a later version.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use airlane_model::{Clock, SystemClock};
use airlane_testkit::ServerProcess;
use arrow_flight::{Action, Ticket};
use futures::TryStreamExt;
use tonic::{Request, Status};

use super::harness::*;
use super::http::metric_of;
use super::rights::eventually_async;
use super::tables::*;
use crate::cli::{airlane, binary, fail};

pub(super) async fn put_with(client: &mut Client, name: &str, rows: usize, headers: &[(&'static str, &str)]) {
    let mut request = Request::new(encode(by_path(name), numbers_schema(), vec![numbers(0, rows)]));
    for (header, value) in headers {
        request.metadata_mut().insert(*header, value.parse().expect("a header"));
    }
    put_request(client, request).await.expect("a put");
}

/// A library that tells a process another time, as Debian has it.
pub(super) fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.exists())
}

/// A signed ticket for an hour, and when it says that it ends, in seconds since 1970.
pub(super) async fn ticket_of(client: &mut Client, table: &str) -> (String, u64) {
    let body = format!("{{\"ticket\":\"{table}\",\"ttl\":\"1h\"}}");
    let asked = Action { r#type: "ticket".into(), body: body.into_bytes().into() };
    let answer = client.do_action(asked).await.expect("signed").into_inner();
    let results: Vec<arrow_flight::Result> = answer.try_collect().await.expect("signed");
    let signed: serde_json::Value = serde_json::from_slice(&results[0].body).expect("JSON");
    let ticket = signed["ticket"].as_str().expect("a ticket").to_owned();
    let info = client.get_flight_info(arrow_flight::FlightDescriptor::new_cmd(ticket.clone().into_bytes()));
    let expires = info.await.expect("an answer").into_inner().endpoint[0].expiration_time;
    (ticket, u64::try_from(expires.expect("an end").seconds).expect("after 1970"))
}

pub(super) async fn read(client: &mut Client, ticket: &str) -> Result<usize, Status> {
    let stream = client.do_get(Ticket::new(ticket.to_owned())).await?.into_inner();
    Ok(decode(stream).await?.1.iter().map(arrow_array::RecordBatch::num_rows).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn d10_a_day_back_and_ten_years_ahead_nothing_expires_early() {
    let Some(library) = faketime() else {
        println!(
            "SKIPPED: d10_a_day_back_and_ten_years_ahead_nothing_expires_early: no libfaketime (package faketime)"
        );
        return;
    };
    const DAY: u64 = 24 * 3_600;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("time");
    // It appears in one step: the server reads it all the time.
    let set = |time: &str| {
        let draft = folder.path().join("time.new");
        std::fs::write(&draft, time).expect("written");
        std::fs::rename(&draft, &file).expect("renamed");
    };
    set("+0");
    let (library, file) = (library.display().to_string(), file.display().to_string());
    // What the machine counts since it runs goes on as it is: that is what a wrong clock is.
    let variables = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let data = folder.path().join("data");
    let server = ServerProcess::start_in(&variables, binary(), &data, [""; 0]);
    let address = format!("127.0.0.1:{}", server.port());
    let mut client = client_of(&address).await;
    let real = || u64::try_from(SystemClock.now().as_micros()).expect("after 1970") / 1_000_000;
    put_with(&mut client, "durable", 10, &[("airlane-ttl", "1h")]).await;
    put_with(&mut client, "ephemeral", 10, &[("airlane-ttl", "1h"), ("airlane-durability", "ephemeral")]).await;
    put_with(&mut client, "idle", 10, &[("airlane-idle", "1h")]).await;
    let (now, expires) = ticket_of(&mut client, "durable").await;
    assert!(expires.abs_diff(real() + 3_600) < 600);

    let mut tables = vec!["durable", "ephemeral", "idle"];
    for (time, jump, name) in [("+3650d", 3_650 * DAY as i64, "ahead"), ("-1d", -(DAY as i64), "back")] {
        set(time);
        // Made while the clock is wrong.
        put_with(&mut client, name, 10, &[("airlane-ttl", "1h")]).await;
        tables.push(name);
        let (ticket, ends) = ticket_of(&mut client, name).await;
        let due = real().saturating_add_signed(jump) + 3_600;
        assert!(ends.abs_diff(due) < 600, "{time}: the server goes by the wrong clock: {ends}, not {due}");
        let of_now = read(&mut client, &now).await;
        match jump > 0 {
            true => assert_eq!(code_name(&of_now.expect_err("its end is absolute")), "ticket_expired"),
            false => assert_eq!(of_now.expect("not yet"), 10),
        }
        assert_eq!(read(&mut client, &ticket).await.expect("good by this clock"), 10);
        for _ in 0..20 {
            for table in &tables {
                assert_eq!(read(&mut client, table).await.expect("nothing expires early"), 10, "{time}, {table}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        set("+0");
        for table in &tables {
            assert_eq!(read(&mut client, table).await.expect("nor when the clock is right again"), 10, "{table}");
        }
        let own = read(&mut client, &ticket).await;
        match jump > 0 {
            true => assert_eq!(own.expect("ten years yet"), 10),
            false => assert_eq!(code_name(&own.expect_err("yesterday")), "ticket_expired"),
        }
    }
    assert!(metric_of(&address, "airlane_expired_tables_total").await.abs() < f64::EPSILON);
    drop(client);
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");

    // By a start with a clock that is wrong, too.
    for time in ["-1d", "+3650d", "+0"] {
        set(time);
        let server = ServerProcess::start_in(&variables, binary(), &data, [""; 0]);
        let mut client = client_of(&format!("127.0.0.1:{}", server.port())).await;
        for table in ["durable", "ahead", "back"] {
            assert_eq!(read(&mut client, table).await.expect("nothing expires early"), 10, "{time}, {table}");
        }
        let (status, log) = server.stop();
        assert!(status.success(), "{log}");
    }
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.file_type().expect("a kind").is_dir() {
            found.extend(files(&entry.path()));
        } else {
            // Whoever looks at a folder takes its lock first, and writes who that is.
            if entry.file_name() == "LOCK" {
                continue;
            }
            let bytes = std::fs::read(entry.path()).expect("bytes");
            // An empty log of the catalog is as good as none.
            if !(bytes.is_empty() && entry.file_name() == "catalog.db-wal") {
                found.insert(entry.path(), bytes);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn d11_d12_killed_under_load_spilled_files_and_sockets_are_gone_after_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, socket) = (folder.path().join("data"), folder.path().join("socket"));
    let socket_text = socket.display().to_string();
    let arguments = ["--memory", "16MiB", "--unix-socket", &socket_text];
    let mut kept: Vec<String> = Vec::new();
    for round in 0..3 {
        let mut server = ServerProcess::start(binary(), &data, arguments);
        let address = format!("127.0.0.1:{}", server.port());
        let segments = data.join("segments");
        let files_now = std::fs::read_dir(&segments).expect("a folder").count();
        let mut client = client_of(&address).await;
        for name in &kept {
            assert_eq!(read(&mut client, name).await.expect("acknowledged"), 200_000, "{name}");
        }
        // Of each kill one durable put may be there that was not acknowledged.
        let tables = server_tables(&mut client).await;
        assert!((kept.len()..=kept.len() + round).contains(&tables), "{tables}, and {} were kept", kept.len());
        // Files of the ephemeral ones, whole and half, are gone.
        assert!(files_now <= tables, "round {round}: {files_now} files for {tables} tables");

        // Through the socket whose file the process before has left, if it did.
        let url = format!("grpc+unix://{socket_text}");
        let local = airlane_client::Client::connect(&url).await.expect("the socket is this server's");
        assert_eq!(local.list("").await.expect("answered").len(), tables);

        let load = tokio::spawn(async move {
            let mut done = Vec::new();
            for number in 0.. {
                let (name, durability) = match number % 4 {
                    0 => (format!("kept{round}-{number}"), "durable"),
                    _ => (format!("gone{round}-{number}"), "ephemeral"),
                };
                let mut request = Request::new(encode(by_path(&name), numbers_schema(), vec![numbers(0, 200_000)]));
                request.metadata_mut().insert("airlane-durability", durability.parse().expect("a header"));
                match put_request(&mut client, request).await {
                    Ok(_) if durability == "durable" => done.push(name),
                    Ok(_) => {}
                    // Faster than tables can be moved.
                    Err(status) if code_name(&status) == "memory_full" => {}
                    // The end of the server.
                    Err(_) => break,
                }
            }
            done
        });
        eventually_async("tables are moved to disk", async || {
            metric_of(&address, "airlane_memory_spilled_bytes").await > 4e6
        })
        .await;
        server.kill();
        kept.extend(load.await.expect("a load"));
    }
}

async fn server_tables(client: &mut Client) -> usize {
    let flights = client.list_flights(arrow_flight::Criteria::default()).await.expect("a list").into_inner();
    flights.try_collect::<Vec<_>>().await.expect("a list").len()
}

/// A folder as a later version would leave it is refused with a clear error, and every byte of it stays.
#[tokio::test(flavor = "multi_thread")]
async fn d13_a_folder_of_a_later_version_is_refused_and_left_untouched() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = ServerProcess::start(binary(), &data, [""; 0]);
    let mut client = client_of(&format!("127.0.0.1:{}", server.port())).await;
    put_with(&mut client, "small", 10, &[]).await;
    put_with(&mut client, "large", 200_000, &[("airlane-ttl", "1h")]).await;
    ticket_of(&mut client, "small").await;
    drop(client);
    assert!(server.stop().0.success());
    // What a crash leaves beside: a start would clear it away.
    std::fs::write(data.join("segments/0123456789abcdef0123456789abcdef.spill"), b"of a process before")
        .expect("a file");

    let later_format = || std::fs::write(data.join("FORMAT"), "airlane data format 2\n").expect("written");
    let later_layout = || {
        std::fs::write(data.join("FORMAT"), "airlane data format 1\n").expect("written");
        let catalog = std::fs::OpenOptions::new().write(true).open(data.join("catalog.db")).expect("the catalog");
        // `user_version` (https://www.sqlite.org/fileformat2.html, section 1.3).
        catalog.write_all_at(&99_u32.to_be_bytes(), 60).expect("written");
    };
    let changes: [(&dyn Fn(), &str); 2] = [
        (&later_format, "the data folder has format `2`, this version reads 1"),
        (&later_layout, "the catalog has the layout 99"),
    ];
    for (change, message) in changes {
        change();
        let before = files(&data);
        let mut command = airlane(folder.path());
        command.args(["serve", "--port", "0", "--data-dir"]).arg(&data);
        let (code, said) = fail(&mut command);
        assert_ne!(code, 101, "{said}");
        assert!(said.contains(message) && said.contains("start the version"), "{said}");
        let after = files(&data);
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{message}");
        let changed: Vec<_> =
            before.iter().filter(|(path, bytes)| after[*path] != **bytes).map(|(path, _)| path).collect();
        assert!(changed.is_empty(), "{message}: {changed:?}");
    }
}
