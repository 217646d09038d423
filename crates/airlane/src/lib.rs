//! The parts of the binary that tests and other programs may use: the server, and the exchange inside a program.

pub mod embedded;
pub mod server;
