//! `airlane rotate-keys`.

use airlane_model::Result;

use super::Globals;
use crate::output::{self, human};

/// Have tickets signed by a new key
///
/// The keys from before open what they have signed, so nobody notices. With `--revoke` they are forgotten: no ticket that was
/// ever signed is taken any more, as when a key or a backup of the data folder has leaked. Reads that run go on. It takes the
/// right `admin` for all namespaces.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane rotate-keys             a new key signs, all tickets stay good
  airlane rotate-keys --revoke    all tickets so far are refused from now on")]
pub(crate) struct RotateKeys {
    /// Make all tickets void that were signed so far
    #[arg(long)]
    revoke: bool,
}

impl RotateKeys {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let client = globals.connect().await?;
        let rotation = if self.revoke { client.revoke_tickets().await? } else { client.rotate_ticket_keys().await? };
        if globals.json {
            return output::json(&rotation);
        }
        let mut said = format!("tickets are signed by a new key; {} open them", human::counted(rotation.keys, "key"));
        if rotation.revoked > 0 {
            said = format!("tickets are signed by a new key; {} forgotten", was(rotation.revoked));
        }
        output::note(&said);
        output::text(&format!("{}\n", rotation.key))
    }
}

fn was(revoked: u64) -> String {
    let verb = if revoked == 1 { "was" } else { "were" };
    format!("{} {verb}", human::counted(revoked, "key"))
}
