//! `airlane doctor` before servers that are well, that are not, and that are something else.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use airlane_testkit::ServerProcess;
use rcgen::date_time_ymd;
use serde_json::Value;

use super::{airlane, binary, fail, succeed};
use crate::certificates::{Authority, dns, named};

/// What the doctor finds: its exit code, and each check with its verdict.
struct Found {
    code: i32,
    report: Value,
}

impl Found {
    fn of(arguments: &[&str]) -> Self {
        Self::with(arguments, |_| {})
    }

    fn with(arguments: &[&str], change: impl FnOnce(&mut std::process::Command)) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let mut command = airlane(folder.path());
        command.args(["doctor", "--json", "--idle", "100ms"]).args(arguments);
        change(&mut command);
        let Output { status, stdout, stderr } = command.output().expect("the command starts");
        let report = serde_json::from_slice(&stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&stderr)));
        Self { code: status.code().expect("an exit code"), report }
    }

    fn checks(&self) -> &[Value] {
        self.report["checks"].as_array().expect("checks")
    }

    fn verdict(&self, check: &str) -> &str {
        let found = self.checks().iter().find(|found| found["check"] == check);
        found.and_then(|found| found["verdict"].as_str()).unwrap_or("absent")
    }

    /// That one check failed, with these words and something to do, and that nothing was asked after it.
    #[track_caller]
    fn failed(&self, check: &str, words: &str) {
        assert_eq!(self.code, 1, "{:#}", self.report);
        let failed: Vec<_> = self.checks().iter().filter(|found| found["verdict"] == "fail").collect();
        let [failed] = failed[..] else { panic!("not one failure: {:#}", self.report) };
        assert_eq!(failed["check"], check, "{:#}", self.report);
        assert!(failed["message"].as_str().expect("text").contains(words), "{failed:#}");
        assert!(!failed["hint"].as_str().expect("a hint").is_empty(), "{failed:#}");
    }
}

fn tls(
    folder: &Path,
    authority: &Authority,
    change: impl FnOnce(&mut rcgen::CertificateParams),
) -> (ServerProcess, String) {
    let files = authority.server(folder, change);
    std::fs::write(folder.join("ca.pem"), authority.pem()).expect("written");
    let [certificate, key] = [files.certificate, files.key].map(|path| path.display().to_string());
    let arguments = ["--tls-certificate", &certificate, "--tls-key", &key];
    (ServerProcess::start(binary(), &folder.join("data"), arguments), folder.join("ca.pem").display().to_string())
}

const CHECKS: [&str; 12] = [
    "address",
    "connect",
    "protocol",
    "health",
    "proxy",
    "clock",
    "round-trip",
    "large-header",
    "large-body",
    "quiet-stream",
    "credentials",
    "write",
];

#[test]
fn a_server_that_is_well_passes_every_check_and_keeps_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let socket = folder.path().join("a.sock");
    let arguments = ["--unix-socket", &socket.display().to_string()];
    let server = ServerProcess::start(binary(), &folder.path().join("data"), arguments);
    let url = server.url();
    let found = Found::of(&[&url, "--write"]);
    let checks: Vec<_> = found.checks().iter().map(|found| found["check"].as_str().expect("a name")).collect();
    assert_eq!(checks, CHECKS);
    assert!(found.code == 0 && found.report["verdict"] == "ok", "{:#}", found.report);
    assert_eq!(succeed(airlane(folder.path()).args(["ls", "--json", "--url", &url])), "[]\n", "nothing is left");

    let found = Found::of(&["--url", &format!("grpc+unix://{}", socket.display())]);
    assert!(found.code == 0 && found.verdict("write") == "absent", "{:#}", found.report);

    let health = succeed(airlane(folder.path()).args(["doctor", &url, "--health", "--json"]));
    let health: Value = serde_json::from_str(&health).expect("a report");
    let asked: Vec<_> = health["checks"].as_array().expect("checks").iter().map(|found| &found["check"]).collect();
    assert_eq!(asked, CHECKS[..4].iter().collect::<Vec<_>>(), "no more than a probe asks");

    let text = succeed(airlane(folder.path()).args(["doctor", &url, "--idle", "100ms"]));
    assert!(text.starts_with("ok    address") && text.ends_with("11 ok, 0 to look at, 0 failed\n"), "{text}");
}

#[test]
fn a_server_with_tls_passes_and_mistaken_protocols_are_told_apart() {
    let folder = tempfile::tempdir().expect("folder");
    let (secure, ca) = tls(folder.path(), &Authority::new(), |_| {});
    let plain = ServerProcess::start(binary(), &folder.path().join("plain"), [] as [&str; 0]);
    for host in ["localhost", "127.0.0.1"] {
        let found = Found::of(&[&format!("grpc+tls://{host}:{}", secure.port()), "--tls-ca", &ca]);
        assert_eq!(found.code, 0, "{:#}", found.report);
        assert_eq!(["certificate", "http2", "credentials"].map(|check| found.verdict(check)), ["ok"; 3]);
    }
    Found::of(&[&secure.url()]).failed("protocol", "speaks TLS, and the address says that it does not");
    Found::of(&[&format!("grpc+tls://127.0.0.1:{}", plain.port())]).failed("protocol", "speaks no TLS");
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_with_the_reason() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("folder");
    let other = folder.path().join("other.pem");
    std::fs::write(&other, Authority::new().pem()).expect("written");
    let (server, ca) = tls(folder.path(), &authority, |_| {});
    let url = format!("grpc+tls://localhost:{}", server.port());
    let found = Found::of(&[&url, "--tls-ca", &other.display().to_string()]);
    found.failed("certificate", "none of the authorities of `--tls-ca`");
    assert_eq!(found.verdict("health"), "ok", "what needs no trust is examined all the same");
    assert_eq!(found.verdict("credentials"), "absent", "credentials are shown to nobody who is not trusted");
    Found::of(&[&url]).failed("certificate", "no authority that this system trusts");

    let folder = tempfile::tempdir().expect("folder");
    let (server, _) = tls(folder.path(), &authority, |params| params.not_after = date_time_ymd(2024, 5, 6));
    let url = format!("grpc+tls://localhost:{}", server.port());
    Found::of(&[&url, "--tls-ca", &ca]).failed("certificate", "expired: it was good until 2024-05-06");

    let folder = tempfile::tempdir().expect("folder");
    let is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let (server, _) = tls(folder.path(), &authority, |params| params.is_ca = is_ca);
    let url = format!("grpc+tls://localhost:{}", server.port());
    Found::of(&[&url, "--tls-ca", &ca]).failed("certificate", "that of an authority");

    let folder = tempfile::tempdir().expect("folder");
    let (server, _) = tls(folder.path(), &authority, named(vec![dns("data.example.org")]));
    let url = format!("grpc+tls://localhost:{}", server.port());
    Found::of(&[&url, "--tls-ca", &ca]).failed("certificate", "not for `localhost`, but for data.example.org");
}

#[test]
fn a_server_without_callers_for_the_credentials_is_told() {
    let folder = tempfile::tempdir().expect("folder");
    let rights = folder.path().join("rights.toml");
    std::fs::write(&rights, "").expect("written");
    let arguments = ["--rights-file", &rights.display().to_string()];
    let server = ServerProcess::start(binary(), &folder.path().join("data"), arguments);
    Found::of(&[&server.url()]).failed("credentials", "the request has none");
    let wrong = Found::with(&[&server.url()], |command| _ = command.env("AIRLANE_TOKEN", "canary"));
    wrong.failed("credentials", "no such token");
    assert!(!wrong.report.to_string().contains("canary"));
}

#[test]
fn a_server_that_asks_for_certificates_takes_those_of_the_settings() {
    let (folder, authority) = (tempfile::tempdir().expect("folder"), Authority::new());
    let identity = authority.client(named(vec![dns("web.example.org")]));
    let path = |name: &str| folder.path().join(name).display().to_string();
    let files = authority.server(folder.path(), |_| {});
    let [certificate, key] = [files.certificate, files.key].map(|path| path.display().to_string());
    for (name, bytes) in [
        ("ca.pem", &authority.pem()[..]),
        ("me.pem", &identity.certificate),
        ("me.key", identity.key.expose().as_bytes()),
        ("rights.toml", b"[certificate.web]\ndns = \"web.example.org\"\n[rights.web]\n\"*\" = [\"read\", \"write\"]\n"),
    ] {
        std::fs::write(path(name), bytes).expect("written");
    }
    let (ca, rights) = (path("ca.pem"), path("rights.toml"));
    let server = ServerProcess::start(
        binary(),
        &folder.path().join("data"),
        ["--tls-certificate", &certificate, "--tls-key", &key, "--rights-file", &rights].into_iter().chain([
            "--tls-client-ca",
            &ca,
            "--tls-client-auth",
            "required",
        ]),
    );
    let url = format!("grpc+tls://localhost:{}", server.port());
    let shown = ["--tls-client-certificate", &path("me.pem"), "--tls-client-key", &path("me.key")];
    let with = |arguments: &[&str]| {
        [arguments, &["--tls-ca", &ca], &shown].concat().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let arguments = with(&[&url, "--write"]);
    let found = Found::of(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(found.code == 0 && found.verdict("write") == "ok", "{:#}", found.report);
    assert_eq!(succeed(airlane(folder.path()).args(with(&["ls", "--json", "--url", &url]))), "[]\n");

    let found = Found::of(&[&url, "--tls-ca", &ca]);
    found.failed("health", "no answer over HTTP/2");
    assert!(found.report.to_string().contains("--tls-client-certificate"), "{:#}", found.report);
    let half = ["ls", "--url", &url, "--tls-ca", &ca, "--tls-client-key", &path("me.key")];
    let (code, stderr) = fail(airlane(folder.path()).args(half));
    assert!(code == 10 && stderr.contains("go together"), "{code}: {stderr}");
}

/// A server that does to each connection as it is told.
fn other_server(serve: impl Fn(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    port
}

#[test]
fn what_is_no_server_of_ours_is_told_and_holds_nobody() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    Found::of(&[&format!("grpc://127.0.0.1:{nobody}")]).failed("connect", "refused");
    Found::of(&["grpc://there-is-no-such-host.invalid:1"]).failed("address", "has no address");

    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    for scheme in ["grpc", "grpc+tls"] {
        let url = format!("{scheme}://127.0.0.1:{port}");
        Found::of(&[&url, "--timeout", "2s"]).failed("protocol", "within 2.00 s");
    }
    let http_1 = other_server(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    });
    Found::of(&[&format!("grpc://127.0.0.1:{http_1}")]).failed("protocol", "HTTP/1.1 is spoken there");
    Found::of(&[&format!("grpc+tls://127.0.0.1:{http_1}")]).failed("protocol", "speaks no TLS");
    let closing = other_server(drop);
    Found::of(&[&format!("grpc://127.0.0.1:{closing}")]).failed("protocol", "closed at once");
    let else_ = other_server(|mut stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        let _ = stream.read(&mut [0; 1024]);
    });
    Found::of(&[&format!("grpc://127.0.0.1:{else_}")]).failed("protocol", "neither HTTP nor TLS");
    // HTTP/2 that answers no request.
    let stuck = other_server(|mut stream| {
        let _ = stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
        std::thread::spawn(move || while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {});
    });
    Found::of(&[&format!("grpc://127.0.0.1:{stuck}"), "--timeout", "2s"]).failed("health", "no answer over HTTP/2");
}
