//! Flags that say how a CSV file is written: one for each option that the format has.

use airlane_format::CsvOptions;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

/// How a CSV file is written.
#[derive(Debug)]
pub(crate) struct CsvFlags {
    pub(crate) options: CsvOptions,
}

impl Args for CsvFlags {
    fn augment_args(command: Command) -> Command {
        CsvOptions::NAMES.into_iter().fold(command, |command, (name, help)| {
            let parse = move |text: &str| CsvOptions::default().set(name, text).map(|_| text.to_owned());
            let arg = Arg::new(name).long(name).help(help).help_heading("CSV").value_name(name.to_uppercase());
            command.arg(arg.value_parser(parse).allow_hyphen_values(true))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CsvFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = CsvOptions::default();
        for (name, _) in CsvOptions::NAMES {
            if let Some(text) = matches.get_one::<String>(name) {
                options
                    .set(name, text)
                    .map_err(|error| clap::Error::raw(clap::error::ErrorKind::ValueValidation, error))?;
            }
        }
        Ok(Self { options })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
