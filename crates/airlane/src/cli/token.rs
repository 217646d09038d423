//! `airlane token`.

use airlane_gate::NewToken;
use airlane_model::{Result, SystemChance};

use super::{Globals, rights};
use crate::output;

/// Make a token for the rights file
///
/// Prints the section to add to the rights file, which holds a hash of the token, and shows the token itself on stderr:
/// it is kept nowhere.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane token ci >> rights.toml")]
pub(crate) struct Token {
    /// The caller that the token stands for
    name: String,
}

impl Token {
    pub(super) fn run(&self, globals: &Globals) -> Result<()> {
        rights::check_name(&self.name)?;
        let NewToken { token, sha256 } = NewToken::random(&SystemChance);
        let section = rights::section("token", &self.name, "sha256", &sha256);
        if globals.json {
            let token = token.expose();
            return output::json(&serde_json::json!({ "name": self.name, "token": token, "section": section }));
        }
        output::text(&section)?;
        eprintln!("the token of {}, which is kept nowhere: {}", self.name, token.expose());
        Ok(())
    }
}
