use airlane_model::SystemClock;

use super::*;

fn write(folder: &Path, name: &str) -> TlsFiles {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let files = TlsFiles { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
    std::fs::write(&files.certificate, made.cert.pem()).expect("written");
    std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("written");
    files
}

fn around() -> Surroundings<'static> {
    Surroundings {
        data_dir: None,
        listen: [127, 0, 0, 1].into(),
        clock: Arc::new(SystemClock),
        interval: Duration::from_secs(3_600),
        reload: Reload::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn g7_a_client_that_does_no_handshake_is_let_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = write(folder.path(), "one");
    let (tls, _watching) = Tls::open(files.into(), around()).expect("TLS");
    let (_silent, server) = tokio::io::duplex(64);
    assert_eq!(tls.accept(server).await.map(drop).expect_err("silent").kind(), io::ErrorKind::TimedOut);
}

#[test]
fn a_certificate_and_its_own_key_are_taken_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (write(folder.path(), "one"), write(folder.path(), "other"));
    assert_eq!(read(&one).expect("its own key").cert.len(), 1);
    let crossed = TlsFiles { key: other.key.clone(), ..one.clone() };
    let swapped = TlsFiles { certificate: one.key.clone(), key: one.certificate.clone() };
    let absent = TlsFiles { key: folder.path().join("absent"), ..one.clone() };
    std::fs::write(&other.certificate, "canary").expect("written");
    for (files, code) in [
        (crossed, codes::CONFIG_INVALID),
        (swapped, codes::CONFIG_INVALID),
        (absent, codes::FILE_FAILED),
        (other, codes::CONFIG_INVALID),
    ] {
        let error = read(&files).expect_err("refused");
        assert_eq!(error.code(), code, "{error}");
        assert!(error.place().is_some() && !error.to_string().contains("canary"), "{error}");
    }
}
