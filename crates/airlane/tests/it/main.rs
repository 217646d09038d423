//! The server and the command line, as their users see them.

mod cli;
mod client;
mod server;
