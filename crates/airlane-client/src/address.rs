//! Where a server is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use airlane_model::{Error, Result, codes};

/// The port that a server listens on unless told otherwise.
pub const PORT_DEFAULT: u16 = 8815;

/// The address of a server: `grpc://host:port`, `grpc+tcp://host:port`, `http://host:port`, `host:port`, `host`, or
/// `grpc+unix:///path/of/socket`; with TLS `grpc+tls://host:port`, `grpcs://` or `https://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host, by name or number (IPv6 in brackets), and a port.
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// The same, by TLS. The certificate of the server must be of this host.
    Tls {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
    },
}

impl Address {
    /// Whether it is of this machine, as far as its text tells.
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp { host, .. } | Self::Tls { host, .. } => {
                let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
                host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
            }
            Self::Unix { .. } => false,
        }
    }

    /// Whether it is that of a server of this machine that has this address, as it says itself.
    pub(crate) fn is_local(&self, told: &str) -> bool {
        let port = |address: &Self| match address {
            Self::Tcp { port, .. } => Some((*port, false)),
            Self::Tls { port, .. } => Some((*port, true)),
            Self::Unix { .. } => None,
        };
        let told = told.parse::<Self>().ok();
        self.is_loopback() && port(self).is_some() && told.as_ref().and_then(port) == port(self)
    }
}

impl FromStr for Address {
    type Err = Error;

    /// # Errors
    /// `option_invalid` for an address of another form.
    fn from_str(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("grpc", text));
        match scheme {
            "grpc" | "grpc+tcp" | "http" => {
                let (host, port) = parse_tcp(rest).ok_or_else(|| no(text))?;
                Ok(Self::Tcp { host, port })
            }
            "grpc+tls" | "grpcs" | "https" => {
                let (host, port) = parse_tcp(rest).ok_or_else(|| no(text))?;
                Ok(Self::Tls { host, port })
            }
            "grpc+unix" | "unix" if rest.starts_with('/') && rest.len() > 1 => Ok(Self::Unix { path: rest.into() }),
            _ => Err(no(text)),
        }
    }
}

fn no(text: &str) -> Error {
    Error::new(codes::OPTION_INVALID, format!("`{}` is no address of a server", text.escape_debug()))
        .hint("write grpc://127.0.0.1:8815 or grpc+unix:///path/of/socket")
}

fn parse_tcp(text: &str) -> Option<(String, u16)> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (format!("[{host}]"), port)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (host, port) = text.split_at(end);
            let valid = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
            (valid && !host.is_empty()).then(|| (host.to_owned(), port))?
        }
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().filter(|port| *port > 0)?,
        None if port.is_empty() => PORT_DEFAULT,
        _ => return None,
    };
    Some((host, port))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "grpc://{host}:{port}"),
            Self::Tls { host, port } => write!(f, "grpc+tls://{host}:{port}"),
            Self::Unix { path } => write!(f, "grpc+unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        for (text, printed) in [
            ("grpc://127.0.0.1:8815", "grpc://127.0.0.1:8815"),
            ("grpc+tcp://db-1.example.org:99/", "grpc://db-1.example.org:99"),
            ("http://localhost", "grpc://localhost:8815"),
            ("localhost:1", "grpc://localhost:1"),
            ("localhost", "grpc://localhost:8815"),
            ("[::1]:8815", "grpc://[::1]:8815"),
            ("grpc://[::1]", "grpc://[::1]:8815"),
            ("grpc+tls://db-1.example.org", "grpc+tls://db-1.example.org:8815"),
            ("https://localhost:1/", "grpc+tls://localhost:1"),
            ("grpcs://[::1]", "grpc+tls://[::1]:8815"),
            ("grpc+unix:///run/airlane.sock", "grpc+unix:///run/airlane.sock"),
        ] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), printed, "{text}");
        }
    }

    #[test]
    fn refuses_other_forms() {
        for text in [
            "",
            "grpc://",
            "ftp://x",
            "localhost:0",
            "localhost:99999",
            "localhost:+1",
            "a b:1",
            "host:1/path",
            "user@host:1",
            "grpc+unix://relative",
            "grpc+unix:///",
            "grpc+tls://",
            "grpcs://host:0",
            "[::1",
            "[x]:1",
        ] {
            assert_eq!(text.parse::<Address>().expect_err(text).code(), codes::OPTION_INVALID, "{text}");
        }
    }
}
