//! A writer of a format whose bytes are packed.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use airlane_model::Result;
use arrow_array::RecordBatch;
use flate2::Compression;
use flate2::write::GzEncoder;
use zstd::stream::write::Encoder as ZstdEncoder;

use super::Packing;
use crate::BatchWriter;
use crate::error::failed;

type Output = Box<dyn Write + Send>;

enum Encoder {
    Gzip(GzEncoder<Output>),
    Zstd(ZstdEncoder<'static, Output>),
}

/// What the writer of the format writes into, and the packed writer ends behind it.
#[derive(Clone)]
struct Shared(Arc<Mutex<Encoder>>);

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut Encoder) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|encoder| match encoder {
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
        })
    }

    /// A flush of the format is none of the packing: each would cost some of what packing gains.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a format, packed.
pub(crate) struct PackedWriter {
    inner: Box<dyn BatchWriter>,
    encoder: Shared,
}

const PLACE: &str = "the packed output";

impl PackedWriter {
    pub(crate) fn new(
        output: Output,
        packing: Packing,
        writer: impl FnOnce(Output) -> Result<Box<dyn BatchWriter>>,
    ) -> Result<Self> {
        let encoder = match packing {
            Packing::Gzip => Encoder::Gzip(GzEncoder::new(output, Compression::default())),
            Packing::Zstd => {
                let encoder = ZstdEncoder::new(output, zstd::DEFAULT_COMPRESSION_LEVEL).and_then(|mut encoder| {
                    // As gzip has one: damage shall not pass for data.
                    encoder.include_checksum(true)?;
                    Ok(encoder)
                });
                Encoder::Zstd(encoder.map_err(|error| failed(error, PLACE))?)
            }
        };
        let encoder = Shared(Arc::new(Mutex::new(encoder)));
        Ok(Self { inner: writer(Box::new(encoder.clone()))?, encoder })
    }
}

impl BatchWriter for PackedWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.inner.write(batch)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.inner.finish()?;
        let ended = self.encoder.with(|encoder| match encoder {
            Encoder::Gzip(encoder) => encoder.try_finish().and_then(|()| encoder.get_mut().flush()),
            Encoder::Zstd(encoder) => encoder.do_finish().and_then(|()| encoder.get_mut().flush()),
        });
        ended.map_err(|error| failed(error, PLACE))
    }
}
