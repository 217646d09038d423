//! Test server, sample tables and the case reader
