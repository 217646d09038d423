//! Log lines as text without colours.
//!
//! ```text
//! 2026-11-26T15:30:06.123456Z  INFO request caller="ci" peer=10.0.0.7 rpc="DoGet" … outcome=ok
//! ╰──── once a second ────╯╰───╯
//! ```
//!
//! The lines are those of `tracing-subscriber`, letter by letter. That one writes each field by several calls of the
//! formatter, and each time from its parts, which costs a small read 7 % of its time for the line of its request. So those
//! lines are put together here, where most parts are copied; every other line is left to it.

use std::cell::RefCell;
use std::fmt::{self, Debug};

use airlane_gate::AUDIT_TARGET;
use airlane_model::{Clock, SystemClock, Timestamp};
use chrono::{DateTime, SecondsFormat};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Formats events.
#[derive(Debug)]
pub(super) struct Text {
    others: Format<Full>,
}

impl Text {
    pub(super) fn new() -> Self {
        Self { others: Format::default().with_ansi(false).with_target(false) }
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if event.metadata().target() != AUDIT_TARGET || ctx.event_scope().is_some() {
            return self.others.format_event(ctx, writer, event);
        }
        let mut line = Line { writer: writer.by_ref(), is_begun: false, result: Ok(()) };
        line.result = line.begin(event);
        event.record(&mut line);
        line.result?;
        writer.write_char('\n')
    }
}

/// A line that is being written.
struct Line<'a> {
    writer: Writer<'a>,
    is_begun: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn begin(&mut self, event: &Event<'_>) -> fmt::Result {
        write_time(&mut self.writer, SystemClock.now())?;
        // Five letters wide.
        let level = event.metadata().level().as_str();
        self.writer.write_str(if level.len() < 5 { "  " } else { " " })?;
        self.writer.write_str(level)?;
        self.writer.write_char(' ')
    }

    fn field(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let mut write = || {
            if std::mem::replace(&mut self.is_begun, true) {
                self.writer.write_char(' ')?;
            }
            if field.name() != MESSAGE {
                self.writer.write_str(field.name())?;
                self.writer.write_char('=')?;
            }
            Ok(())
        };
        self.result = self.result.and_then(|()| write()).and_then(|()| value(&mut self.writer));
    }
}

/// The name of the field that stands without its name.
const MESSAGE: &str = "message";

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
        self.field(field, |writer| match is_plain {
            true => ["\"", value, "\""].into_iter().try_for_each(|part| writer.write_str(part)),
            false => write!(writer, "{value:?}"),
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |writer| writer.write_str(itoa::Buffer::new().format(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, |writer| write!(writer, "{value:?}"));
    }
}

/// A second, and how it is written.
type Second = (i64, String);

fn write_time(writer: &mut Writer<'_>, now: Timestamp) -> fmt::Result {
    thread_local! {
        static LAST: RefCell<Second> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let (second, micros) = (now.as_micros().div_euclid(1_000_000), now.as_micros().rem_euclid(1_000_000));
    LAST.with_borrow_mut(|(last, text)| {
        if *last != second {
            let time = DateTime::from_timestamp(second, 0).unwrap_or_default();
            *text = time.to_rfc3339_opts(SecondsFormat::Secs, true);
            text.pop();
            *last = second;
        }
        writer.write_str(text)
    })?;
    let digits = [100_000, 10_000, 1_000, 100, 10, 1].map(|unit| b'0' + (micros / unit % 10) as u8);
    writer.write_char('.')?;
    writer.write_str(str::from_utf8(&digits).unwrap_or_default())?;
    writer.write_char('Z')
}

#[cfg(test)]
mod tests;
