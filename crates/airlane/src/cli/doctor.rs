//! `airlane doctor`: what stands between this machine and a server, told one check after the other.
//!
//! ```text
//! address → connect → protocol (wire) ─┬─ plain
//!                                      └─ certificate, http2 (secure)
//!         → health, proxy, clock, round-trip, large-header, large-body, quiet-stream (talk)
//!         → credentials, write (calls)
//! ```
//!
//! A check that fails and leaves nothing to ask ends the examination. Each has its time, so that none hangs.

mod calls;
mod findings;
mod secure;
mod talk;
mod wire;

use std::time::Duration;

use airlane_client::{Address, ConnectOptions};
use airlane_model::{Error, Result, SystemClock, TimeSpan, codes};

use super::{Globals, Outcome, credentials};
use crate::config::ClientSettings;
use crate::output;
use findings::{Findings, Patience};

/// Examine the way to a server
///
/// Looks from this machine: whether the address resolves and connects, which protocol is spoken there, whether the
/// certificate is trusted and for how long, what proxies stand in between and what they let through, whether the server
/// is well and takes the credentials, how far away it is, and whether the clocks agree. Each check is `ok`, `warn` or
/// `fail`, with what to do. The exit code is 1 when one failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane doctor
  airlane doctor grpc+tls://data.example.org --tls-ca ca.pem
  airlane doctor --idle 2m                     also find out whether a proxy cuts streams that are quiet for that long
  airlane doctor --write --json                also put, read and drop a table of 8 MB
  airlane doctor --health                      no more than a probe asks")]
pub(crate) struct Doctor {
    /// The address of the server, instead of `--url`
    address: Option<String>,

    /// How long each check may take
    #[arg(long, value_name = "TIME", default_value = "5s")]
    timeout: String,

    /// How long a stream is left quiet, to see whether something in between ends it
    #[arg(long, value_name = "TIME", default_value = "2s")]
    idle: String,

    /// Put a table of 8 MB with a name of its own, read it and drop it
    #[arg(long)]
    write: bool,

    /// Ask no more than whether the server is reached and says that it is well, as a probe does
    ///
    /// It takes no credentials. A server that is not ready yet, or stops, is told of and has not failed.
    #[arg(long, conflicts_with_all = ["write", "idle"])]
    health: bool,
}

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// Whether the server is well.
    Health,
    /// Everything that leaves no trace.
    Calls,
    /// And a table that is put, read and dropped.
    Writes,
}

impl Doctor {
    pub(super) async fn run(&self, globals: &Globals) -> Result<Outcome> {
        let sources = globals.sources([])?;
        let (settings, _) = ClientSettings::resolve(&sources)?;
        let url = self.address.clone().unwrap_or_else(|| settings.url.clone());
        let address: Address = url.parse()?;
        let options = ConnectOptions {
            credentials: credentials::of(&settings, &sources.environment)?,
            authorities: settings.tls_ca.as_deref().map(credentials::authorities).transpose()?,
            identity: credentials::identity(&settings)?,
            resume_for: Duration::ZERO,
            deadline: None,
            shares_memory: false,
            local_socket: None,
        };
        let patience = Patience { each: span("timeout", &self.timeout)?, idle: span("idle", &self.idle)? };
        let mut findings = Findings::new(address.to_string(), !globals.json);
        // What is found is in the findings; an early end is one of them too.
        let _ = examine(&address, &options, patience, self.depth(), &mut findings).await;
        if globals.json {
            output::json(&findings.report())?;
        } else {
            output::text(&findings.summary())?;
        }
        Ok(if findings.has_failed() { Outcome::Unwell } else { Outcome::Done })
    }

    fn depth(&self) -> Depth {
        match (self.health, self.write) {
            (true, _) => Depth::Health,
            (_, true) => Depth::Writes,
            _ => Depth::Calls,
        }
    }
}

fn span(name: &str, text: &str) -> Result<Duration> {
    text.parse().map(TimeSpan::as_duration).map_err(|_| {
        Error::new(codes::OPTION_INVALID, format!("`{}` is no time", text.escape_debug()))
            .at(format!("flag --{name}"))
            .hint("write a number and a unit, such as 500ms, 5s or 2m")
    })
}

/// Answers `None` where nothing more can be asked.
async fn examine(
    address: &Address,
    options: &ConnectOptions,
    patience: Patience,
    depth: Depth,
    findings: &mut Findings,
) -> Option<()> {
    let route = wire::route(address, patience, findings).await?;
    let trusted = match address {
        Address::Tls { host, .. } => secure::examine(&route, host, options, patience, findings).await?,
        Address::Tcp { .. } | Address::Unix { .. } => {
            wire::protocol(&route, patience, findings).await?;
            true
        }
    };
    talk::examine(&route, address, options, patience, depth, findings, &SystemClock).await?;
    if trusted {
        // Credentials are shown to nobody else.
        calls::examine(address, options, patience, depth == Depth::Writes, findings).await?;
    }
    Some(())
}
