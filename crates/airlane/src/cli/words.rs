//! Words that flags take, each with its meaning for help texts and completions.

use std::str::FromStr;

use airlane_format::Format;
use airlane_model::contract::{Compatibility, Mode};
use airlane_model::{Durability, PutMode};
use clap::builder::{PossibleValuesParser, TypedValueParser};

pub(crate) fn format() -> impl TypedValueParser<Value = Format> {
    parser(Format::TABLE.map(|(_, name, _)| name))
}

pub(crate) fn mode() -> impl TypedValueParser<Value = PutMode> {
    parser(["replace", "append"])
}

pub(crate) fn durability() -> impl TypedValueParser<Value = Durability> {
    parser(["ephemeral", "durable"])
}

pub(crate) fn contract_mode() -> impl TypedValueParser<Value = Mode> {
    parser(Mode::names())
}

pub(crate) fn compatibility() -> impl TypedValueParser<Value = Compatibility> {
    parser(Compatibility::names())
}

fn parser<T, const N: usize>(words: [&'static str; N]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = airlane_model::Error> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| word.parse())
}
