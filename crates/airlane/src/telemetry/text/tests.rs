use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What a formatter makes of events, the digits of the time taken out.
fn lines(
    format: impl FormatEvent<tracing_subscriber::Registry, tracing_subscriber::fmt::format::DefaultFields>
    + Send
    + Sync
    + 'static,
) -> String {
    let kept = Kept::default();
    let layer = tracing_subscriber::fmt::layer().event_format(format).with_ansi(false).with_writer(kept.clone());
    tracing::subscriber::with_default(
        tracing_subscriber::layer::SubscriberExt::with(tracing_subscriber::registry(), layer),
        events,
    );
    let text = String::from_utf8(kept.0.lock().clone()).expect("text");
    let line = |line: &str| {
        let (time, rest) = line.split_once('Z').expect("a time");
        format!("{}Z{rest}\n", time.replace(|letter: char| letter.is_ascii_digit(), "0"))
    };
    text.lines().map(line).collect()
}

fn events() {
    for text in ["ci", "", "two words", "quote \" and \\", "line\nbreak", "\u{1b}[31mred", "Zürich"] {
        let (number, none, table) = (u64::MAX, 0_u64, "eu/prices");
        tracing::info!(target: AUDIT_TARGET, caller = text, %table, number, none, is_so = true, "request");
        tracing::debug!(target: AUDIT_TARGET, caller = text, peer = %"10.0.0.7", "request");
    }
    tracing::warn!(target: AUDIT_TARGET, below = -1_i64, part = 0.5, "request");
    tracing::error!(code = "disk_full", "something else");
    let _span = tracing::info_span!("outer", id = 7).entered();
    tracing::info!(target: AUDIT_TARGET, number = 1_u64, "request");
}

#[test]
fn lines_are_those_of_the_library() {
    let expected = lines(Format::default().with_ansi(false).with_target(false));
    assert!(expected.lines().count() >= 17, "{expected}");
    assert_eq!(lines(Text::new()), expected);
}

#[test]
fn times_are_written_to_the_microsecond() {
    for (micros, expected) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_791_988_206_000_001, "2026-10-14T14:30:06.000001Z"),
        (1_791_988_206_999_999, "2026-10-14T14:30:06.999999Z"),
        (1_791_988_207_000_000, "2026-10-14T14:30:07.000000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ] {
        let mut text = String::new();
        write_time(&mut Writer::new(&mut text), Timestamp::from_micros(micros)).expect("written");
        assert_eq!(text, expected);
    }
}
