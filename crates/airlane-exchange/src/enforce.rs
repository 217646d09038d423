//! A contract in force over one put: batches are checked before they are put, and rows that break it end the put or are set aside.
//!
//! ```text
//! batch ─ check ─┬─ good ──▶ the put
//!                └─ bad ───▶ {name}.rejected, with the reasons           (modes that set aside)
//! end   ─ finish: keys, counts, freshness ─▶ rejected rows committed ─▶ the put committed
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use airlane_contract::{CheckOptions, Checker, Spill};
use airlane_model::{ContractReceipt, Error, PutMode, Result, TableName, codes};
use airlane_segment::TableSchema;
use airlane_segment::decode::StreamDecoder;
use airlane_segment::home::storage_error;
use airlane_store::{Put, PutSpec, Store};
use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_schema::SchemaRef;

use crate::contracts::InForce;

/// What the name of a table gets behind it for the rows that were set aside.
const REJECTED: &str = ".rejected";
/// What a body that is gathered reserves at once; what is announced beyond is believed as it comes.
const RESERVED_BYTES_MAX: usize = 64 << 20;

/// A contract in force over one put.
pub(crate) struct Guard {
    checker: Checker,
    /// As it was registered.
    name: String,
    version: u64,
    store: Store,
    rejected: Rejected,
    /// Of a put over a wire: takes its messages apart.
    wire: Option<Wire>,
}

/// Where rows go that break the contract.
enum Rejected {
    Not(Box<PutSpec>),
    Some(Box<Put>),
}

struct Wire {
    decoder: StreamDecoder,
    header: Vec<u8>,
    body: MutableBuffer,
}

impl Guard {
    /// Over a put of a stream of this schema.
    ///
    /// # Errors
    /// `contract_broken` for a schema that does not fit, naming each column; `table_name_invalid` where rows may be set aside
    /// and the name is too long to have another beside it.
    pub(crate) fn begin(store: &Store, in_force: &InForce, spec: &PutSpec, input: &SchemaRef) -> Result<Self> {
        let mut seed = [0; 8];
        store.chance().fill(&mut seed);
        let mut options = CheckOptions::new(spec.table.as_str(), in_force.mode, u64::from_le_bytes(seed));
        options.spill = Some(Box::new(FileSpill::default()));
        let checker = Checker::new(&in_force.contract, input, options)?;
        let table = match in_force.mode.sets_aside() {
            true => TableName::parse(&format!("{}{REJECTED}", spec.table))?,
            false => spec.table.clone(),
        };
        let rejected = PutSpec {
            mode: PutMode::Append,
            durability: spec.durability,
            // So that a put that is repeated sets nothing aside again.
            key: spec.key.clone(),
            caller: spec.caller.clone(),
            ..PutSpec::new(table)
        };
        let rejected = Rejected::Not(Box::new(rejected));
        let (name, version) = (in_force.name.clone(), in_force.version);
        Ok(Self { checker, name, version, store: store.clone(), rejected, wire: None })
    }

    /// The same, of a put over a wire.
    pub(crate) fn with_wire(mut self, decoder: StreamDecoder) -> Self {
        self.wire = Some(Wire { decoder, header: Vec::new(), body: MutableBuffer::new(0) });
        self
    }

    /// The schema of what is put.
    pub(crate) fn schema(&self) -> Result<TableSchema> {
        TableSchema::from_arrow(self.checker.output_schema())
    }

    /// Whether what is good may be put as it came, since nothing is set aside or changed.
    pub(crate) fn only_looks(&self) -> bool {
        self.checker.reads_along() && matches!(&self.rejected, Rejected::Not(_))
    }

    /// Checks a batch, and answers its good rows.
    pub(crate) fn check(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let checked = self.checker.check(batch)?;
        if let Some(rejected) = checked.rejected {
            self.set_aside()?.append(&rejected)?;
        }
        Ok(checked.good)
    }

    fn set_aside(&mut self) -> Result<&mut Put> {
        if let Rejected::Not(spec) = &self.rejected {
            let schema = TableSchema::from_arrow(self.checker.rejected_schema())?;
            let spec = PutSpec::clone(spec);
            let put = match self.store.put_batches(spec.clone(), schema.clone()) {
                // The rows that were set aside before had other columns.
                Err(error) if error.code() == codes::SCHEMA_MISMATCH => {
                    self.store.put_batches(PutSpec { mode: PutMode::Replace, ..spec }, schema)?
                }
                put => put?,
            };
            self.rejected = Rejected::Some(Box::new(put));
        }
        match &mut self.rejected {
            Rejected::Some(put) => Ok(put),
            Rejected::Not(_) => Err(Error::new(codes::INTERNAL, "rows cannot be set aside")),
        }
    }

    /// Begins a message of a put over a wire.
    pub(crate) fn begin_message(&mut self, header: &[u8], body_bytes: u64) -> Result<()> {
        let wire = self.wire()?;
        wire.decoder.check(header, body_bytes)?;
        wire.header = header.to_vec();
        let bytes = usize::try_from(body_bytes).unwrap_or(usize::MAX).min(RESERVED_BYTES_MAX);
        wire.body = MutableBuffer::with_capacity(bytes);
        Ok(())
    }

    /// Takes a chunk of its body.
    pub(crate) fn take_body(&mut self, chunk: &[u8]) -> Result<()> {
        self.wire()?.body.extend_from_slice(chunk);
        Ok(())
    }

    /// Ends the message: the good rows of its batch, unless it is a dictionary.
    pub(crate) fn end_message(&mut self) -> Result<Option<RecordBatch>> {
        let wire = self.wire()?;
        let body = Buffer::from(std::mem::replace(&mut wire.body, MutableBuffer::new(0)));
        let batch = wire.decoder.decode(&wire.header, body)?;
        batch.map(|batch| self.check(&batch)).transpose()
    }

    fn wire(&mut self) -> Result<&mut Wire> {
        self.wire.as_mut().ok_or_else(|| Error::new(codes::INTERNAL, "a put of batches has messages"))
    }

    /// Judges what only all rows show, and commits those that were set aside.
    ///
    /// # Errors
    /// `contract_broken`; those of the commit of what was set aside.
    pub(crate) async fn finish(self) -> Result<ContractReceipt> {
        let Self { checker, name, version, store, rejected, .. } = self;
        let now = store.clock().now();
        // Keys that have spilled are read again.
        let verdict = tokio::task::spawn_blocking(move || checker.finish(now)).await;
        let verdict = verdict
            .map_err(|error| Error::new(codes::INTERNAL, format!("the end of a check broke off: {error}")))??;
        let report = verdict.into_result()?;
        let report = match serde_json::to_value(report) {
            Ok(serde_json::Value::Object(mut report)) => {
                report.insert("contract".into(), name.into());
                report
            }
            _ => return Err(Error::new(codes::INTERNAL, "a report cannot be written as JSON")),
        };
        let rejected_ticket = match rejected {
            Rejected::Not(_) => None,
            Rejected::Some(put) => Some(put.commit().await?.ticket),
        };
        Ok(ContractReceipt { registered_version: version, rejected_ticket, report })
    }
}

/// Keys that do not fit into memory, in a file without a name.
#[derive(Default)]
struct FileSpill {
    file: Option<File>,
    bytes: u64,
    /// Where the pieces of each partition lie.
    pieces: HashMap<u32, Vec<(u64, usize)>>,
}

impl Spill for FileSpill {
    fn append(&mut self, partition: u32, bytes: &[u8]) -> Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile().map_err(spill_failed)?),
        };
        file.write_all_at(bytes, self.bytes).map_err(spill_failed)?;
        self.pieces.entry(partition).or_default().push((self.bytes, bytes.len()));
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn read(&mut self, partition: u32, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (Some(file), Some(pieces)) = (&self.file, self.pieces.get(&partition)) else { return Ok(()) };
        let mut bytes = Vec::new();
        for (offset, length) in pieces {
            bytes.resize(*length, 0);
            file.read_exact_at(&mut bytes, *offset).map_err(spill_failed)?;
            take(&bytes)?;
        }
        Ok(())
    }
}

fn spill_failed(error: io::Error) -> Error {
    storage_error("keep the keys of a put in a temporary file", error)
}
