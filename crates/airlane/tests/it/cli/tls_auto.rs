//! `airlane serve --tls auto`, and those who trust it.

use airlane_testkit::ServerProcess;

use super::{airlane, binary, fail, succeed};

#[test]
fn clients_that_trust_the_authority_connect_and_others_do_not() {
    let folder = tempfile::tempdir().expect("folder");
    let (path, data) = (folder.path(), folder.path().join("data"));
    let authority = data.join("tls/authority.pem").display().to_string();
    std::fs::write(path.join("n.csv"), "n\n1\n").expect("written");
    let server = ServerProcess::start(binary(), &data, ["--tls", "auto"]);
    let of = |server: &ServerProcess, host: &str| format!("grpc+tls://{host}:{}", server.port());
    for host in ["localhost", "127.0.0.1"] {
        let url = of(&server, host);
        succeed(airlane(path).args(["put", "n", "n.csv", "--url", &url, "--tls-ca", &authority]));
        let (code, stderr) = fail(airlane(path).args(["ls", "--url", &url]));
        assert!(code == 15 && stderr.contains("invalid peer certificate: UnknownIssuer"), "{code}: {stderr}");
    }
    let (_, stderr) = fail(airlane(path).args(["ls", "--url", &server.url()]));
    assert!(stderr.contains("hint: "), "plain is not spoken: {stderr}");
    let (kept, key) = (std::fs::read(&authority).expect("there"), std::fs::read(data.join("tls/authority.key")));
    let (status, stderr) = server.stop();
    assert!(status.success() && stderr.contains(&format!("--tls-ca {authority}")), "{stderr}");

    let again = ServerProcess::start(binary(), &data, ["--tls", "auto", "--tls-names", "data.example.org"]);
    assert_eq!(std::fs::read(&authority).expect("there"), kept, "a restart keeps the authority");
    assert_eq!(std::fs::read(data.join("tls/authority.key")).ok(), key.ok());
    let listed = succeed(airlane(path).args(["ls", "--url", &of(&again, "localhost"), "--tls-ca", &authority]));
    assert!(listed.contains('n'), "{listed}");
}

#[test]
fn an_authority_that_cannot_be_kept_is_no_start() {
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("data");
    assert!(ServerProcess::start(binary(), &data, [] as [&str; 0]).stop().0.success());
    std::fs::write(data.join("tls"), "a file").expect("written");
    let serve = ["serve", "--port", "0", "--data-dir", "data", "--tls", "auto"];
    let (code, stderr) = fail(airlane(folder.path()).args(serve));
    assert!(code != 0 && stderr.contains("data/tls") && stderr.contains("hint: "), "{code}: {stderr}");
    let (code, stderr) = fail(airlane(folder.path()).args(serve).args(["--tls-certificate", "x", "--tls-key", "y"]));
    assert!(code == 10 && stderr.contains("choose one"), "{code}: {stderr}");
}
