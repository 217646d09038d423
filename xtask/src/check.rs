//! Checks of our own: what compilers and test runners do not look at.

pub(crate) mod architecture;
pub(crate) mod dependencies;
