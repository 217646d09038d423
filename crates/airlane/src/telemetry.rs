//! Logs, to stderr, and traces, to whom the environment says.

mod lines;
mod text;
mod traces;

use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;

use airlane_model::{Error, Result, codes};
use tracing_subscriber::EnvFilter;

use crate::config::value::LogFormat;

use lines::Lines;
use text::Text;
pub(crate) use traces::Traces;

/// Begins to log. A second call changes nothing.
///
/// # Errors
/// `config_invalid` for a filter that cannot be read.
pub(crate) fn begin(filter: &str, format: LogFormat) -> Result<()> {
    let filter = EnvFilter::builder().parse(filter).map_err(|error| {
        Error::new(codes::CONFIG_INVALID, format!("`{}` is no log filter: {error}", filter.escape_debug()))
            .at("setting `log`")
            .hint("write a level or a list of levels for parts of the program: info,airlane_store=debug")
    })?;
    let lines = Lines::begin(stderr()).map_err(|error| {
        Error::new(codes::INTERNAL, format!("the thread that writes the log cannot be started: {error}")).source(error)
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines.clone());
    let begun = match format {
        LogFormat::Text if stderr().is_terminal() => builder.with_ansi(true).with_target(false).try_init(),
        LogFormat::Text => builder.with_ansi(false).event_format(Text::new()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // An error says that somebody else, such as a test, has begun to log.
    if begun.is_ok() {
        let _ = LINES.set(lines);
    }
    Ok(())
}

/// The lines of this process.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Waits until all lines so far are written. To be called before something else writes to stderr, and at the end.
pub(crate) fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush();
    }
}
