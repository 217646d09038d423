//! `airlane serve`.

use std::path::PathBuf;

use airlane_model::Result;

use super::Globals;
use crate::config::flags::ServerFlags;
use crate::config::{ServerSettings, print};
use crate::output;

/// Keep tables and serve them
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// A folder whose files become tables
    dir: Option<PathBuf>,

    /// Show each setting and where its value came from, and end
    #[arg(long)]
    print_config: bool,

    #[command(flatten)]
    settings: ServerFlags,
}

impl Serve {
    pub(super) fn run(&self, globals: &Globals) -> Result<()> {
        let sources = globals.sources(self.settings.given.clone())?;
        let (settings, all) = ServerSettings::resolve(&sources)?;
        if self.print_config {
            return if globals.json { output::json(&print::json(&all)) } else { output::text(&print::toml(&all)) };
        }
        let _ = settings;
        Ok(())
    }
}
