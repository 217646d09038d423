//! The command line: one file per command.

mod completions;
mod contract;
mod credentials;
mod csv;
mod demo;
mod doctor;
mod get;
mod info;
mod ls;
mod parse_parquet;
mod put;
mod reference;
mod retention;
mod rights;
mod rm;
mod rotate_keys;
mod serve;
mod ticket;
mod token;
mod top;
mod transfer;
mod user;
mod words;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use airlane::server::Handle;
use airlane_client::{Client, ConnectOptions};
use airlane_model::{Error, Result, codes};
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use crate::config::flags::ClientFlags;
use crate::config::value::LogFormat;
use crate::config::{ClientSettings, Environment, Sources, file};
use crate::output::report;
use crate::telemetry;

/// The command by which a server starts children of itself.
const PARSE_PARQUET: &str = "parse-parquet";

/// The exit code of a command that was stopped by Ctrl-C, as shells have it: 128 + SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

/// The exit code of `doctor` when a check failed, and of a child that has told an error.
const EXIT_UNWELL: u8 = 1;

const CONFIG_HELP: &str = "The configuration file

Without it: `airlane.toml` in the working folder, else `$XDG_CONFIG_HOME/airlane/airlane.toml`, else \
`~/.config/airlane/airlane.toml`; none of these must exist.

[variable: AIRLANE_CONFIG]";

/// Hand each other Arrow tables by ticket instead of by payload.
///
/// `airlane serve` keeps tables and serves them over Arrow Flight; the other commands talk to a server.
/// Begin with `airlane demo`.
#[derive(Debug, Parser)]
#[command(name = "airlane", version, max_term_width = 110, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    globals: Globals,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Globals {
    #[command(flatten)]
    client: ClientFlags,

    /// The configuration file
    #[arg(long, value_name = "FILE", global = true, help_heading = "Global options")]
    #[arg(help = "The configuration file [variable: AIRLANE_CONFIG]", long_help = CONFIG_HELP)]
    config: Option<PathBuf>,

    /// Answer in JSON, for programs: answers on stdout, errors on stderr
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Put(put::Put),
    Get(get::Get),
    Ls(ls::Ls),
    Info(info::Info),
    Retention(retention::Retention),
    Rm(rm::Rm),
    Ticket(ticket::SignTicket),
    RotateKeys(rotate_keys::RotateKeys),
    Contract(contract::ContractCommand),
    Doctor(doctor::Doctor),
    Top(top::Top),
    User(user::User),
    Token(token::Token),
    Completions(completions::Completions),
    #[command(hide = true)]
    ParseParquet(parse_parquet::ParseParquet),
    #[command(hide = true)]
    Reference(reference::Reference),
}

impl Globals {
    /// Where the values of settings come from, with the flags of a command.
    fn sources(&self, flags: impl IntoIterator<Item = (String, String)>) -> Result<Sources> {
        let environment = Environment::of_process();
        let file = file::load(self.config.as_deref(), &environment)?;
        let flags = self.client.given.clone().into_iter().chain(flags).collect();
        Ok(Sources { flags, environment, file })
    }

    /// A connection to the server that the settings name.
    async fn connect(&self) -> Result<Client> {
        let sources = self.sources([])?;
        if let Some(filter) = sources.environment.get("AIRLANE_LOG") {
            telemetry::begin(filter, LogFormat::Text)?;
        }
        let (settings, _) = ClientSettings::resolve(&sources)?;
        let credentials = credentials::of(&settings, &sources.environment)?;
        let authorities = settings.tls_ca.as_deref().map(credentials::authorities).transpose()?;
        let identity = credentials::identity(&settings)?;
        Client::connect_with(
            &settings.url,
            &ConnectOptions { credentials, authorities, identity, ..ConnectOptions::default() },
        )
        .await
    }
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    quiet_caught_panics();
    // A usage error ends here, with exit code 2.
    let cli = Cli::parse();
    let ended = run(&cli);
    telemetry::flush();
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Interrupted) => ExitCode::from(EXIT_INTERRUPTED),
        Ok(Outcome::Unwell) => ExitCode::from(EXIT_UNWELL),
        Err(error) if report::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report::print(&error, cli.globals.json);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// How a command ended that met no error.
enum Outcome {
    Done,
    Interrupted,
    /// `doctor` has found something that fails, or a child an error, and told it.
    Unwell,
}

fn run(cli: &Cli) -> Result<Outcome> {
    let globals = &cli.globals;
    match &cli.command {
        Command::Serve(serve) => done(serve.run(globals)),
        Command::Demo(demo) => done(demo.run(globals)),
        Command::Put(put) => block_on(put.run(globals)),
        Command::Get(get) => block_on(get.run(globals)),
        Command::Ls(ls) => block_on(ls.run(globals)),
        Command::Info(info) => block_on(info.run(globals)),
        Command::Retention(retention) => block_on(retention.run(globals)),
        Command::Rm(rm) => block_on(rm.run(globals)),
        Command::Ticket(ticket) => block_on(ticket.run(globals)),
        Command::RotateKeys(rotate) => block_on(rotate.run(globals)),
        Command::Contract(contract) => contract.run(globals),
        Command::Doctor(doctor) => end_of(doctor.run(globals)),
        Command::Top(top) => block_on(top.run(globals)),
        Command::User(user) => done(user.run(globals)),
        Command::Token(token) => done(token.run(globals)),
        Command::Completions(completions) => done(completions.run()),
        Command::ParseParquet(parse) => Ok(parse.run()),
        Command::Reference(reference) => done(reference.run()),
    }
}

fn done(result: Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Done)
}

/// How long a thread that waited for a disk or judged a put is kept. Its free memory goes back when it ends.
const THREAD_KEEP_ALIVE: Duration = Duration::from_secs(2);

/// The threads that a command runs on.
fn runtime() -> Result<Runtime> {
    let built = Builder::new_multi_thread().enable_all().thread_keep_alive(THREAD_KEEP_ALIVE).build();
    built.map_err(|error| Error::new(codes::INTERNAL, format!("the threads cannot be started: {error}")).source(error))
}

/// Where a server of a command listens, which it always does.
fn address(handle: &Handle) -> Result<SocketAddr> {
    handle.address().ok_or_else(|| Error::new(codes::INTERNAL, "the server has no port"))
}

/// Runs a client's work until it ends or Ctrl-C drops it, so that a half-written file is taken away.
fn block_on(work: impl Future<Output = Result<()>>) -> Result<Outcome> {
    end_of(async { done(work.await) })
}

fn end_of(work: impl Future<Output = Result<Outcome>>) -> Result<Outcome> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            result = work => result,
            _ = tokio::signal::ctrl_c() => Ok(Outcome::Interrupted),
        }
    });
    // A thread that waits for a pipe must not keep the process.
    runtime.shutdown_background();
    outcome
}

/// The error of a blocking task that panicked.
fn thread_failed(error: tokio::task::JoinError) -> Error {
    Error::new(codes::INTERNAL, format!("a thread failed: {error}")).source(error)
}

/// Panics that the readers of files catch and answer as errors leave no trace on the terminal.
fn quiet_caught_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !airlane_format::guard::is_active() {
            default(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_are_taken_before_and_after_the_command() {
        for line in [["airlane", "--url", "x", "ls"], ["airlane", "ls", "--url", "x"]] {
            let cli = Cli::try_parse_from(line).expect("valid");
            assert_eq!(cli.globals.client.given.get("url").map(String::as_str), Some("x"), "{line:?}");
        }
    }
}
