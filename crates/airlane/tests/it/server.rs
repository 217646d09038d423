//! A server in this process, asked by stock clients and by hand-made frames.

mod accept;
mod catalog;
mod compressed;
mod framing;
mod harness;
mod health;
mod http;
mod limits;
mod order;
mod panics;
mod raw;
mod round_trip;
mod tables;
mod unix;
mod vanish;
