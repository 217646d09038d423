use std::io::Cursor;

use super::*;

/// Has a shell stand for the child.
fn parser(script: &str, time: Duration) -> ChildParser {
    ChildParser::new("/bin/sh".into(), vec!["-c".into(), script.into()], ByteSize::mib(1), time)
}

fn open(parser: &ChildParser) -> Result<Reader> {
    let source = Source::from_stream("input", Box::new(Cursor::new(b"PAR1".to_vec()))).expect("a source");
    parser.open(source, DecodeLimits::default(), &Spooling::default())
}

fn refuse(script: &str) -> Error {
    open(&parser(script, TIME_DEFAULT)).err().unwrap_or_else(|| panic!("{script} is taken"))
}

#[test]
fn a16_however_a_child_ends_is_an_error() {
    for (script, code, message) in [
        ("exit 0", codes::FILE_INVALID, "the stream has no schema"),
        ("echo what is no stream", codes::FILE_INVALID, "may have"),
        ("exit 3", codes::INTERNAL, "exit status: 3"),
        ("echo '{\"code\":\"file_invalid\",\"message\":\"torn\"}' >&2; exit 1", codes::FILE_INVALID, "torn"),
        ("echo '{\"code\":\"permission_denied\",\"message\":\"torn\"}' >&2; exit 1", codes::INTERNAL, "exit status: 1"),
        (
            "echo memory allocation of 5 bytes failed >&2; kill -ABRT $$",
            codes::LIMIT_EXCEEDED,
            "more than 1 MiB of memory",
        ),
        ("echo thread main has overflowed its stack >&2; kill -ABRT $$", codes::FILE_INVALID, "nested too deep"),
        ("kill -XCPU $$", codes::LIMIT_EXCEEDED, "processor time"),
        ("kill -SEGV $$", codes::FILE_INVALID, "signal 11"),
        (
            "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >&2; done",
            codes::INTERNAL,
            "says too much",
        ),
    ] {
        let error = refuse(script);
        assert_eq!(error.code(), code, "{script}: {error}");
        assert!(error.message().contains(message), "{script}: {error}");
    }
}

#[test]
fn a16_a_child_is_alone() {
    // Cargo tells tests where they are, and a shell has its folder.
    let script = "[ -z \"$CARGO_MANIFEST_DIR\" ] && [ \"$(pwd)\" = / ] && echo '{\"code\":\"file_invalid\",\"message\":\"alone\"}' >&2
                  exit 1";
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert_eq!(refuse(script).message(), "alone");
}

#[test]
fn a16_a_child_is_not_waited_for_without_end() {
    let error = open(&parser("exec /bin/sleep 1000", Duration::from_millis(100))).err().expect("too long");
    assert_eq!(error.code(), codes::LIMIT_EXCEEDED, "{error}");
    let waiting = Arc::new(());
    let wanted = parser("exec /bin/sleep 1000", TIME_DEFAULT).for_whom(&waiting);
    drop(waiting);
    assert_eq!(open(&wanted).err().expect("nobody waits").code(), codes::CALL_CANCELLED);
}

#[test]
fn so_many_children_there_are_at_a_time() {
    let slots = Arc::new(Slots::default());
    let mut taken: Vec<_> = (0..4).map(|_| slots.take(|| Ok(())).expect("free")).collect();
    let full = || Err(Error::new(codes::CALL_CANCELLED, "it is full"));
    assert_eq!(slots.take(full).expect_err("full").code(), codes::CALL_CANCELLED);
    drop(taken.pop());
    assert!(slots.take(full).is_ok());
}
