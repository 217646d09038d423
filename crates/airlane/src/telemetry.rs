//! Logs, to stderr, and traces, to whom the environment says.

mod traces;

use std::io::IsTerminal;

use airlane_model::{Error, Result, codes};
use tracing_subscriber::EnvFilter;

use crate::config::value::LogFormat;

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
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error says that somebody else, such as a test, has begun to log.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
