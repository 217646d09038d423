//! The content of a packed input, within bounds.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use airlane_model::{ByteSize, Error, codes};
use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::{EXPANSION_FREE, ExpansionLimits, Packing};
use crate::error::{failed, invalid};

/// The window that a zstd frame may ask for, as a power of two: 8 MiB, which is what every decoder takes (RFC 9659) and what
/// `zstd -19` needs. Each unpacking holds one.
const WINDOW_LOG_MAX: u32 = 23;
const CHUNK_BYTES: usize = 64 << 10;

/// Unpacks as it is read. Its errors carry an [`Error`].
pub(crate) struct Unpacked {
    decoder: Box<dyn Read + Send>,
    packing: Packing,
    name: String,
    limits: ExpansionLimits,
    packed: Arc<AtomicU64>,
    bytes: u64,
}

impl Unpacked {
    pub(crate) fn new(
        input: Box<dyn Read + Send>,
        packing: Packing,
        limits: ExpansionLimits,
        name: &str,
    ) -> io::Result<Self> {
        let packed = Arc::new(AtomicU64::new(0));
        let input = Counted { input, bytes: packed.clone(), name: name.to_owned() };
        let input = BufReader::with_capacity(CHUNK_BYTES, input);
        let decoder: Box<dyn Read + Send> = match packing {
            Packing::Gzip => Box::new(MultiGzDecoder::new(input)),
            Packing::Zstd => {
                let mut decoder = ZstdDecoder::with_buffer(input)?;
                decoder.window_log_max(WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        };
        Ok(Self { decoder, packing, name: name.to_owned(), limits, packed, bytes: 0 })
    }

    fn refuse_bomb(&self) -> Result<(), Error> {
        let Self { packing, limits, .. } = self;
        let packed = self.packed.load(Ordering::Relaxed);
        let refused = |message: String| {
            Err(Error::new(codes::LIMIT_EXCEEDED, message)
                .at(&*self.name)
                .hint("unpack it and send it as it is, or send it in parts"))
        };
        if self.bytes > limits.bytes_max.as_u64() {
            return refused(format!("the content is larger than {} when it is unpacked", limits.bytes_max));
        }
        if self.bytes > EXPANSION_FREE.as_u64() && self.bytes / packed.max(1) >= limits.ratio_max {
            let (packed, bytes) = (ByteSize::bytes(packed), ByteSize::bytes(self.bytes));
            return refused(format!("{packed} of {packing} data have become {bytes}, and it goes on"));
        }
        Ok(())
    }

    /// What a decoder says of damaged bytes.
    fn explain(&self, error: &io::Error) -> Error {
        let packing = self.packing;
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return invalid(format!("the {packing} data end too early"), &*self.name).hint("send the file again");
        }
        let message = error.to_string();
        if message.contains("requires too much memory") {
            return invalid("the zstd data need a window of more than 8 MiB", &*self.name)
                .hint("pack it without `--long` and `--ultra`");
        }
        invalid(format!("the {packing} data are damaged: {message}"), &*self.name)
    }
}

impl Read for Unpacked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.decoder.read(into) {
            Ok(bytes) => {
                self.bytes += bytes as u64;
                self.refuse_bomb().map_err(io::Error::other)?;
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Error>()) => Err(error),
            Err(error) => Err(io::Error::other(self.explain(&error))),
        }
    }
}

/// The packed bytes, whose own errors are told from those of a decoder.
struct Counted {
    input: Box<dyn Read + Send>,
    bytes: Arc<AtomicU64>,
    name: String,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.input.read(into) {
            Ok(bytes) => {
                self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(io::Error::other(failed(error, &*self.name))),
        }
    }
}
