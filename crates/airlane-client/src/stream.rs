//! The rows of a read, whichever way they come.

use std::fmt;

use airlane_model::Result;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::local::LocalTable;
use crate::parallel::ParallelRows;
use crate::read::FlightRows;

/// How a table comes from the server, or gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By shared memory: no byte of it is copied or sent.
    SharedMemory,
    /// Over Arrow Flight.
    Flight,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SharedMemory => "shared memory",
            Self::Flight => "flight",
        })
    }
}

/// The rows of a read, as they arrive. Dropping it cancels the read.
///
/// When a connection breaks, the read goes on at the row where it stopped, on a new connection and in the same version of the
/// table, if the server is one of Airlane's. [`resumptions`](Self::resumptions) tells how often that was so.
///
/// On the server's own machine batches point into memory that it shares: they stay valid for as long as they are held,
/// whatever becomes of table and server.
#[derive(Debug)]
pub struct TableStream(Rows);

#[derive(Debug)]
enum Rows {
    Flight(Box<FlightRows>),
    Parallel(Box<ParallelRows>),
    Local(Box<LocalTable>),
}

impl From<FlightRows> for TableStream {
    fn from(rows: FlightRows) -> Self {
        Self(Rows::Flight(Box::new(rows)))
    }
}

impl From<ParallelRows> for TableStream {
    fn from(rows: ParallelRows) -> Self {
        Self(Rows::Parallel(Box::new(rows)))
    }
}

impl From<LocalTable> for TableStream {
    fn from(table: LocalTable) -> Self {
        Self(Rows::Local(Box::new(table)))
    }
}

impl TableStream {
    /// The schema.
    pub fn schema(&self) -> &SchemaRef {
        match &self.0 {
            Rows::Flight(rows) => rows.schema(),
            Rows::Parallel(rows) => rows.schema(),
            Rows::Local(table) => table.schema(),
        }
    }

    /// How the rows come.
    pub fn transport(&self) -> Transport {
        match &self.0 {
            Rows::Flight(_) | Rows::Parallel(_) => Transport::Flight,
            Rows::Local(_) => Transport::SharedMemory,
        }
    }

    /// All rows, where that is known from the beginning.
    pub fn rows(&self) -> Option<u64> {
        match &self.0 {
            Rows::Flight(_) | Rows::Parallel(_) => None,
            Rows::Local(table) => Some(table.rows()),
        }
    }

    /// How often the read broke and went on.
    pub fn resumptions(&self) -> u64 {
        match &self.0 {
            Rows::Flight(rows) => rows.resumptions(),
            // Each flight goes on by itself.
            Rows::Parallel(_) | Rows::Local(_) => 0,
        }
    }

    /// The next batch, or `None` at the end. Batches without rows, which a server sends while it has nothing to say,
    /// are passed over.
    ///
    /// # Errors
    /// What the server answers in the midst, and `connection_broken` when the read could not go on; by shared memory
    /// `data_damaged`, `segment_refused` or `storage_failed` when it cannot be mapped. Nothing comes after an error.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        match &mut self.0 {
            Rows::Flight(rows) => rows.next().await,
            Rows::Parallel(rows) => rows.next().await,
            Rows::Local(table) => table.next().await,
        }
    }
}
