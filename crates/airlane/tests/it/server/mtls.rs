//! Callers that are known by a certificate.

use std::path::Path;

use airlane::server::{ClientAuthorities, ClientCertificates, TlsOptions};
use airlane_client::{Client, ClientIdentity, ConnectOptions, Credentials};
use airlane_model::{Secret, codes};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyIdMethod, NameConstraints, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

use super::harness::TestServer;
use super::rights::*;
use super::tables::*;
use crate::certificates::*;

const INGEST: &str = "spiffe://example.org/ingest";
const WEB: &str = "web.example.org";
const RIGHTS: &str = "[certificate.ingest]\nuri = \"spiffe://example.org/ingest\"\n[certificate.web]\ndns = \"web.example.org\"\n\
    [certificate.admin]\ndns = \"admin\"\n\
    [rights.ingest]\neu = [\"read\"]\n[rights.web]\nus = [\"read\"]\n[rights.admin]\n\"*\" = [\"read\"]\n\
    [rights.ci]\n\"*\" = [\"read\"]\n[rights.anonymous]\n";

/// A server with certificates for its clients; `eu/t` and `us/t` are there.
struct Guarded {
    server: TestServer,
    /// Of the server.
    authority: Authority,
}

impl Guarded {
    async fn start(clients: &Authority, asked: ClientCertificates, revocations: Option<&str>) -> Self {
        let authority = Authority::new();
        let server = TestServer::start_with(|store, options| {
            let folder = store.folder.as_ref().expect("a folder").parent().expect("a parent").to_owned();
            let path = folder.join("clients.pem");
            std::fs::write(&path, clients.pem()).expect("written");
            let list = revocations.map(|text| {
                std::fs::write(folder.join("clients.crl"), text).expect("written");
                folder.join("clients.crl")
            });
            let clients = ClientAuthorities { authorities: path, revocations: list, asked };
            options.tls = Some(TlsOptions { clients: Some(clients), ..authority.server(&folder, |_| {}).into() });
            std::fs::write(folder.join("rights.toml"), rights_file(&["ci"], RIGHTS)).expect("written");
            options.rights_file = Some(folder.join("rights.toml"));
        })
        .await;
        for name in ["eu/t", "us/t"] {
            server.put_here(name, &[numbers(0, 10)]).await;
        }
        Self { server, authority }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.server.folder.path().join(name)
    }

    async fn connect(
        &self,
        identity: Option<&ClientIdentity>,
        credentials: Credentials,
    ) -> airlane_model::Result<Client> {
        let options = ConnectOptions {
            credentials,
            authorities: Some(self.authority.pem()),
            identity: identity.cloned(),
            ..ConnectOptions::default()
        };
        Client::connect_with(
            &format!("grpc+tls://localhost:{}", self.server.handle.address().expect("a port").port()),
            &options,
        )
        .await
    }

    /// The tables that a caller sees, or how it is refused: `handshake`, or the code of the gate.
    async fn asks(&self, identity: Option<&ClientIdentity>, token: Option<&str>) -> String {
        let credentials = match token {
            Some(token) => Credentials::Token(Secret::new(token)),
            None => Credentials::None,
        };
        let listed = match self.connect(identity, credentials).await {
            Ok(client) => client.list("").await,
            Err(error) => Err(error),
        };
        match listed {
            Ok(tables) => tables.iter().map(|info| info.table.to_string()).collect::<Vec<_>>().join(" "),
            // With TLS 1.3 a client learns only after its handshake that the server has refused it.
            Err(error) if [codes::SERVER_UNREACHABLE, codes::CONNECTION_BROKEN].contains(&error.code()) => {
                "handshake".into()
            }
            Err(error) => error.code().name().into(),
        }
    }

    async fn shows(&self, identity: &ClientIdentity) -> String {
        self.asks(Some(identity), None).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_a_caller_is_whom_one_whole_name_of_its_certificate_names() {
    let authority = Authority::new();
    let guarded = Guarded::start(&authority, ClientCertificates::Optional, None).await;
    let refused = "credentials_refused";
    let cases: Vec<(&str, &str, Vec<SanType>)> = vec![
        ("a URI", "eu/t", vec![uri(INGEST)]),
        ("a DNS name", "us/t", vec![dns(WEB)]),
        ("a name beside it that is nobody's", "eu/t", vec![dns("other.example.org"), uri(INGEST)]),
        ("two names of two callers", refused, vec![uri(INGEST), dns(WEB)]),
        ("a wildcard", refused, vec![dns("*.example.org")]),
        ("a longer URI", refused, vec![uri("spiffe://example.org/ingest/x")]),
        ("a URI as DNS name", refused, vec![dns(INGEST)]),
        ("another case", refused, vec![dns("WEB.example.org")]),
        ("a dot at the end", refused, vec![dns("web.example.org.")]),
        ("no name", refused, vec![]),
        ("an address", refused, vec![SanType::IpAddress([127, 0, 0, 1].into())]),
        ("e-mail", refused, vec![SanType::Rfc822Name(WEB.try_into().expect("ASCII"))]),
    ];
    for (what, due, names) in cases {
        assert_eq!(guarded.shows(&authority.client(named(names))).await, due, "{what}");
    }
    for (what, parts) in [
        ("a CN", &[(DnType::CommonName, WEB)][..]),
        ("a CN that is a URI", &[(DnType::CommonName, INGEST)]),
        ("O=admin,CN=x", &[(DnType::OrganizationName, "admin"), (DnType::CommonName, "x")]),
        ("O and CN in one", &[(DnType::CommonName, "x,O=admin"), (DnType::OrganizationName, "admin")]),
    ] {
        assert_eq!(guarded.shows(&authority.client(subject(parts))).await, refused, "{what}");
    }
    let both = authority.client(|params| {
        subject(&[(DnType::CommonName, WEB)])(params);
        named(vec![uri(INGEST)])(params);
    });
    assert_eq!(guarded.shows(&both).await, "eu/t", "the CN is not looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_certificates_that_do_not_hold_end_in_the_handshake() {
    let authority = Authority::new();
    let guarded = Guarded::start(&authority, ClientCertificates::Optional, None).await;
    let with = |change: &dyn Fn(&mut CertificateParams)| {
        authority.client(|params| {
            named(vec![uri(INGEST)])(params);
            change(params);
        })
    };
    assert_eq!(guarded.shows(&with(&|_| {})).await, "eu/t", "the one that all others differ from in one thing");
    for (what, identity) in [
        ("expired", with(&|params| params.not_after = date_time_ymd(2020, 1, 1))),
        ("not yet good", with(&|params| params.not_before = date_time_ymd(4000, 1, 1))),
        ("for servers", with(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])),
        ("for nothing in particular", with(&|params| params.extended_key_usages = vec![])),
        ("for anything", with(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any])),
        ("another authority", Authority::new().client(named(vec![uri(INGEST)]))),
        ("its own authority", self_signed()),
        ("an authority", with(&|params| params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained))),
    ] {
        assert_eq!(guarded.shows(&identity).await, "handshake", "{what}");
    }
    // The key of somebody else.
    let (one, other) = (with(&|_| {}), with(&|_| {}));
    let crossed = ClientIdentity { certificate: one.certificate, key: other.key };
    assert_eq!(guarded.shows(&crossed).await, "handshake", "the key of another certificate");
}

fn self_signed() -> ClientIdentity {
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![uri(INGEST)];
    let key = key();
    let certificate = params.self_signed(&key).expect("a certificate").pem().into_bytes();
    ClientIdentity { certificate, key: Secret::new(key.serialize_pem()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_an_authority_signs_only_names_that_it_may() {
    let constrained = Authority::with(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".into())],
            excluded_subtrees: vec![GeneralSubtree::DnsName("secret.example.org".into())],
        });
    });
    let guarded = Guarded::start(&constrained, ClientCertificates::Optional, None).await;
    assert_eq!(guarded.shows(&constrained.client(named(vec![dns(WEB)]))).await, "us/t");
    for names in [
        vec![dns("web.example.com")],
        vec![dns("a.secret.example.org")],
        vec![dns("admin")],
        vec![dns("*.example.com")],
        vec![dns(WEB), dns("admin")],
    ] {
        let identity = constrained.client(named(names.clone()));
        assert_eq!(guarded.shows(&identity).await, "handshake", "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_stand_in_for_a_certificate_unless_one_is_required() {
    let authority = Authority::new();
    let token = token_of("ci");
    let (known, stranger) =
        (authority.client(named(vec![uri(INGEST)])), authority.client(named(vec![dns("stranger.example.org")])));
    for (asked, without, by_token) in
        [(ClientCertificates::Optional, "", "eu/t us/t"), (ClientCertificates::Required, "handshake", "handshake")]
    {
        let guarded = Guarded::start(&authority, asked, None).await;
        assert_eq!(guarded.asks(None, None).await, without, "{asked:?}: anonymous");
        assert_eq!(guarded.asks(None, Some(&token)).await, by_token, "{asked:?}");
        assert_eq!(guarded.asks(Some(&known), None).await, "eu/t", "{asked:?}");
        assert_eq!(guarded.asks(Some(&known), Some(&token)).await, "eu/t us/t", "{asked:?}: the token decides");
        assert_eq!(guarded.asks(Some(&known), Some("wrong")).await, "credentials_refused", "{asked:?}");
        assert_eq!(guarded.asks(Some(&stranger), None).await, "credentials_refused", "{asked:?}: not anonymous");
        assert_eq!(guarded.asks(Some(&stranger), Some(&token)).await, "eu/t us/t", "{asked:?}");
    }
    let off = Guarded::start(&authority, ClientCertificates::Off, None).await;
    assert_eq!(off.asks(Some(&known), None).await, "", "nobody asks for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_authorities_are_changed_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    let guarded = Guarded::start(&old, ClientCertificates::Required, None).await;
    let [by_old, by_new] = [&old, &new].map(|authority| authority.client(named(vec![uri(INGEST)])));
    let running = guarded.connect(Some(&by_old), Credentials::None).await.expect("connected");
    assert_eq!(guarded.shows(&by_new).await, "handshake");

    let write = |bytes: &[u8]| std::fs::write(guarded.file("clients.pem"), bytes).expect("written");
    write(&[old.pem(), new.pem()].concat());
    guarded.server.handle.reload().now();
    eventually_async("both are taken", async || guarded.shows(&by_new).await == "eu/t").await;
    assert_eq!(guarded.shows(&by_old).await, "eu/t");

    write(b"no authority");
    guarded.server.handle.reload().now();
    write(&new.pem());
    guarded.server.handle.reload().now();
    eventually_async("the old one is not", async || guarded.shows(&by_old).await == "handshake").await;
    assert_eq!(guarded.shows(&by_new).await, "eu/t");
    running.list("").await.expect("a connection goes on");

    // Rights are looked up with each request, on connections that are there too.
    guarded.server.write_rights(&["ci"], "");
    guarded.server.handle.reload().now();
    eventually_async("the rule is gone", async || running.list("").await.is_err()).await;
}

fn list_of_revoked(authority: &Authority, serials: &[u64], year_of_next: i32) -> String {
    let revoked = |serial: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2024, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(year_of_next, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&authority.0).expect("a list").pem().expect("PEM")
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_a_revoked_certificate_is_refused_and_so_is_every_one_without_a_list() {
    let authority = Authority::new();
    let numbered = |serial: u64| {
        authority.client(move |params| {
            named(vec![uri(INGEST)])(params);
            params.serial_number = Some(SerialNumber::from(serial));
        })
    };
    let (good, bad) = (numbered(7), numbered(8));
    let list = list_of_revoked(&authority, &[8], 4000);
    let guarded = Guarded::start(&authority, ClientCertificates::Optional, Some(&list)).await;
    assert_eq!(guarded.shows(&good).await, "eu/t");
    assert_eq!(guarded.shows(&bad).await, "handshake");

    let foreign = list_of_revoked(&Authority::with(subject(&[(DnType::CommonName, "x")])), &[], 4000);
    let stale = list_of_revoked(&authority, &[], 2025);
    let broken = ["", "no list", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", &stale, &foreign];
    for text in broken {
        std::fs::write(guarded.file("clients.crl"), text).expect("written");
        guarded.server.handle.reload().now();
        eventually_async("nobody is taken", async || guarded.shows(&good).await == "handshake").await;
        assert_eq!(guarded.asks(None, Some(&token_of("ci"))).await, "eu/t us/t", "tokens go on");
        std::fs::write(guarded.file("clients.crl"), &list).expect("written");
        guarded.server.handle.reload().now();
        eventually_async("as before", async || guarded.shows(&good).await == "eu/t").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_stock_clients_show_their_certificates() {
    let Some(python) = airlane_testkit::python("s4_stock_clients_show_their_certificates") else { return };
    let authority = Authority::new();
    let guarded = Guarded::start(&authority, ClientCertificates::Required, None).await;
    let identity = authority.client(named(vec![uri(INGEST)]));
    for (name, bytes) in [
        ("ca.pem", &guarded.authority.pem()[..]),
        ("client.pem", &identity.certificate),
        ("client.key", identity.key.expose().as_bytes()),
    ] {
        std::fs::write(guarded.file(name), bytes).expect("written");
    }
    let script = "\
import sys, pyarrow.flight as flight
url, folder = sys.argv[1:]
ca, certificate, key = [open(f'{folder}/{name}', 'rb').read() for name in ('ca.pem', 'client.pem', 'client.key')]
client = flight.connect(url, tls_root_certs=ca, cert_chain=certificate, private_key=key)
assert client.do_get(flight.Ticket('eu/t')).read_all().num_rows == 10
try:
    client.do_get(flight.Ticket('us/t')).read_all()
except KeyError:
    pass
else:
    raise SystemExit('us/t was read')
try:
    list(flight.connect(url, tls_root_certs=ca).list_flights())
except flight.FlightUnavailableError:
    pass
else:
    raise SystemExit('no certificate was asked for')
";
    let url = format!("grpc+tls://localhost:{}", guarded.server.handle.address().expect("a port").port());
    run_python(&python, script, &url, guarded.server.folder.path()).await;
}

async fn run_python(python: &Path, script: &str, url: &str, folder: &Path) {
    let mut command = std::process::Command::new(python);
    command.args(["-c", script, url]).arg(folder);
    let output = tokio::task::spawn_blocking(move || command.output().expect("Python starts")).await.expect("it ran");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
