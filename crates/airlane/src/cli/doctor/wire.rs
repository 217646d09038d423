//! The way to the server, and what is spoken at its end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use airlane_client::Address;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::findings::{Findings, Patience};
use crate::output::human;

/// What HTTP/2 connections begin with (RFC 9113, section 3.4), and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
const FRAME_HEAD_BYTES: usize = 9;
const TYPE_SETTINGS: u8 = 4;
/// An alert of TLS, and the first bytes of a handshake that any server of TLS answers to.
const TLS_ALERT: u8 = 0x15;

/// Bytes in both directions.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Where the server is, so that it can be connected to again and again.
#[derive(Clone, Debug)]
pub(super) enum Route {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Route {
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Io>> {
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        }
    }
}

/// Resolves the name and connects to the first address that takes a connection.
pub(super) async fn route(address: &Address, patience: Patience, findings: &mut Findings) -> Option<Route> {
    let (host, port) = match address {
        Address::Unix { path } => {
            let route = Route::Unix(path.clone());
            return connect(vec![route], patience, findings).await;
        }
        Address::Tcp { host, port } | Address::Tls { host, port } => (host, *port),
    };
    let name = host.trim_matches(['[', ']']);
    let found = patience.wait(tokio::net::lookup_host((name, port))).await;
    let addresses: Vec<SocketAddr> = match found {
        Some(Ok(addresses)) => addresses.collect(),
        Some(Err(error)) => {
            let hint = "look for a slip in the name, and whether this machine's DNS knows it";
            findings.fail("address", format!("`{name}` has no address: {error}"), hint);
            return None;
        }
        None => {
            findings.fail("address", format!("nobody says where `{name}` is"), "look at this machine's DNS");
            return None;
        }
    };
    let shown: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    if name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_unspecified()) {
        let hint = "that is where a server listens; connect to the name or the address of its machine";
        findings.warn("address", format!("`{name}` is no address of a machine"), hint);
    } else {
        findings.ok("address", format!("`{name}` is {}", shown.join(", ")));
    }
    connect(addresses.into_iter().map(Route::Tcp).collect(), patience, findings).await
}

async fn connect(routes: Vec<Route>, patience: Patience, findings: &mut Findings) -> Option<Route> {
    let mut reasons = Vec::new();
    for route in routes {
        let begun = std::time::Instant::now();
        match patience.wait(route.connect()).await {
            Some(Ok(_)) => {
                findings.ok("connect", format!("connected after {}", human::duration(begun.elapsed())));
                return Some(route);
            }
            Some(Err(error)) => reasons.push((error.to_string(), hint_of(&error))),
            None => {
                let hint = "a firewall drops what goes there, or the machine is off";
                reasons.push((format!("no answer within {}", human::duration(patience.each)), hint));
            }
        }
    }
    let (reason, hint) = reasons.pop().unwrap_or_else(|| ("the name has no address".into(), "look at its DNS entry"));
    findings.fail("connect", reason, hint);
    None
}

fn hint_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nobody listens there: start the server, look at the port, and whether it listens on 127.0.0.1 alone"
        }
        io::ErrorKind::NotFound => "there is no such socket: start the server with `--unix-socket`",
        io::ErrorKind::PermissionDenied => "this user may not connect there: the socket is for the server's user alone",
        _ => "look at the network between this machine and the server",
    }
}

/// What somebody answers to the beginning of HTTP/2.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Http2,
    Http1,
    Tls,
    Silence,
    Closed,
    Else,
}

/// Tells what is spoken in plain.
pub(super) async fn spoken(route: &Route, patience: Patience) -> Spoken {
    let asked = async {
        let mut stream = route.connect().await?;
        stream.write_all(PREFACE).await?;
        let mut answer = [0; FRAME_HEAD_BYTES];
        let mut filled = 0;
        while filled < answer.len() {
            match stream.read(&mut answer[filled..]).await {
                Ok(0) => break,
                Ok(count) => filled += count,
                // What was said before the connection was cut still tells.
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        io::Result::Ok(answer[..filled].to_vec())
    };
    match patience.wait(asked).await {
        None => Spoken::Silence,
        Some(Err(_)) => Spoken::Closed,
        Some(Ok(answer)) => match &answer[..] {
            [] => Spoken::Closed,
            [TLS_ALERT, 3, ..] => Spoken::Tls,
            answer if answer.starts_with(b"HTTP/1") => Spoken::Http1,
            [_, _, _, TYPE_SETTINGS, ..] => Spoken::Http2,
            _ => Spoken::Else,
        },
    }
}

/// Judges what is spoken at an address that was given as plain.
pub(super) async fn protocol(route: &Route, patience: Patience, findings: &mut Findings) -> Option<()> {
    const CHECK: &str = "protocol";
    let mut spoken = spoken(route, patience).await;
    if spoken == Spoken::Closed && super::secure::answers_tls(route, patience).await {
        spoken = Spoken::Tls;
    }
    match spoken {
        Spoken::Http2 => {
            findings.ok(CHECK, "HTTP/2 without TLS");
            return Some(());
        }
        Spoken::Tls => findings.fail(
            CHECK,
            "the server speaks TLS, and the address says that it does not",
            "write grpc+tls:// instead of grpc://, and `--tls-ca` with an authority of your own",
        ),
        Spoken::Http1 => findings.fail(
            CHECK,
            "HTTP/1.1 is spoken there, and HTTP/2 is not",
            "this is another server, or a proxy that has to take HTTP/2 for gRPC; deploy/ has configurations that do",
        ),
        Spoken::Silence => findings.fail(
            CHECK,
            format!("connections are taken, and nothing is said within {}", human::duration(patience.each)),
            "this is another service, or one that is stuck; a tunnel or balancer without a server behind it does this too",
        ),
        Spoken::Closed => findings.fail(
            CHECK,
            "connections are taken and closed at once",
            "this is a balancer without a server behind it, or another service",
        ),
        Spoken::Else => findings.fail(CHECK, "neither HTTP nor TLS is spoken there", "look at the port"),
    }
    None
}
