//! What doors ask and answer in words that are the same at each of them: the bodies of JSON and the names of options.

mod contract;
mod description;
mod get;
mod put;
mod retention;
mod statement;
mod status;
mod ticket;

pub use contract::{BindRequest, ContractChanges, Contracts, UnbindRequest};
pub use description::{DescribedTable, FieldInfo};
pub use get::{codec, is_plain};
pub use put::PutOptions;
pub use retention::RetentionWords;
pub use statement::StatementRequest;
pub use status::{Figures, status};
pub use ticket::{ReceiptTicket, SignedTicketInfo, TicketRequest};
