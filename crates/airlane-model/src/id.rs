//! Random identities of 128 bits, written as 32 hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use crate::clock::Chance;
use crate::error::{Error, Result, codes};

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// A new id from the given random source.
            pub fn random(chance: &dyn Chance) -> Self {
                let mut bytes = [0; 16];
                chance.fill(&mut bytes);
                Self(u128::from_be_bytes(bytes))
            }

            /// From its 16 bytes, big-endian.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }

            /// Its 16 bytes, big-endian.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:032x})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let valid = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                let value = if valid { u128::from_str_radix(text, 16).ok() } else { None };
                value.map(Self).ok_or_else(|| {
                    Error::new(codes::TICKET_INVALID, format!("`{}` is no id of 32 hexadecimal digits", text.escape_debug()))
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

random_id! {
    /// The identity of a table: new whenever a name is created, so that a recreated name never honours old tickets.
    TableId
}

random_id! {
    /// The identity of a segment, and the name of its file.
    SegmentId
}

random_id! {
    /// The identity of a signed ticket and of all that were narrowed from it.
    TicketId
}

random_id! {
    /// The identity of a read that has several parts: the flights of one FlightInfo, and what resumes them.
    ReadId
}
