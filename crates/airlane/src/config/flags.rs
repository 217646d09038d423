//! The flags of the settings, for clap.

use std::collections::BTreeMap;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::{ClientSettings, ServerSettings, Setting};

macro_rules! flags {
    ($(#[$meta:meta])* $name:ident, $settings:ident, $heading:expr, $global:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        pub(crate) struct $name {
            /// The values that were given, by key.
            pub(crate) given: BTreeMap<String, String>,
        }

        impl Args for $name {
            fn augment_args(command: Command) -> Command {
                augment(command, $settings::TABLE, $heading, $global)
            }

            fn augment_args_for_update(command: Command) -> Command {
                Self::augment_args(command)
            }
        }

        impl FromArgMatches for $name {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                Ok(Self { given: given(matches, $settings::TABLE) })
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                self.given.extend(given(matches, $settings::TABLE));
                Ok(())
            }
        }
    };
}

flags! {
    /// The flags of the server's settings.
    ServerFlags, ServerSettings, "Settings", false
}

flags! {
    /// The flags of the client's settings, which every command has.
    ClientFlags, ClientSettings, "Global options", true
}

fn augment(command: Command, table: &'static [Setting], heading: &'static str, global: bool) -> Command {
    table.iter().fold(command, |command, setting| {
        let note = format!("[variable: {}]", setting.variable());
        let argument = Arg::new(setting.key)
            .long(setting.flag())
            .help(format!("{} {note}", setting.summary()))
            .long_help(format!("{}\n\n{note}", setting.manual()))
            .help_heading(heading)
            .global(global);
        command.arg(match setting.is_switch() {
            true => argument.action(ArgAction::SetTrue),
            false => argument.value_name(setting.value_name),
        })
    })
}

fn given(matches: &ArgMatches, table: &'static [Setting]) -> BTreeMap<String, String> {
    let on_command_line = |setting: &&Setting| matches.value_source(setting.key) == Some(ValueSource::CommandLine);
    let given = table.iter().filter(on_command_line).map(|setting| {
        let text = match setting.is_switch() {
            true => matches.get_flag(setting.key).to_string(),
            false => matches.get_one::<String>(setting.key).cloned().unwrap_or_default(),
        };
        (setting.key.to_owned(), text)
    });
    given.collect()
}
