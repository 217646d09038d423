//! The server: one listener for every door, from start to graceful end.

mod connection;
mod listener;
mod unix;
