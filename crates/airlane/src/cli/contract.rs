//! `airlane contract`: data contracts at a server, and files against them.

mod files;
mod server;

use airlane_model::Result;
use clap::Subcommand;

use super::{Globals, Outcome, block_on, done};

/// Data contracts: at a server, and files against them
///
/// A contract is a document of the Open Data Contract Standard. A server registers contracts in versions, binds them to names of
/// tables and keeps to them at every put, whichever door the rows come by. `check` and `infer` need no server.
#[derive(Debug, clap::Args)]
pub(crate) struct ContractCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    Add(server::Add),
    Ls(server::Ls),
    Show(server::Show),
    Diff(server::Diff),
    Bind(server::Bind),
    Unbind(server::Unbind),
    Bindings(server::Bindings),
    Check(files::Check),
    Infer(files::Infer),
}

impl ContractCommand {
    pub(super) fn run(&self, globals: &Globals) -> Result<Outcome> {
        match &self.command {
            Subcommands::Add(add) => block_on(add.run(globals)),
            Subcommands::Ls(ls) => block_on(ls.run(globals)),
            Subcommands::Show(show) => block_on(show.run(globals)),
            Subcommands::Diff(diff) => block_on(diff.run(globals)),
            Subcommands::Bind(bind) => block_on(bind.run(globals)),
            Subcommands::Unbind(unbind) => block_on(unbind.run(globals)),
            Subcommands::Bindings(bindings) => block_on(bindings.run(globals)),
            Subcommands::Check(check) => done(check.run(globals)),
            Subcommands::Infer(infer) => done(infer.run()),
        }
    }
}
