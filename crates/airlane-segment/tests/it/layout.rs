//! Tables of every type through every home, read back by us and by others.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod arbitrary;
mod bytes;
mod compressed;
mod empty;
mod homes;
mod plain;
mod property;
mod pyarrow;
mod scatter;
mod warm;
