//! `airlane demo`.
use airlane_model::Result;

use super::Globals;

/// Show what Airlane does, on real data
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// End after the demonstration instead of serving on
    #[arg(long)]
    once: bool,
}

impl Demo {
    pub(super) fn run(&self, _globals: &Globals) -> Result<()> {
        Ok(())
    }
}
