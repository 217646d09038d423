//! Where a request comes from.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A process of this machine, by a Unix socket.
    Unix,
    /// An address of the network.
    Ip(IpAddr),
    /// An address of the network, by TLS.
    Tls(IpAddr),
}

impl Peer {
    /// The peer at an address; one of IPv4 that is written as IPv6 is the same.
    pub fn ip(address: IpAddr) -> Self {
        Self::Ip(address.to_canonical())
    }

    /// The same, by TLS.
    #[must_use]
    pub fn encrypted(self) -> Self {
        match self {
            Self::Ip(address) => Self::Tls(address),
            other => other,
        }
    }

    /// Whether nobody between can read what it sends, as far as the server can see.
    pub fn is_private(self) -> bool {
        match self {
            Self::Unix | Self::Tls(_) => true,
            Self::Ip(address) => address.is_loopback(),
        }
    }

    /// Whether it is elsewhere, as far as the server can see.
    pub fn is_of_network(self) -> bool {
        self.address().is_some_and(|address| !address.is_loopback())
    }

    /// Its address, where it has one.
    pub(crate) fn address(self) -> Option<IpAddr> {
        match self {
            Self::Unix => None,
            Self::Ip(address) | Self::Tls(address) => Some(address),
        }
    }

    /// The peer for counting: of IPv6 the network, since whoever has one address has 2⁶⁴ of them.
    #[must_use]
    pub fn network(self) -> Self {
        match self {
            Self::Ip(IpAddr::V6(address)) | Self::Tls(IpAddr::V6(address)) if !address.is_loopback() => {
                Self::Ip(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into())
            }
            Self::Tls(address) => Self::Ip(address),
            other => other,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix => f.write_str("unix"),
            Self::Ip(address) | Self::Tls(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::ip(text.parse().expect("an address"))
    }

    #[test]
    fn addresses_are_told_apart_by_who_holds_them() {
        assert_eq!(peer("::ffff:10.0.0.1"), peer("10.0.0.1"));
        assert_eq!(peer("2001:db8::1").network(), peer("2001:db8::ffff:1").network());
        assert_ne!(peer("2001:db8::1").network(), peer("2001:db8:0:1::1").network());
        assert_ne!(peer("10.0.0.1").network(), peer("10.0.0.2").network());
        assert!(peer("127.0.0.1").is_private() && peer("::1").is_private() && Peer::Unix.is_private());
        assert!(peer("::ffff:127.0.0.1").is_private() && !peer("10.0.0.1").is_private());
        assert!(peer("10.0.0.1").encrypted().is_private());
        assert_eq!(peer("10.0.0.1").encrypted().network(), peer("10.0.0.1").network());
    }
}
