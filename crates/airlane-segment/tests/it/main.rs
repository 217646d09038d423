//! Streams of strangers, valid and not, through the public interface.

mod bombs;
mod compressed;
mod corpus;
mod dictionaries;
mod drive;
mod fingerprint;
mod forge;
mod fuzz;
mod intake;
mod layout;
mod memory;
mod messages;
mod schemas;
mod stream;
mod valid;
mod values;
mod views;
