//! What a put is asked to do, as options with names.

use airlane_model::retention::{self, RULES};
use airlane_model::{Durability, Error, IdempotencyKey, PutMode, Result, RetentionChange, codes};

use super::ReceiptTicket;

/// The options of a put; what is absent takes the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// Replace or append; replace by default.
    pub mode: Option<PutMode>,
    /// The durability; by default the table's own, or durable for a new table.
    pub durability: Option<Durability>,
    /// What changes of the table's retention.
    pub retention: RetentionChange,
    /// What makes the put safe to repeat.
    pub key: Option<IdempotencyKey>,
    /// The signed ticket that the receipt is to have; a plain one by default. Only the descriptor's command can ask for it.
    pub ticket: Option<ReceiptTicket>,
}

impl PutOptions {
    /// The names of the options, but for the rules of retention.
    pub const NAMES: [&str; 3] = ["mode", "durability", "idempotency-key"];

    /// All names, for hints.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().chain(RULES)
    }

    /// One option by its name, `mode`, `durability`, `idempotency-key` or a rule of retention such as `ttl`; none for another name.
    ///
    /// # Errors
    /// `option_invalid`; `not_implemented` for the durability `replicated`.
    pub fn of(name: &str, text: &str) -> Result<Option<Self>> {
        Ok(Some(match name {
            "mode" => Self { mode: Some(text.parse()?), ..Self::default() },
            "durability" => Self { durability: Some(text.parse()?), ..Self::default() },
            "idempotency-key" => Self { key: Some(text.parse()?), ..Self::default() },
            rule if retention::is_rule(rule) => Self { retention: RetentionChange::of(rule, text)?, ..Self::default() },
            _ => return Ok(None),
        }))
    }

    /// The options of two places together.
    ///
    /// # Errors
    /// `option_invalid` where they contradict each other.
    pub fn join(self, other: Self) -> Result<Self> {
        Ok(Self {
            mode: same("mode", self.mode, other.mode)?,
            durability: same("durability", self.durability, other.durability)?,
            retention: self.retention.join(other.retention)?,
            key: same("idempotency key", self.key, other.key)?,
            ticket: self.ticket.or(other.ticket),
        })
    }
}

fn same<T: PartialEq + std::fmt::Display>(name: &str, one: Option<T>, other: Option<T>) -> Result<Option<T>> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => {
            let message = format!("a put asks for the {name} `{one}` and for the {name} `{other}`");
            Err(Error::new(codes::OPTION_INVALID, message).hint("say it once"))
        }
        (one, other) => Ok(one.or(other)),
    }
}
