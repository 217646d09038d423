//! The store as its callers see it, and what it does when things break.

mod basics;
mod budget;
mod counted;
mod damage;
mod facts;
mod faults;
mod fixture;
mod folder;
mod frames;
mod full_disk;
mod key_limits;
mod keyed_kills;
mod keys;
mod kills;
mod memory;
mod merging;
mod model;
mod power;
mod quotas;
mod replay;
mod retention;
mod support;
mod window;
mod window_faults;
mod window_kills;
