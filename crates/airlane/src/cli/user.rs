//! `airlane user`.

use std::io::{self, BufRead, IsTerminal};

use airlane_gate::{hash_password, random_password};
use airlane_model::{Error, Result, Secret, SystemChance, codes};

use super::{Globals, rights};
use crate::output;

const PASSWORD_CHARS_MIN: usize = 8;
const PASSWORD_BYTES_MAX: usize = 1024;

/// Make a user for the rights file
///
/// Asks for the password without showing it, or reads it from stdin when that is no terminal, and prints the section to
/// add to the rights file, which holds a hash of the password. `--generate` makes a password and shows it on stderr.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane user ada >> rights.toml
  airlane user ada --generate >> rights.toml")]
pub(crate) struct User {
    /// The user
    name: String,

    /// Make a random password instead of reading one
    #[arg(long)]
    generate: bool,
}

impl User {
    pub(super) fn run(&self, globals: &Globals) -> Result<()> {
        rights::check_name(&self.name)?;
        let password = if self.generate { random_password(&SystemChance) } else { read()? };
        let hash = hash_password(&password, &SystemChance)?;
        let section = rights::section("user", &self.name, "password", &hash);
        let generated = self.generate.then(|| password.expose());
        if globals.json {
            return output::json(&serde_json::json!({ "name": self.name, "password": generated, "section": section }));
        }
        output::text(&section)?;
        if let Some(password) = generated {
            eprintln!("the password of {}, which is kept nowhere: {password}", self.name);
        }
        Ok(())
    }
}

fn read() -> Result<Secret> {
    let failed = |error: io::Error| {
        Error::new(codes::FILE_FAILED, format!("no password can be read: {error}")).at("stdin").source(error)
    };
    let password = if io::stdin().is_terminal() {
        let password = Secret::new(rpassword::prompt_password("Password: ").map_err(failed)?);
        let again = Secret::new(rpassword::prompt_password("Again: ").map_err(failed)?);
        if password.expose() != again.expose() {
            return Err(Error::new(codes::OPTION_INVALID, "the second password is another one").at("stdin"));
        }
        password
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(failed)?;
        let line = Secret::new(line);
        Secret::new(line.expose().trim_end_matches(['\r', '\n']))
    };
    if password.expose().chars().count() < PASSWORD_CHARS_MIN || password.expose().len() > PASSWORD_BYTES_MAX {
        let message =
            format!("a password has at least {PASSWORD_CHARS_MIN} characters, at most {PASSWORD_BYTES_MAX} bytes");
        return Err(Error::new(codes::OPTION_INVALID, message).at("stdin").hint("`--generate` makes a good one"));
    }
    Ok(password)
}
