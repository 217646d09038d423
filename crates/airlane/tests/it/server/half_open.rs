//! G7: clients whose network ends without a word, in network namespaces of their own; and G7's cap for one address, which needs
//! an address that is not loopback.

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use airlane_testkit::ServerProcess;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::harness::*;
use super::raw::*;
use super::rights::eventually_async;
use super::tables::*;
use crate::cli::binary;

const SERVER: &str = "10.231.77.1";
const CLIENT: &str = "10.231.77.2";

/// Two networks with a cable between them; dropping it takes them away.
struct Cable {
    server: String,
    client: String,
}

/// Runs a command; what it said when it failed.
fn done(command: &str) -> Result<(), String> {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap_or_default()).args(words).output();
    let output = output.map_err(|error| format!("`{command}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{command}`: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

impl Cable {
    /// None, and said why, where nobody may make networks.
    fn lay(test: &str) -> Option<Self> {
        let id = format!("{}-{}", std::process::id(), test.len());
        let cable = Self { server: format!("airlane-s{id}"), client: format!("airlane-c{id}") };
        let Self { server, client } = &cable;
        let made = done(&format!("ip netns add {server}"))
            .and_then(|()| done(&format!("ip netns add {client}")))
            .and_then(|()| done(&format!("ip -n {server} link add eth0 type veth peer name eth0 netns {client}")))
            .and_then(|()| done(&format!("ip -n {server} address add {SERVER}/24 dev eth0")))
            .and_then(|()| done(&format!("ip -n {client} address add {CLIENT}/24 dev eth0")))
            .and_then(|()| done(&format!("ip -n {server} link set lo up")))
            .and_then(|()| done(&format!("ip -n {server} link set eth0 up")))
            .and_then(|()| done(&format!("ip -n {client} link set eth0 up")));
        match made {
            Ok(()) => Some(cable),
            Err(reason) => {
                println!("SKIPPED: {test}: no network namespaces can be made here: {reason}");
                None
            }
        }
    }

    /// Pulls it out: what is sent goes nowhere, and nobody says so.
    fn pull(&self) {
        done(&format!("ip -n {} link set eth0 down", self.client)).expect("the link goes down");
    }

    fn serve(&self, folder: &std::path::Path, settings: &[&str]) -> ServerProcess {
        let mut launcher = vec!["ip", "netns", "exec", &self.server, "env", "AIRLANE_INSECURE=true"];
        let listen = format!("AIRLANE_LISTEN={SERVER}");
        launcher.push(&listen);
        launcher.extend(settings);
        ServerProcess::start_by(&launcher, binary(), &folder.join("data")).expect("a server")
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in [&self.server, &self.client] {
            let _ = done(&format!("ip netns delete {name}"));
        }
    }
}

/// A socket from a network to the server. It stays of that network wherever it is used.
fn connect_from(network: &str, port: u16) -> std::io::Result<TcpStream> {
    let network = std::fs::File::open(format!("/run/netns/{network}"))?;
    // A thread of its own: which network it is in is a matter of the thread.
    let connecting = std::thread::spawn(move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        let tcp = TcpStream::connect((SERVER, port))?;
        tcp.set_nonblocking(true)?;
        Ok(tcp)
    });
    connecting.join().expect("no panic")
}

async fn line_from(network: &str, port: u16) -> Line {
    let tcp = tokio::net::TcpStream::from_std(connect_from(network, port).expect("a connection")).expect("a socket");
    Line::with(h2::client::Builder::new(), tcp).await
}

/// The metrics, asked for from the server's own network.
async fn metric_at(cable: &Cable, port: u16, line: &str) -> Option<f64> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let tcp = connect_from(&cable.server, port).expect("a connection");
    let mut tcp = tokio::net::TcpStream::from_std(tcp).expect("a socket");
    tcp.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("asked");
    let mut text = String::new();
    tcp.read_to_string(&mut text).await.expect("answered");
    text.lines().find_map(|it| it.strip_prefix(line)).map(|value| value.trim().parse().expect("a number"))
}

/// 35 seconds are asked for, of which keep-alive takes 30 at most. A slow machine may take longer to notice, so that this
/// test tells how long it was and fails only when the streams never end.
#[tokio::test(flavor = "multi_thread")]
async fn g7_streams_of_a_link_that_goes_down_end_and_give_their_memory_back() {
    let test = "g7_streams_of_a_link_that_goes_down_end_and_give_their_memory_back";
    let Some(cable) = Cable::lay(test) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let server = cable.serve(folder.path(), &[]);
    let port = server.port();

    let writer = line_from(&cable.client, port).await;
    let batches: Vec<_> = (0..30).map(|index| numbers(index * 100_000, 100_000)).collect();
    let mut messages = encoded("t", &batches).await;
    let mut first = writer.call(DO_PUT, &[("airlane-durability", "ephemeral")]).await;
    messages.iter().for_each(|message| first.send(grpc_of(message)));
    first.end();
    assert_eq!(first.answer().await.0.code(), tonic::Code::Ok);
    let memory = memory_of(server.id());

    // A put that goes on, and a reader that stands, each on a line of its own.
    let reader = line_from(&cable.client, port).await;
    let mut read = reader.call(DO_GET, &[]).await;
    read.send(grpc_of(&arrow_flight::Ticket::new("t")));
    read.end();
    let _body = read.stall().await;
    messages.pop();
    messages[0] = encoded("broken", &batches).await.remove(0);
    let mut put = writer.call(DO_PUT, &[("airlane-durability", "ephemeral")]).await;
    messages.iter().for_each(|message| put.send(grpc_of(message)));
    const PUTS: &str = "airlane_memory_bytes{use=\"puts\"}";
    eventually_async("the put holds memory", async || {
        metric_at(&cable, port, PUTS).await.is_some_and(|bytes| bytes > 1e6)
    })
    .await;

    let begun = Instant::now();
    cable.pull();
    let both = ["airlane_requests_open{rpc=\"DoPut\"}", "airlane_requests_open{rpc=\"DoGet\"}"];
    for _ in 0..2 {
        // Twice the minute that nothing on the way needs.
        let ended = async {
            loop {
                let mut open = 0.0;
                for rpc in both {
                    open += metric_at(&cable, port, rpc).await.expect("counted");
                }
                if open == 0.0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), ended).await.is_ok() {
            break;
        }
    }
    for rpc in both {
        assert_eq!(metric_at(&cable, port, rpc).await, Some(0.0), "{rpc} after {:?}", begun.elapsed());
    }
    println!("{test}: the streams ended after {:.1} s", begun.elapsed().as_secs_f64());
    eventually_async("what the put held is given back", async || metric_at(&cable, port, PUTS).await == Some(0.0))
        .await;
    // What is left over is what the table was put with.
    eventually("the memory is the machine's again", || memory_of(server.id()) < memory + (16 << 20)).await;
    let (status, log) = server.stop();
    assert!(status.success() && !log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g7_an_address_of_the_network_has_a_cap_of_its_own() {
    let test = "g7_an_address_of_the_network_has_a_cap_of_its_own";
    let Some(cable) = Cable::lay(test) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let server = cable.serve(folder.path(), &["AIRLANE_CONNECTIONS_PER_ADDRESS_MAX=4"]);
    let port = server.port();
    let mut lines = Vec::new();
    for _ in 0..4 {
        lines.push(line_from(&cable.client, port).await);
    }
    for _ in 0..100 {
        let above = tokio::net::TcpStream::from_std(connect_from(&cable.client, port).expect("the kernel takes it"));
        let mut above = above.expect("a socket");
        let read = tokio::io::AsyncReadExt::read(&mut above, &mut [0; 16]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "closed: {read:?}");
    }
    for line in &lines {
        assert!(line.is_open().await, "who is there goes on");
    }
    // The server's own address is another one.
    let refused = metric_at(&cable, port, "airlane_connections_refused_total{cap=\"address\"}").await;
    assert_eq!(refused, Some(100.0));
    drop(lines);
    eventually_async("those that end make room", async || {
        let open = metric_at(&cable, port, "airlane_connections_open").await;
        open == Some(1.0)
    })
    .await;
    let line = line_from(&cable.client, port).await;
    assert!(line.is_open().await);
    drop(line);
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    let told = log.lines().filter(|line| line.contains("connections were closed at once")).count();
    assert!((1..=3).contains(&told), "{told} lines for 100: {log}");
}
