//! Tables of every type through every home, read back by us and by others.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod arbitrary;
mod bytes;
mod homes;
mod property;
mod pyarrow;
mod scatter;
