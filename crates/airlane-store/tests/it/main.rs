//! The store as its callers see it, and what it does when things break.

mod basics;
mod counted;
mod damage;
mod faults;
mod fixture;
mod folder;
mod full_disk;
mod kills;
mod memory;
mod merging;
mod model;
mod power;
mod replay;
mod retention;
mod support;
