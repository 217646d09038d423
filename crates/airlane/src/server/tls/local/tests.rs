use std::sync::atomic::{AtomicI64, Ordering};

use x509_parser::extensions::GeneralName;

use super::*;

/// A clock that a test sets.
#[derive(Debug)]
struct ManualClock(AtomicI64);

impl ManualClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_800_000_000_000_000)))
    }

    fn advance(&self, time: Duration) {
        self.0.fetch_add(time.as_micros() as i64, Ordering::SeqCst);
    }

    fn set_back(&self, time: Duration) {
        self.0.fetch_sub(time.as_micros() as i64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Duration {
        Duration::ZERO
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn open(data_dir: &Path, clock: &Arc<ManualClock>) -> Result<LocalAuthority> {
    LocalAuthority::open(Some(data_dir), &LocalNames::default(), LOOPBACK, clock.clone())
}

fn refused(data_dir: &Path, clock: &Arc<ManualClock>) -> Error {
    open(data_dir, clock).and_then(|authority| authority.issue()).map(drop).expect_err("refused")
}

fn contents(data_dir: &Path) -> [Vec<u8>; 2] {
    ["authority.pem", "authority.key"].map(|name| std::fs::read(data_dir.join("tls").join(name)).unwrap_or_default())
}

#[test]
fn an_authority_is_made_once_and_its_key_is_for_the_owner_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = ManualClock::new();
    open(folder.path(), &clock).expect("made");
    let made = contents(folder.path());
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).expect("there").permissions().mode() & 0o777;
    assert_eq!(["tls", "tls/authority.key", "tls/authority.pem"].map(mode), [0o700, 0o600, 0o644]);
    assert_eq!(std::fs::read_dir(folder.path().join("tls")).expect("a folder").count(), 2, "nothing else is left");
    clock.advance(DAY * 365);
    open(folder.path(), &clock).expect("kept").issue().expect("a certificate");
    assert_eq!(contents(folder.path()), made);

    // A start that ended between the two files.
    std::fs::remove_file(authority_file(folder.path())).expect("removed");
    open(folder.path(), &clock).expect("made for the key").issue().expect("a certificate");
    assert_eq!(contents(folder.path())[1], made[1]);
}

#[test]
fn a_certificate_is_short_and_for_the_names_of_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = ManualClock::new();
    let names = LocalNames { names: vec!["data.example.org".into(), "10.0.0.7".into()] };
    let authority = LocalAuthority::open(Some(folder.path()), &names, LOOPBACK, clock.clone()).expect("made");
    let issued = authority.issue().expect("a certificate").key;
    assert_eq!(issued.cert.len(), 2, "the authority comes along");
    let (_, parsed) = X509Certificate::from_der(&issued.cert[0]).expect("a certificate");
    let now = clock.now().as_micros() / 1_000_000;
    let (from, to) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
    assert_eq!((now - from, to - now), (24 * 60 * 60, 8 * 24 * 60 * 60));
    let found = parsed.subject_alternative_name().expect("valid").expect("names").value.general_names.clone();
    let has = |due: GeneralName<'_>| found.contains(&due);
    assert!(has(GeneralName::DNSName("localhost")) && has(GeneralName::DNSName("data.example.org")), "{found:?}");
    assert!(has(GeneralName::IPAddress(&[127, 0, 0, 1])) && has(GeneralName::IPAddress(&[10, 0, 0, 7])), "{found:?}");
    assert!(!parsed.is_ca());

    let (_, parsed) = X509Certificate::from_der(&issued.cert[1]).expect("an authority");
    let years = (parsed.validity().not_after.timestamp() - now) / (365 * 24 * 60 * 60);
    assert!(parsed.is_ca() && years == 10, "{years}");
}

#[test]
fn a_server_for_every_network_has_the_name_and_the_addresses_of_the_machine() {
    let names = names_of("0.0.0.0".parse().expect("an address"), &[]);
    assert!(names.iter().any(|name| name == "127.0.0.1"), "{names:?}");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert!(names.contains(&host) || host.is_empty(), "{names:?} of {host}");
    CertificateParams::new(names).expect("all can stand in a certificate");
}

#[test]
fn what_is_there_is_never_written_over() {
    let clock = ManualClock::new();
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("no certificate", |tls| std::fs::write(tls.join("authority.pem"), "mine").expect("written")),
        ("an empty certificate", |tls| std::fs::write(tls.join("authority.pem"), "").expect("written")),
        ("no key", |tls| std::fs::write(tls.join("authority.key"), "mine").expect("written")),
        ("the key of another", |tls| {
            let key = KeyPair::generate().expect("a key").serialize_pem();
            std::fs::write(tls.join("authority.key"), key).expect("written");
        }),
        ("the key is gone", |tls| std::fs::remove_file(tls.join("authority.key")).expect("removed")),
        ("a key that others read", |tls| {
            let mode = std::fs::Permissions::from_mode(0o640);
            std::fs::set_permissions(tls.join("authority.key"), mode).expect("set");
        }),
    ];
    for (what, damage) in damages {
        let folder = tempfile::tempdir().expect("a folder");
        open(folder.path(), &clock).expect("made");
        damage(&folder.path().join("tls"));
        let before = contents(folder.path());
        let error = refused(folder.path(), &clock);
        assert_eq!(error.code(), codes::CONFIG_INVALID, "{what}: {error}");
        assert!(error.place().is_some_and(|place| place.contains("tls/authority.")), "{what}: {error}");
        assert!(!error.to_string().contains("mine"), "{what}: {error}");
        assert_eq!(contents(folder.path()), before, "{what}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    open(folder.path(), &clock).expect("made");
    clock.advance(AUTHORITY_LIFETIME);
    let before = contents(folder.path());
    assert!(refused(folder.path(), &clock).message().contains("is over"));
    assert_eq!(contents(folder.path()), before);
}

#[test]
fn a_folder_that_cannot_be_written_is_told_with_its_path() {
    let clock = ManualClock::new();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("tls"), "a file").expect("written");
    let error = refused(folder.path(), &clock);
    assert_eq!((error.code(), error.hint_text().is_some()), (codes::STORAGE_FAILED, true), "{error}");
    assert_eq!(std::fs::read(folder.path().join("tls")).expect("there"), b"a file");

    let folder = tempfile::tempdir().expect("a folder");
    // Nobody can make a file there, root neither.
    std::os::unix::fs::symlink("/proc/self", folder.path().join("tls")).expect("a link");
    let error = refused(folder.path(), &clock);
    assert!(error.code() == codes::STORAGE_FAILED && error.to_string().contains("tls/authority"), "{error}");
    let error = LocalAuthority::open(None, &LocalNames::default(), LOOPBACK, clock).map(drop).expect_err("no folder");
    assert_eq!(error.code(), codes::CONFIG_INVALID);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_made_anew_each_day_and_when_the_clock_is_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = ManualClock::new();
    let authority = open(folder.path(), &clock).expect("made");
    let issued = authority.issue().expect("a certificate");
    let current = Arc::new(Current(parking_lot::RwLock::new(Arc::new(issued.key))));
    let reload = Reload::default();
    let look = Duration::from_secs(2);
    let renewing = tokio::spawn(authority.renew(issued.at, current.clone(), look, reload.clone()));
    let shown = || current.0.read().cert[0].clone();
    // The runtime's clock runs on by itself while nobody has anything to do.
    let looked = async || tokio::time::sleep(look * 3).await;

    let first = shown();
    clock.advance(SERVER_RENEWED_AFTER - Duration::from_secs(1));
    looked().await;
    assert_eq!(shown(), first, "not yet");
    clock.advance(Duration::from_secs(1));
    looked().await;
    let second = shown();
    assert_ne!(second, first, "after a day");
    looked().await;
    assert_eq!(shown(), second, "once");
    clock.set_back(DAY * 30);
    looked().await;
    let third = shown();
    assert_ne!(third, second, "one that is not good yet helps nobody");
    clock.advance(DAY * 60);
    looked().await;
    assert_ne!(shown(), third, "after a sleep");
    let fourth = shown();
    reload.now();
    // Asked for: on a thread, whose end the runtime's clock does not wait for.
    while shown() == fourth {
        tokio::task::yield_now().await;
    }
    let fifth = shown();
    clock.advance(AUTHORITY_LIFETIME);
    looked().await;
    assert_eq!(shown(), fifth, "nothing is made after the authority's time");
    renewing.abort();
}
