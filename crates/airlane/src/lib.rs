//! The parts of the binary that tests and other programs may use: the server.

pub mod server;
