//! What the door goes by.

use std::path::PathBuf;
use std::time::Duration;

use airlane_model::ByteSize;

/// The settings of the door.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// How long a lease lasts that is not renewed. After it the read is given back where it was counted, and the table may
    /// be idle; the memory counts until the client lets go of it.
    pub lease: Duration,
    /// The memory that the leases of one caller may hold at once. Files do not count: they can be read again.
    pub leased_bytes_max: ByteSize,
    /// Whether processes of the server's own user may be trusted workers, whose segments are not validated.
    pub trusts_own_user: bool,
    /// Where files go for clients that cannot be passed descriptors: a folder of the server's own.
    pub folder: Option<PathBuf>,
    /// How long the server waits for a client to say hello, and for one to take an answer.
    pub patience: Duration,
    /// Where the server can be reached for everything else, as clients are told, such as `grpc://127.0.0.1:8815`.
    pub url: String,
    /// How long running requests may go on when the server stops, as clients are told.
    pub grace: Duration,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60 * 60),
            leased_bytes_max: ByteSize::bytes(u64::MAX),
            trusts_own_user: false,
            folder: None,
            patience: Duration::from_secs(10),
            url: String::new(),
            grace: Duration::from_secs(10),
        }
    }
}
