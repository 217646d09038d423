//! `airlane demo`.

mod lines;
mod samples;
mod steps;

use std::net::SocketAddr;

use airlane::server::{self, Handle, ServerOptions};
use airlane_client::{Client, PORT_DEFAULT};
use airlane_format::ChildParser;
use airlane_format::child::{MEMORY_DEFAULT, TIME_DEFAULT};
use airlane_model::{Error, Result, codes};

use super::serve::{self, Signals};
use super::{Globals, PARSE_PARQUET};
use crate::config::value::LogFormat;
use crate::output;
use crate::telemetry;

/// Show what Airlane does, on real data
///
/// Starts a server with a temporary data folder, puts the flights that left New York in 2013 as durable tables, reads
/// them by ticket over the network, checks what came back, and serves on until Ctrl-C. Settings and `--url` do not
/// matter here.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane demo
  airlane demo --once --json")]
pub(crate) struct Demo {
    /// End after the demonstration instead of serving on
    #[arg(long)]
    once: bool,

    /// The port to serve on; without it 8815, or a free one when that is taken
    #[arg(long)]
    port: Option<u16>,
}

impl Demo {
    pub(super) fn run(&self, globals: &Globals) -> Result<()> {
        telemetry::begin("warn", LogFormat::Text)?;
        let folder = tempfile::Builder::new().prefix("airlane-demo-").tempdir().map_err(|error| {
            Error::new(codes::FILE_FAILED, error.to_string()).at("the folder of temporary files").source(error)
        })?;
        let runtime = super::runtime()?;
        let ended = runtime.block_on(async {
            let mut signals = Signals::listen()?;
            let mut handle = self.start(folder.path()).await?;
            let address = super::address(&handle)?;
            let url = format!("grpc://{address}");
            if !globals.json {
                output::text(&lines::heading(&url, folder.path()))?;
            }
            let client = Client::connect(&url).await?;
            let steps = tokio::select! {
                steps = steps::run(&client) => steps?,
                () = signals.next() => return Ok(()),
            };
            if globals.json {
                output::json(&serde_json::json!({ "url": url, "steps": steps }))?;
            } else {
                output::text(&steps::table(&steps))?;
                output::text(&lines::try_it(address, self.once))?;
            }
            // Its connection would keep the server waiting for the end of requests.
            drop(client);
            if self.once {
                handle.stop();
                return handle.wait().await;
            }
            serve::until_ended(&mut handle, signals).await
        });
        runtime.shutdown_background();
        ended
    }

    async fn start(&self, folder: &std::path::Path) -> Result<Handle> {
        let options = |port| ServerOptions {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], port))),
            data_dir: Some(folder.join("data")),
            parquet_parser: Some(ChildParser::of_this_program(PARSE_PARQUET, MEMORY_DEFAULT, TIME_DEFAULT)),
            ..ServerOptions::default()
        };
        match self.port {
            Some(port) => server::run(options(port)).await,
            None => match server::run(options(PORT_DEFAULT)).await {
                Err(error) if error.code() == codes::ADDRESS_IN_USE => server::run(options(0)).await,
                started => started,
            },
        }
    }
}
