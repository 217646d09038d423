use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use airlane_model::{Right, Timestamp};
use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, header};

use super::*;

/// A clock that a test sets.
#[derive(Debug)]
pub(crate) struct ManualClock(AtomicI64);

impl Default for ManualClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_700_000_000_000_000))
    }
}

impl ManualClock {
    pub(crate) fn advance(&self, time: Duration) {
        self.0.fetch_add(time.as_micros() as i64, Ordering::Relaxed);
    }

    pub(crate) fn set_back(&self, time: Duration) {
        self.0.fetch_sub(time.as_micros() as i64, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }

    fn steady(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed).unsigned_abs())
    }
}

/// The cheapest hash there is.
fn cheap(password: &str) -> String {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).expect("parameters"));
    let salt = SaltString::encode_b64(b"some salt").expect("a salt");
    argon2.hash_password(password.as_bytes(), &salt).expect("a hash").to_string()
}

fn rules(text: &str) -> Rules {
    Rules::parse(Path::new("rights.toml"), text).expect("valid")
}

/// A user `ada` whose password is `right`, and a token `ci`, which is `t0ken`.
fn some_rules() -> Rules {
    let sha256 = crate::token::hex(&crate::keyed::sha256(b"t0ken"));
    rules(&format!(
        "[user.ada]\npassword = \"{}\"\n[token.ci]\nsha256 = \"{sha256}\"\n[rights.ada]\n\"*\" = [\"read\"]\n",
        cheap("right")
    ))
}

fn gate(rules: Rules) -> (Gate, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let options = GateOptions { clock: clock.clone(), ..GateOptions::default() };
    (Gate::guarded(rules, &options), clock)
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

const REMOTE: Peer = Peer::Ip(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)));

async fn admit(gate: &Gate, authorization: &str, peer: Peer) -> Result<Admitted> {
    let mut headers = HeaderMap::new();
    if !authorization.is_empty() {
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization).expect("a header"));
    }
    gate.admit(&headers, peer, &Shown::Nothing).await
}

async fn code(gate: &Gate, authorization: &str) -> &'static str {
    admit(gate, authorization, Peer::Unix).await.expect_err("refused").code().name()
}

fn hashed(gate: &Gate) -> u64 {
    gate.0.as_ref().expect("guarded").hasher.hashed()
}

#[tokio::test]
async fn without_rules_everybody_may_do_everything() {
    let admitted = admit(&Gate::open(), "Bearer whatever", REMOTE).await.expect("let in");
    assert_eq!(admitted.caller.name(), "local");
    assert!(admitted.caller.may(Right::Write, "eu"));
    assert!(Gate::open().session(&admitted).is_none());
}

#[tokio::test]
async fn s5_whom_the_rules_do_not_know_is_refused() {
    let (gate, _) = gate(some_rules());
    assert_eq!(code(&gate, "").await, "credentials_missing");
    for authorization in
        ["Bearer x", "Bearer airlane-session.AAAA", "Digest x", &basic("bob", "right"), &basic("ada", "left")]
    {
        assert_eq!(code(&gate, authorization).await, "credentials_refused", "{authorization}");
    }
    assert_eq!(admit(&gate, "Bearer t0ken", REMOTE).await.expect("let in").caller.name(), "ci");
    assert_eq!(admit(&gate, &basic("ada", "right"), Peer::Unix).await.expect("let in").caller.name(), "ada");
}

#[tokio::test]
async fn anonymous_is_a_caller_where_the_file_says_so_and_wrong_credentials_are_not_anonymous() {
    let (gate, _) = gate(rules("[rights.anonymous]\npublic = [\"read\"]\n"));
    let caller = admit(&gate, "", REMOTE).await.expect("let in").caller;
    assert!(caller.is_anonymous() && caller.may(Right::Read, "public") && !caller.may(Right::Read, "eu"));
    assert_eq!(code(&gate, "Bearer x").await, "credentials_refused");
    assert_eq!(code(&gate, &basic("ada", "x")).await, "credentials_refused");
    assert_eq!(hashed(&gate), 0, "nobody has a password");
}

#[tokio::test]
async fn s2_passwords_come_from_this_machine_only() {
    let (gate, _) = gate(some_rules());
    let error = admit(&gate, &basic("ada", "right"), REMOTE).await.expect_err("in clear");
    assert_eq!(error.code(), codes::CREDENTIALS_REFUSED);
    assert_eq!(hashed(&gate), 0);
    let options = GateOptions { passwords_in_clear: true, ..GateOptions::default() };
    let insecure = Gate::guarded(some_rules(), &options);
    admit(&insecure, &basic("ada", "right"), REMOTE).await.expect("as was asked for");
}

#[tokio::test]
async fn a_verified_password_is_hashed_once() {
    let (gate, clock) = gate(some_rules());
    for _ in 0..50 {
        admit(&gate, &basic("ada", "right"), Peer::Unix).await.expect("let in");
    }
    assert_eq!(hashed(&gate), 1);
    gate.replace(some_rules());
    admit(&gate, &basic("ada", "right"), Peer::Unix).await.expect("let in");
    assert_eq!(hashed(&gate), 2, "the rules are others");
    clock.advance(Duration::from_secs(3_600));
    admit(&gate, &basic("ada", "right"), Peer::Unix).await.expect("let in");
    assert_eq!(hashed(&gate), 3, "some time has passed");
}

#[tokio::test]
async fn s2_many_connections_of_one_user_at_once_are_one_hash_or_two() {
    let (gate, _) = gate(some_rules());
    let logins: Vec<_> = (0..40)
        .map(|_| {
            let gate = gate.clone();
            tokio::spawn(async move { admit(&gate, &basic("ada", "right"), Peer::Unix).await })
        })
        .collect();
    for login in logins {
        login.await.expect("no panic").expect("let in");
    }
    assert!(hashed(&gate) <= 2, "{}", hashed(&gate));
}

#[tokio::test]
async fn s2_guesses_are_throttled_and_others_are_not() {
    let (gate, clock) = gate(some_rules());
    for _ in 0..1_000 {
        clock.advance(Duration::from_millis(10));
        assert!(["credentials_refused", "logins_throttled"].contains(&code(&gate, &basic("ada", "left")).await));
    }
    let spent = hashed(&gate);
    assert!(spent <= 9, "{spent} hashes in ten seconds");
    assert_eq!(code(&gate, &basic("ada", "right")).await, "logins_throttled", "the right one waits too");
    assert_eq!(hashed(&gate), spent);
    let loopback = Peer::ip([127, 0, 0, 1].into());
    admit(&gate, &basic("ada", "right"), loopback).await.expect("from elsewhere");
    admit(&gate, "Bearer t0ken", Peer::Unix).await.expect("by token");
}

#[tokio::test]
async fn s2_who_does_not_exist_costs_a_hash_too() {
    let (gate, _) = gate(some_rules());
    for (number, user) in ["bob", "ada", "carol"].into_iter().enumerate() {
        assert_eq!(code(&gate, &basic(user, "left")).await, "credentials_refused");
        assert_eq!(hashed(&gate), number as u64 + 1);
    }
    // The password of the user whose hash stands in for the others opens nobody else.
    assert_eq!(code(&gate, &basic("bob", "right")).await, "credentials_refused");
}

#[tokio::test]
async fn a_login_answers_a_session_that_ends_with_its_credentials() {
    let (gate, clock) = gate(some_rules());
    for authorization in [basic("ada", "right"), "Bearer t0ken".to_owned()] {
        gate.replace(some_rules());
        let admitted = admit(&gate, &authorization, Peer::Unix).await.expect("let in");
        let session = gate.session(&admitted).expect("a session");
        let bearer = format!("Bearer {}", session.expose());
        let again = admit(&gate, &bearer, REMOTE).await.expect("let in");
        assert_eq!(again.caller.name(), admitted.caller.name());
        assert_eq!(gate.session(&again).expect("the same").expose(), session.expose(), "not made longer");
        gate.replace(rules(""));
        assert_eq!(code(&gate, &bearer).await, "credentials_refused", "its user is gone");
        gate.replace(some_rules());
        admit(&gate, &bearer, REMOTE).await.expect("back again");
        clock.advance(Duration::from_secs(24 * 3_600));
        assert_eq!(code(&gate, &bearer).await, "credentials_refused", "it has ended");
    }
}

/// Rules with two certificates, a user of the system, a token and anonymous.
fn rules_of_connections() -> Rules {
    let sha256 = crate::token::hex(&crate::keyed::sha256(b"t0ken"));
    rules(&format!(
        "[certificate.ingest]\nuri = \"spiffe://example.org/ingest\"\n[certificate.web]\ndns = \"web.example.org\"\n\
         [unix.backup]\nuid = 34\n[token.ci]\nsha256 = \"{sha256}\"\n[rights.anonymous]\n"
    ))
}

async fn shown(gate: &Gate, authorization: &str, shown: Shown) -> Result<String, &'static str> {
    let mut headers = HeaderMap::new();
    if !authorization.is_empty() {
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization).expect("a header"));
    }
    let admitted = gate.admit(&headers, REMOTE, &shown).await;
    match admitted {
        Ok(admitted) => Ok(admitted.caller.name().to_owned()),
        Err(error) => Err(error.code().name()),
    }
}

#[tokio::test]
async fn s4_a_certificate_is_one_caller_by_a_whole_name_or_nobody() {
    let gate = Gate::guarded(rules_of_connections(), &GateOptions::default());
    let (uri, dns) = (|text: &str| Identity::Uri(text.into()), |text: &str| Identity::Dns(text.into()));
    let refused = Err("credentials_refused");
    for (names, due) in [
        (vec![uri("spiffe://example.org/ingest")], Ok("ingest".to_owned())),
        (vec![dns("web.example.org")], Ok("web".to_owned())),
        (vec![dns("other.example.org"), dns("web.example.org")], Ok("web".to_owned())),
        (vec![dns("web.example.org"), dns("web.example.org")], Ok("web".to_owned())),
        (vec![dns("web.example.org"), uri("spiffe://example.org/ingest")], refused.clone()),
        (vec![], refused.clone()),
        (vec![dns("spiffe://example.org/ingest")], refused.clone()),
        (vec![uri("web.example.org")], refused.clone()),
        (vec![uri("spiffe://example.org/ingest/")], refused.clone()),
        (vec![uri("spiffe://example.org/inges")], refused.clone()),
        (vec![uri("SPIFFE://example.org/ingest")], refused.clone()),
        (vec![dns("Web.example.org")], refused.clone()),
        (vec![dns("web.example.org.")], refused.clone()),
        (vec![dns("*.example.org")], refused.clone()),
        (vec![dns("*")], refused.clone()),
        (vec![dns("a.web.example.org")], refused.clone()),
        (vec![dns("web.example.org\0.evil.org")], refused.clone()),
    ] {
        assert_eq!(shown(&gate, "", Shown::Certificate(names.clone().into())).await, due, "{names:?}");
    }
    let known = || Shown::Certificate(vec![dns("web.example.org")].into());
    let stranger = || Shown::Certificate(vec![dns("stranger.example.org")].into());
    assert_eq!(shown(&gate, "Bearer t0ken", known()).await, Ok("ci".into()), "a header decides alone");
    assert_eq!(shown(&gate, "Bearer t0ken", stranger()).await, Ok("ci".into()));
    assert_eq!(shown(&gate, "Bearer wrong", known()).await, refused, "and is not made up for");

    gate.replace(rules(""));
    assert_eq!(shown(&gate, "", known()).await, refused, "on the next request of the same connection");
}

#[tokio::test]
async fn a_user_of_the_system_is_known_by_number_and_others_are_anonymous() {
    let gate = Gate::guarded(rules_of_connections(), &GateOptions::default());
    assert_eq!(shown(&gate, "", Shown::Uid(34)).await, Ok("backup".into()));
    assert_eq!(shown(&gate, "", Shown::Uid(0)).await, Ok("anonymous".into()), "root is nobody special");
    assert_eq!(shown(&gate, "Bearer t0ken", Shown::Uid(34)).await, Ok("ci".into()));
    assert_eq!(shown(&gate, "Bearer wrong", Shown::Uid(34)).await, Err("credentials_refused"));
    gate.replace(rules(""));
    assert_eq!(shown(&gate, "", Shown::Uid(34)).await, Err("credentials_missing"));
}
