//! `airlane parse-parquet`: the child of a server that parses an uploaded Parquet file.

use std::time::Duration;

use airlane_format::child::{self, Limits};
use airlane_model::ByteSize;

use super::Outcome;

/// Parse the Parquet file that is stdin, and write it to stdout as an Arrow stream; for servers
#[derive(Debug, clap::Args)]
pub(crate) struct ParseParquet {
    /// Bytes of memory beyond what the process has when it begins
    #[arg(long)]
    memory: u64,

    /// Processor time
    #[arg(long)]
    seconds: u64,

    /// What errors call the file
    #[arg(long)]
    name: String,
}

impl ParseParquet {
    pub(super) fn run(&self) -> Outcome {
        let limits = Limits { memory: ByteSize::bytes(self.memory), time: Duration::from_secs(self.seconds) };
        match child::parse(&self.name, limits) {
            Ok(()) => Outcome::Done,
            Err(_) => Outcome::Unwell,
        }
    }
}
