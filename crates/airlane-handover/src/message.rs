//! The messages, as protobuf (proto3). Fields that are absent are zero or empty.

use airlane_model::{Error, Result, codes};
use prost::Message as _;

/// From a client, first: who it is and what it can do.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hello {
    /// The newest version of the protocol that it speaks.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// A bearer token; empty where the connection itself shows who it is.
    #[prost(string, tag = "2")]
    pub token: String,
    /// Its name and version, for logs.
    #[prost(string, tag = "3")]
    pub client: String,
    /// Whether it asks to be a trusted worker.
    #[prost(bool, tag = "4")]
    pub trusted: bool,
}

/// The answer to a hello.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelloOk {
    /// The version of the protocol that both speak from now on.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// A number for this connection, for logs.
    #[prost(uint64, tag = "2")]
    pub connection: u64,
    /// The server's name and version.
    #[prost(string, tag = "3")]
    pub server: String,
    /// 16 random bytes, new at each start of the server.
    #[prost(bytes = "vec", tag = "4")]
    pub boot_id: Vec<u8>,
    /// As whom the client is known.
    #[prost(string, tag = "5")]
    pub caller: String,
    /// Whether it is a trusted worker.
    #[prost(bool, tag = "6")]
    pub trusted: bool,
    /// How long a lease lasts that is not renewed.
    #[prost(uint32, tag = "7")]
    pub lease_seconds: u32,
    /// The memory that its leases may hold at once.
    #[prost(uint64, tag = "8")]
    pub leased_bytes_max: u64,
    /// Where descriptors cannot be passed: the folder for files; empty where they can.
    #[prost(string, tag = "9")]
    pub folder: String,
    /// Where the server can be reached for everything else; empty where nowhere.
    #[prost(string, tag = "10")]
    pub url: String,
}

/// Begins a put.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Begin {
    /// The table; empty for a hand-over that needs no name.
    #[prost(string, tag = "1")]
    pub table: String,
    /// `replace` or `append`; empty for `replace`.
    #[prost(string, tag = "2")]
    pub mode: String,
    /// `ephemeral` or `durable`; empty as the table is, or as the server keeps new ones.
    #[prost(string, tag = "3")]
    pub durability: String,
    /// Rules of retention, each as `rule=value`, such as `ttl=1h`.
    #[prost(string, repeated, tag = "4")]
    pub retention: Vec<String>,
    /// The key under which a repeated put is the same put; empty for none.
    #[prost(string, tag = "5")]
    pub idempotency_key: String,
    /// How many bytes the segments will have in all, as far as that is known.
    #[prost(uint64, tag = "6")]
    pub bytes_expected: u64,
}

/// The put has begun.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BeginOk {
    /// Its number in this connection.
    #[prost(uint64, tag = "1")]
    pub put: u64,
    /// The table's name, also where the server chose it.
    #[prost(string, tag = "2")]
    pub table: String,
    /// How many bytes can come at once without waiting for memory.
    #[prost(uint64, tag = "3")]
    pub bytes_admitted: u64,
}

/// A segment, whose memfd comes with the message, or that lies in a file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Segment {
    /// The put.
    #[prost(uint64, tag = "1")]
    pub put: u64,
    /// Its place in the put, from 0 on.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// Its length.
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
    /// Its rows.
    #[prost(uint64, tag = "4")]
    pub rows: u64,
    /// The name of its file in the client's folder; empty where a descriptor comes with the message.
    #[prost(string, tag = "5")]
    pub file: String,
}

/// The segment is the server's now.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentOk {
    /// The put.
    #[prost(uint64, tag = "1")]
    pub put: u64,
    /// The segment.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// Whether its values were validated, or believed.
    #[prost(bool, tag = "3")]
    pub validated: bool,
}

/// Makes a put visible.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Commit {
    /// The put.
    #[prost(uint64, tag = "1")]
    pub put: u64,
    /// How many segments it has.
    #[prost(uint64, tag = "2")]
    pub segments: u64,
}

/// The put is visible, and kept at its durability. It may take several messages; the facts stand in the first, the report goes on in
/// the others.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Committed {
    /// The ticket that reads this version, at every door.
    #[prost(string, tag = "1")]
    pub ticket: String,
    /// The table.
    #[prost(string, tag = "2")]
    pub table: String,
    /// Its id.
    #[prost(string, tag = "3")]
    pub table_id: String,
    /// The version.
    #[prost(uint64, tag = "4")]
    pub version: u64,
    /// The rows of the version.
    #[prost(uint64, tag = "5")]
    pub rows: u64,
    /// The bytes of the version.
    #[prost(uint64, tag = "6")]
    pub bytes: u64,
    /// The rows of the put.
    #[prost(uint64, tag = "7")]
    pub rows_put: u64,
    /// The durability that it has.
    #[prost(string, tag = "8")]
    pub durability: String,
    /// What a data contract had to say, where one is bound to the table: JSON, as in the receipts of other doors, or a piece of it.
    #[prost(bytes = "vec", tag = "9")]
    pub contract: Vec<u8>,
}

/// Gives a put up. It has no answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Abort {
    /// The put.
    #[prost(uint64, tag = "1")]
    pub put: u64,
}

/// Opens a table for reading.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Open {
    /// A ticket, of whatever kind.
    #[prost(string, tag = "1")]
    pub ticket: String,
}

/// What to map. It may take several messages; the facts stand in the first, homes and segments go on in the others.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Table {
    /// The number of the lease in this connection.
    #[prost(uint64, tag = "1")]
    pub lease: u64,
    /// The table.
    #[prost(string, tag = "2")]
    pub table: String,
    /// Its id.
    #[prost(string, tag = "3")]
    pub table_id: String,
    /// The version.
    #[prost(uint64, tag = "4")]
    pub version: u64,
    /// The position in the version of the first row.
    #[prost(uint64, tag = "5")]
    pub row_offset: u64,
    /// The rows.
    #[prost(uint64, tag = "6")]
    pub rows: u64,
    /// The schema as an IPC message, where it is small; else it is read from the first segment.
    #[prost(bytes = "vec", tag = "7")]
    pub schema: Vec<u8>,
    /// Homes, each of which comes with a descriptor, in the same order.
    #[prost(message, repeated, tag = "8")]
    pub homes: Vec<TableHome>,
    /// Segments, in the order of their rows.
    #[prost(message, repeated, tag = "9")]
    pub segments: Vec<TableSegment>,
    /// Whether the read is counted: it is used when the reader says that it has ended.
    #[prost(bool, tag = "10")]
    pub is_counted: bool,
}

/// Something to be mapped.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TableHome {
    /// What it is.
    #[prost(enumeration = "HomeKind", tag = "1")]
    pub kind: i32,
    /// Its length.
    #[prost(uint64, tag = "2")]
    pub bytes: u64,
    /// The name of its file in the client's folder; empty where a descriptor comes with the message.
    #[prost(string, tag = "3")]
    pub file: String,
}

/// What a home is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum HomeKind {
    /// A memfd that is sealed against growing, shrinking and writing.
    Memfd = 0,
    /// A file that is never written again.
    File = 1,
}

/// A segment in a home.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TableSegment {
    /// The home, counted over all messages of the answer.
    #[prost(uint32, tag = "1")]
    pub home: u32,
    /// Where it begins, a multiple of 64.
    #[prost(uint64, tag = "2")]
    pub offset: u64,
    /// Its length.
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
    /// Its rows.
    #[prost(uint64, tag = "4")]
    pub rows: u64,
}

/// The reader is through with tables. It has no answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Release {
    /// The leases.
    #[prost(uint64, repeated, tag = "1")]
    pub leases: Vec<u64>,
    /// Leases of tables that were read to their end, and are still mapped: where reads are counted these are used.
    #[prost(uint64, repeated, tag = "2")]
    pub ended: Vec<u64>,
}

/// The reader is not through with tables yet. It has no answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Renew {
    /// The leases.
    #[prost(uint64, repeated, tag = "1")]
    pub leases: Vec<u64>,
}

/// How much memory the leases of a client hold, and whether the server is short of it. A client sends it empty to ask.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Quota {
    /// What they may hold.
    #[prost(uint64, tag = "1")]
    pub leased_bytes_max: u64,
    /// What they hold.
    #[prost(uint64, tag = "2")]
    pub leased_bytes: u64,
    /// Whether puts wait for memory.
    #[prost(bool, tag = "3")]
    pub is_short: bool,
}

/// The server is stopping: what runs may end, what is mapped stays.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct GoingAway {
    /// How long.
    #[prost(uint32, tag = "1")]
    pub seconds: u32,
}

/// A request was refused, or failed. A put that failed is at its end.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Failure {
    /// The code, of those that all doors have.
    #[prost(string, tag = "1")]
    pub code: String,
    /// What is wrong.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Where; empty where the message says it.
    #[prost(string, tag = "3")]
    pub place: String,
    /// What to do; empty where there is no more to say.
    #[prost(string, tag = "4")]
    pub hint: String,
    /// When to try again, in milliseconds; 0 where nobody knows.
    #[prost(uint64, tag = "5")]
    pub retry_after_millis: u64,
}

macro_rules! messages {
    ($($number:literal $variant:ident($body:ty), $name:literal;)*) => {
        /// A message of either side.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "each is documented where it stands")]
        pub enum Message {
            $($variant($body),)*
        }

        impl Message {
            /// The number of each message and its name in the specification.
            pub const NAMES: &'static [(u16, &'static str)] = &[$(($number, $name),)*];

            /// The number that says which message it is.
            pub fn number(&self) -> u16 {
                match self { $(Self::$variant(_) => $number,)* }
            }

            /// Its fields as protobuf.
            pub fn encode(&self) -> Vec<u8> {
                match self { $(Self::$variant(body) => body.encode_to_vec(),)* }
            }

            /// The message of this number with these fields.
            ///
            /// # Errors
            /// `message_invalid`.
            pub fn decode(number: u16, body: &[u8]) -> Result<Self> {
                match number {
                    $($number => <$body>::decode(body).map(Self::$variant).map_err(|error| malformed($name, &error)),)*
                    _ => Err(Error::new(codes::MESSAGE_INVALID, format!("there is no message {number}"))),
                }
            }
        }

        $(impl From<$body> for Message {
            fn from(body: $body) -> Self {
                Self::$variant(body)
            }
        })*
    };
}

messages! {
    1 Hello(Hello), "HELLO";
    2 HelloOk(HelloOk), "HELLO_OK";
    3 Begin(Begin), "BEGIN";
    4 BeginOk(BeginOk), "BEGIN_OK";
    5 Segment(Segment), "SEGMENT";
    6 SegmentOk(SegmentOk), "SEGMENT_OK";
    7 Commit(Commit), "COMMIT";
    8 Committed(Committed), "COMMITTED";
    9 Abort(Abort), "ABORT";
    10 Open(Open), "OPEN";
    11 Table(Table), "TABLE";
    12 Release(Release), "RELEASE";
    13 Renew(Renew), "RENEW";
    14 Quota(Quota), "QUOTA";
    15 GoingAway(GoingAway), "GOING_AWAY";
    16 Failure(Failure), "ERROR";
}

impl Message {
    /// Its name in the specification.
    pub fn name(&self) -> &'static str {
        let number = self.number();
        Self::NAMES.iter().find(|(of, _)| *of == number).map_or("-", |(_, name)| name)
    }
}

fn malformed(name: &str, error: &prost::DecodeError) -> Error {
    Error::new(codes::MESSAGE_INVALID, format!("a message {name} is malformed: {error}"))
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            code: error.code().name().to_owned(),
            message: error.message().to_owned(),
            place: error.place().unwrap_or_default().to_owned(),
            hint: error.hint_text().unwrap_or_default().to_owned(),
            retry_after_millis: error.retry_after_time().map_or(0, millis),
        }
    }
}

impl Failure {
    /// The error at the other end; a code that is not known here is an internal one.
    pub fn error(self) -> Error {
        let code = airlane_model::Code::by_name(&self.code).unwrap_or(codes::INTERNAL);
        let mut error = Error::new(code, self.message);
        if !self.place.is_empty() {
            error = error.at(self.place);
        }
        if !self.hint.is_empty() {
            error = error.hint(self.hint);
        }
        if self.retry_after_millis > 0 {
            error = error.retry_after(std::time::Duration::from_millis(self.retry_after_millis));
        }
        error
    }
}
