//! The puts that a client has under way.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use airlane_exchange::{HandIn, Producer, PutSpec};
use airlane_gate::Call;
use airlane_handover::message::{Begin, Commit, Committed, Segment};
use airlane_model::{
    Caller, Chance, Durability, Error, PutKey, PutMode, Receipt, Result, RetentionChange, TableName, codes,
};

/// Puts of one connection that can be under way at once.
const PUTS_MAX: usize = 16;

/// So much of what a contract had to say is in one message.
const REPORT_BYTES_MAX: usize = 32 << 10;

/// How long a hand-over without a name is kept, unless it says something else.
const UNNAMED_TTL: &str = "1h";

/// What is to be put, as a client asks for it.
///
/// # Errors
/// `table_name_invalid`, `option_invalid`.
pub(crate) fn spec_of(begin: &Begin, caller: &Caller, chance: &dyn Chance) -> Result<PutSpec> {
    let is_named = !begin.table.is_empty();
    let mut retention = RetentionChange::default();
    for rule in &begin.retention {
        let (name, value) = rule.split_once('=').ok_or_else(|| {
            Error::new(codes::OPTION_INVALID, format!("`{}` is no rule of retention", rule.escape_debug()))
                .hint("write a rule and its value, such as `ttl=1h`")
        })?;
        retention = retention.join(RetentionChange::of(name, value)?)?;
    }
    if !is_named && !begin.retention.iter().any(|rule| rule.starts_with("ttl=")) {
        retention = retention.join(RetentionChange::of("ttl", UNNAMED_TTL)?)?;
    }
    let parsed = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let durability = parsed(&begin.durability).map(|text| text.parse()).transpose()?;
    Ok(PutSpec {
        table: if is_named { TableName::parse(&begin.table)? } else { unnamed(chance)? },
        mode: parsed(&begin.mode).map_or(Ok(PutMode::Replace), |text| text.parse())?,
        durability: if is_named { durability } else { durability.or(Some(Durability::Ephemeral)) },
        retention,
        key: parsed(&begin.idempotency_key)
            .map(|text| Ok::<_, Error>(PutKey::new(caller, text.parse()?)))
            .transpose()?,
        caller: None,
    })
}

/// A name that nobody guesses and nobody has.
fn unnamed(chance: &dyn Chance) -> Result<TableName> {
    let mut bytes = [0; 16];
    chance.fill(&mut bytes);
    TableName::parse(&format!("handover-{:032x}", u128::from_le_bytes(bytes)))
}

/// A put that is under way.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) hand_in: HandIn,
    pub(crate) call: Call,
    segments: u64,
}

/// What comes with a segment.
#[derive(Debug)]
pub(crate) enum Body {
    Memfd(OwnedFd),
    File(File),
}

impl Put {
    /// Refuses a segment that is not the next one.
    ///
    /// # Errors
    /// `message_order_invalid`.
    pub(crate) fn check_next(&mut self, segment: &Segment) -> Result<()> {
        if segment.sequence != self.segments {
            let message = format!("segment {} comes where {} is to come", segment.sequence, self.segments);
            return Err(Error::new(codes::MESSAGE_ORDER_INVALID, message));
        }
        self.segments += 1;
        Ok(())
    }

    /// Whether [`take`](Self::take) is a matter of microseconds.
    pub(crate) fn is_quick(&self, segment: &Segment, body: &Body) -> bool {
        matches!(body, Body::Memfd(memfd) if self.hand_in.is_quick(memfd.as_fd(), segment.bytes))
    }

    /// Takes a segment. Blocking.
    ///
    /// # Errors
    /// As [`HandIn::take`].
    pub(crate) fn take(&mut self, segment: &Segment, body: Body) -> Result<()> {
        let rows = match body {
            Body::Memfd(memfd) => self.hand_in.take(memfd, segment.bytes)?,
            Body::File(file) => self.hand_in.take_copy(&file, segment.bytes)?,
        };
        if rows != segment.rows {
            let message = format!("the segment has {rows} rows, {} were announced", segment.rows);
            return Err(Error::new(codes::SEGMENT_REFUSED, message));
        }
        let trail = self.call.trail();
        trail.receive(segment.bytes);
        trail.add_rows(rows);
        Ok(())
    }

    /// Refuses a commit of other segments than there are.
    ///
    /// # Errors
    /// `message_order_invalid`.
    pub(crate) fn check_complete(&self, commit: &Commit) -> Result<()> {
        if commit.segments != self.segments {
            let message = format!("the put has {} segments, {} are to be committed", self.segments, commit.segments);
            return Err(Error::new(codes::MESSAGE_ORDER_INVALID, message));
        }
        Ok(())
    }
}

/// The puts of a connection, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Puts {
    puts: HashMap<u64, Put>,
    last: u64,
}

impl Puts {
    /// Whether another put can begin.
    ///
    /// # Errors
    /// `limit_exceeded`.
    pub(crate) fn check_room(&self) -> Result<()> {
        if self.puts.len() >= PUTS_MAX {
            let message = format!("the connection has {PUTS_MAX} puts under way, which is the most");
            return Err(Error::new(codes::LIMIT_EXCEEDED, message).hint("commit one, or use another connection"));
        }
        Ok(())
    }

    /// Another put; its number.
    pub(crate) fn add(&mut self, hand_in: HandIn, call: Call) -> u64 {
        self.last += 1;
        self.puts.insert(self.last, Put { hand_in, call, segments: 0 });
        self.last
    }

    /// Takes a put out.
    ///
    /// # Errors
    /// `message_order_invalid`.
    pub(crate) fn remove(&mut self, put: u64) -> Result<Put> {
        self.puts.remove(&put).ok_or_else(|| {
            let message = format!("there is no put {put} under way: it was committed, given up, or has failed");
            Error::new(codes::MESSAGE_ORDER_INVALID, message)
        })
    }

    /// Puts one back that goes on.
    pub(crate) fn put_back(&mut self, number: u64, put: Put) {
        self.puts.insert(number, put);
    }
}

/// How a client is told of its put: in one message, or several where a contract had much to say.
///
/// # Errors
/// `internal`.
pub(crate) fn committed(receipt: Receipt) -> Result<Vec<Committed>> {
    let report = receipt.contract.as_ref().map(serde_json::to_vec).transpose().map_err(|error| {
        Error::new(codes::INTERNAL, format!("the report of a contract cannot be written: {error}")).source(error)
    })?;
    let report = report.unwrap_or_default();
    let mut pieces = report.chunks(REPORT_BYTES_MAX).map(<[u8]>::to_vec);
    let first = Committed {
        ticket: receipt.ticket,
        table: receipt.table.to_string(),
        table_id: receipt.table_id.to_string(),
        version: receipt.version.get(),
        rows: receipt.rows,
        bytes: receipt.bytes,
        rows_put: receipt.rows_put,
        durability: receipt.durability.to_string(),
        contract: pieces.next().unwrap_or_default(),
    };
    let rest = pieces.map(|contract| Committed { contract, ..Committed::default() });
    Ok(std::iter::once(first).chain(rest).collect())
}

/// Whose segments they are.
pub(crate) fn producer(is_trusted: bool) -> Producer {
    if is_trusted { Producer::Worker } else { Producer::Stranger }
}

#[cfg(test)]
mod tests {
    use airlane_handover::Message;
    use airlane_handover::frame::Frame;
    use airlane_model::{ContractReceipt, TableId, Version};

    use super::*;

    #[test]
    fn what_a_contract_says_at_length_takes_several_messages() {
        let report = [("not_checked".to_owned(), vec!["a rule that nobody understands"; 5_000].into())];
        let contract = ContractReceipt {
            registered_version: 3,
            rejected_ticket: Some("t.rejected@1".to_owned()),
            report: report.into_iter().collect(),
        };
        let receipt = |contract| Receipt {
            table: TableName::parse("t").expect("a name"),
            table_id: TableId::from_bytes([7; 16]),
            version: Version::FIRST,
            rows: 1,
            bytes: 64,
            rows_put: 1,
            durability: Durability::Ephemeral,
            ticket: "t@1".to_owned(),
            contract,
        };
        assert_eq!(committed(receipt(None)).expect("written").len(), 1);
        let parts = committed(receipt(Some(contract.clone()))).expect("written");
        assert!(parts.len() > 2, "{}", parts.len());
        assert!(parts.iter().skip(1).all(|part| part.ticket.is_empty()));
        let joined: Vec<u8> = parts.iter().flat_map(|part| part.contract.clone()).collect();
        assert_eq!(serde_json::from_slice::<ContractReceipt>(&joined).expect("a report"), contract);
        for part in parts {
            Frame { request: 1, has_more: true, message: Message::Committed(part) }.encode().expect("short enough");
        }
    }
}
