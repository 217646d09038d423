//! Where the bytes come from: a file that can seek, or a pipe whose first bytes were looked at.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use airlane_model::{Error, Result, codes};

use crate::Spooling;
use crate::error::{failed, invalid};
use crate::packing::{ExpansionLimits, Packing, Unpacked};

/// The bytes that are looked at to recognise a format.
const HEAD_BYTES_MAX: u64 = 4096;

/// An input before it is read.
pub(crate) struct Source {
    name: String,
    head: Vec<u8>,
    body: Body,
}

enum Body {
    /// At its start.
    File(File),
    /// After the head.
    Stream(Box<dyn Read + Send>),
}

impl Source {
    /// Opens a file; a named pipe or a device is read as a stream.
    pub(crate) fn from_path(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let wrap = |error: io::Error| failed(error, &name);
        let mut file = File::open(path).map_err(wrap)?;
        let metadata = file.metadata().map_err(wrap)?;
        if metadata.is_dir() {
            let hint = "`airlane serve DIR` makes a table of each file in a folder";
            return Err(invalid("this is a folder, not a file", &name).hint(hint));
        }
        if !metadata.is_file() {
            return Self::from_stream(&name, Box::new(file));
        }
        let head = read_head(&mut file).map_err(wrap)?;
        file.seek(SeekFrom::Start(0)).map_err(wrap)?;
        Ok(Self { name, head, body: Body::File(file) })
    }

    /// A file that is open, at its start, whose format is known.
    pub(crate) fn from_file(name: &str, file: File) -> Self {
        Self { name: name.to_owned(), head: Vec::new(), body: Body::File(file) }
    }

    /// Looks at the first bytes of a pipe.
    pub(crate) fn from_stream(name: &str, mut input: Box<dyn Read + Send>) -> Result<Self> {
        let head = read_head(&mut input).map_err(|error| failed(error, name))?;
        Ok(Self { name: name.to_owned(), head, body: Body::Stream(input) })
    }

    /// What is in it, if it is packed: as it was said to be, else by its first bytes.
    pub(crate) fn unpacked(self, said: Option<Packing>, limits: ExpansionLimits) -> Result<Self> {
        let name = self.name.clone();
        let packing = match (said, Packing::of_head(&self.head)) {
            (Some(said), found) if found != Some(said) => {
                return Err(invalid(format!("the content is said to be packed with {said}, and is not"), &name));
            }
            (_, None) => return Ok(self),
            (_, Some(packing)) => packing,
        };
        let unpacked = Unpacked::new(self.into_stream(), packing, limits, &name);
        let unpacked = unpacked.map_err(|error| failed(error, &name))?;
        let inside = Self::from_stream(&name, Box::new(unpacked))?;
        match Packing::of_head(&inside.head) {
            None => Ok(inside),
            Some(_) => Err(invalid("the content is packed twice", &name).hint("pack it once")),
        }
    }

    /// What errors call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its first bytes.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// All its bytes, in order.
    pub(crate) fn into_stream(self) -> Box<dyn Read + Send> {
        match self.body {
            Body::File(file) => Box::new(file),
            Body::Stream(input) => Box::new(Cursor::new(self.head).chain(input)),
        }
    }

    /// A file that can seek, at its start; a pipe is copied to an unnamed one.
    pub(crate) fn into_file(self, spooling: &Spooling) -> Result<File> {
        let name = self.name.clone();
        let wrap = |error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull => {
                let message = "the disk has no room for the file while it is read";
                Error::new(codes::STORAGE_FULL, message).at(&*name).source(error)
            }
            _ => failed(error, &name),
        };
        match self.body {
            Body::File(file) => Ok(file),
            Body::Stream(_) => {
                let spool = spooling.folder.as_deref().map_or_else(tempfile::tempfile, tempfile::tempfile_in);
                let mut spool = spool.map_err(|error| failed(error, "the folder of temporary files"))?;
                let most = spooling.bytes_max.as_u64();
                let copied =
                    io::copy(&mut self.into_stream().take(most.saturating_add(1)), &mut spool).map_err(wrap)?;
                if copied > most {
                    let message = format!("a file of this format may have {}", spooling.bytes_max);
                    return Err(Error::new(codes::LIMIT_EXCEEDED, message).at(name).hint("send it in parts"));
                }
                spool.seek(SeekFrom::Start(0)).map_err(wrap)?;
                Ok(spool)
            }
        }
    }
}

fn read_head(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    input.take(HEAD_BYTES_MAX).read_to_end(&mut head)?;
    Ok(head)
}

/// Reads what is there, whatever signals come between; nothing at the end.
pub(crate) fn read_some(input: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
