//! Tables of every type through every home, read back by us and by others.

mod arbitrary;
mod bytes;
mod homes;
mod property;
mod pyarrow;
