//! The words that every part of Airlane shares: names, ids, versions, tickets, callers, limits and error kinds.
//!
//! This crate knows nothing of storage, protocols or threads. What it holds is small, pure and cheap to clone.

pub mod caller;
mod change;
pub mod clock;
pub mod contract;
pub mod error;
pub mod figures;
pub mod id;
pub mod idempotency;
pub mod limits;
pub mod name;
pub mod outcome;
pub mod quota;
pub mod retention;
mod schema;
pub mod secret;
pub mod size;
pub mod span;
mod statement;
pub mod table;
pub mod ticket;

pub use caller::{Caller, Right, Trail};
pub use change::{Happening, TableChange};
pub use clock::{Chance, Clock, SystemChance, SystemClock, Timestamp};
pub use error::{Code, Error, ErrorKind, Result, codes};
pub use id::{ReadId, SegmentId, TableId, TicketId};
pub use idempotency::{IdempotencyKey, PutKey};
pub use name::TableName;
pub use outcome::Outcome;
pub use quota::{Quota, Quotas, RequestQuota, SharedQuotas};
pub use retention::{Retention, RetentionChange, RetentionDefaults};
pub use secret::Secret;
pub use size::ByteSize;
pub use span::TimeSpan;
pub use statement::StatementResult;
pub use table::{ContractReceipt, Durability, PutMode, Receipt, RowRange, TableInfo, Version, VersionInfo};
pub use ticket::{Pass, PlainTicket, QueryTicket, ReadPart, ReadsAllowed, SignedTicket, Ticket};
