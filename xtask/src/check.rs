//! Checks of our own: what compilers and test runners do not look at.

pub(crate) mod architecture;
mod c_data;
pub(crate) mod dependencies;
