//! What a reader of an exchange receives, seen through arrow's own stream reader.

mod confirmed;
mod counted;
mod frames;
mod handover;
mod queries;
mod reads;
mod support;
mod tickets;
