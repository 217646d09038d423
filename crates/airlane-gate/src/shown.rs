//! What a connection shows by itself of who is at its other end, before any request.

use std::sync::Arc;

/// Who is at the other end of a connection, as far as the connection tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// Nothing.
    #[default]
    Nothing,
    /// A certificate that an authority of the server's choice has signed: every name that it is for. Whoever makes this
    /// value has verified the certificate.
    Certificate(Arc<[Identity]>),
    /// A process of this machine that runs as the user with this number, as the kernel says.
    Uid(u32),
}

/// A name that a certificate is for, as its subject alternative names have it. Identities are the same when their bytes
/// are: no case is folded, nothing stands for anything else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A URI, such as `spiffe://example.org/ingest`.
    Uri(String),
    /// A DNS name, such as `ingest.example.org`.
    Dns(String),
}
