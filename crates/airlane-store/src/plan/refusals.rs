//! Why a put cannot be done.

use airlane_model::{Durability, Error, TableName, codes};

pub(crate) fn durability_conflict(table: &TableName, has: Durability, asked: Durability) -> Error {
    Error::new(codes::DURABILITY_CONFLICT, format!("table `{table}` is {has}, the put asks for {asked}"))
        .at(format!("table `{table}`"))
        .hint("leave the durability out, or drop the table first")
}

/// Another put of another durability creates the table at this moment.
pub(super) fn raced(table: &TableName) -> Error {
    let message = format!("table `{table}` is being created with another durability");
    Error::new(codes::DURABILITY_CONFLICT, message).at(format!("table `{table}`")).hint("repeat the put")
}

pub(crate) fn schema_mismatch(table: &TableName, error: &Error) -> Error {
    let place = error.place().map_or_else(|| format!("table `{table}`"), |place| format!("table `{table}`, {place}"));
    let copy = error.again();
    copy.at(place)
}
