//! The server and the command line, as their users see them.

mod certificates;
mod cli;
mod client;
mod embedded;
mod fuzz;
mod local;
mod requests;
mod resume;
mod server;
