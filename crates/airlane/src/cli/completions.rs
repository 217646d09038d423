//! `airlane completions`.

use airlane_model::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::output;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane completions bash > ~/.local/share/bash-completion/completions/airlane
  airlane completions zsh > ~/.zfunc/_airlane
  airlane completions fish > ~/.config/fish/completions/airlane.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "airlane", &mut script);
        output::text(&String::from_utf8_lossy(&script))
    }
}
