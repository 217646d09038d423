//! The types that values of settings have: read from text, shown as TOML.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use airlane::server::{ClientCertificates, LocalSocket, Origins};
use airlane_model::{ByteSize, RetentionDefaults, Secret, TimeSpan};

/// A type of values.
pub(crate) trait Value: Sized {
    /// Reads a value; the error completes the sentence "`x` is no value for `port`: …".
    fn parse(text: &str) -> Result<Self, String>;

    /// The value as TOML; absent when it is not set.
    fn to_toml(&self) -> Option<String>;
}

impl Value for u16 {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("expected a whole number from 0 to {}", Self::MAX))
    }

    fn to_toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for bool {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err("expected true or false".into()),
        }
    }

    fn to_toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for String {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(self))
    }
}

/// A text that is taken and never shown.
impl Value for Secret {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote("(hidden)"))
    }
}

impl Value for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected a path".into());
        }
        Ok(text.into())
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(&self.to_string_lossy()))
    }
}

impl<T: Value> Value for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }

    fn to_toml(&self) -> Option<String> {
        self.as_ref().and_then(T::to_toml)
    }
}

impl Value for IpAddr {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected an IP address such as 127.0.0.1, 0.0.0.0 or ::1".into())
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(&self.to_string()))
    }
}

impl Value for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        let parsed = text.parse().map(TimeSpan::as_duration);
        parsed.map_err(|_| "expected a whole number and a unit, such as 500ms, 10s or 2m".into())
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(&TimeSpan::new(*self).to_string()))
    }
}

impl Value for RetentionDefaults {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: airlane_model::Error| match error.hint_text() {
            Some(hint) => format!("{}; {hint}", error.message()),
            None => error.message().to_owned(),
        })
    }

    fn to_toml(&self) -> Option<String> {
        (!self.is_empty()).then(|| quote(&self.to_string()))
    }
}

/// A whole number within bounds, of which the first is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count<const MIN: u32, const MAX: u32>(pub(crate) NonZeroU32);

impl<const MIN: u32, const MAX: u32> Value for Count<MIN, MAX> {
    fn parse(text: &str) -> Result<Self, String> {
        let count = text.parse::<NonZeroU32>().ok().filter(|count| (MIN..=MAX).contains(&count.get()));
        count.map(Self).ok_or_else(|| format!("expected a whole number from {MIN} to {MAX}"))
    }

    fn to_toml(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// A time of at least so many seconds, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrNone<const SECONDS_MIN: u64>(pub(crate) Option<Duration>);

impl<const SECONDS_MIN: u64> Value for OrNone<SECONDS_MIN> {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let time = text.parse().map(TimeSpan::as_duration).ok();
        let time = time.filter(|time| *time >= Duration::from_secs(SECONDS_MIN));
        let time = time.ok_or_else(|| format!("expected a time from {SECONDS_MIN}s, such as 10m or 1h, or `none`"))?;
        Ok(Self(Some(time)))
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(&self.0.map_or_else(|| "none".to_owned(), |time| TimeSpan::new(time).to_string())))
    }
}

/// A number of bytes within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size<const MIN: u64, const MAX: u64>(pub(crate) ByteSize);

impl<const MIN: u64, const MAX: u64> Value for Size<MIN, MAX> {
    fn parse(text: &str) -> Result<Self, String> {
        let size = text.parse::<ByteSize>().ok().filter(|size| (MIN..=MAX).contains(&size.as_u64()));
        let (min, max) = (ByteSize::bytes(MIN), ByteSize::bytes(MAX));
        size.map(Self).ok_or_else(|| format!("expected a whole number and a unit, from {min} to {max}, such as {max}"))
    }

    fn to_toml(&self) -> Option<String> {
        let text = self.0.to_string().replace(' ', "");
        // What is no multiple of a unit is shown rounded, and is kept in bytes.
        let is_exact = text.parse().ok() == Some(self.0);
        Some(if is_exact { quote(&text) } else { self.0.as_u64().to_string() })
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl Value for LogFormat {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("expected text or json".into()),
        }
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(&self.to_string()))
    }
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAuth(pub(crate) ClientCertificates);

impl Value for ClientAuth {
    fn parse(text: &str) -> Result<Self, String> {
        let found = CLIENT_AUTH.iter().find(|(_, word)| *word == text);
        found.map(|(asked, _)| Self(*asked)).ok_or_else(|| "expected off, optional or required".into())
    }

    fn to_toml(&self) -> Option<String> {
        CLIENT_AUTH.iter().find(|(asked, _)| *asked == self.0).map(|(_, word)| quote(word))
    }
}

/// Where the certificate of a server comes from when no file is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsMode {
    Auto,
}

impl Value for LocalSocket {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            path if path.contains('/') => Ok(Self::At(path.into())),
            _ => Err("expected auto, off, or a path with a `/`".into()),
        }
    }

    fn to_toml(&self) -> Option<String> {
        Some(match self {
            Self::Auto => quote("auto"),
            Self::Off => quote("off"),
            Self::At(path) => quote(&path.display().to_string()),
        })
    }
}

impl Value for TlsMode {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(Self::Auto) } else { Err("expected auto".into()) }
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote("auto"))
    }
}

/// DNS names and addresses, with commas between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostNames(pub(crate) Vec<String>);

impl Value for HostNames {
    fn parse(text: &str) -> Result<Self, String> {
        let names = text.split(',').map(str::trim).map(|name| {
            let is_dns = name.len() <= 253
                && name.split('.').all(|label| {
                    !label.is_empty()
                        && label.len() <= 63
                        && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
                });
            (is_dns || name.parse::<IpAddr>().is_ok()).then(|| name.to_owned())
        });
        let names: Option<Vec<_>> = names.collect();
        names.map(Self).ok_or_else(|| "expected names or addresses, such as data.example.org,10.0.0.7".into())
    }

    fn to_toml(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| quote(&self.0.join(",")))
    }
}

impl Value for Origins {
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }

    fn to_toml(&self) -> Option<String> {
        (*self != Self::None).then(|| quote(&self.to_text()))
    }
}

const CLIENT_AUTH: [(ClientCertificates, &str); 3] = [
    (ClientCertificates::Off, "off"),
    (ClientCertificates::Optional, "optional"),
    (ClientCertificates::Required, "required"),
];

fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, millis, printed) in [
            ("500ms", 500, "500ms"),
            ("10s", 10_000, "10s"),
            ("120 s", 120_000, "2m"),
            ("0s", 0, "0s"),
            ("1h", 3_600_000, "1h"),
        ] {
            let duration = <Duration as Value>::parse(text).expect(text);
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(duration.to_toml(), Some(format!("\"{printed}\"")), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1.5s", "99999999999999999999h", "+1s"] {
            assert!(<Duration as Value>::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_bounds_and_are_printed_exactly() {
        type Kibi = Size<1024, 1_048_576>;
        for (text, bytes, printed) in [
            ("8KiB", 8192, "\"8KiB\""),
            ("8 KiB", 8192, "\"8KiB\""),
            ("1024", 1024, "\"1KiB\""),
            ("1MiB", 1 << 20, "\"1MiB\""),
            ("8193", 8193, "8193"),
            ("10kB", 10_000, "10000"),
        ] {
            let size = Kibi::parse(text).expect(text);
            assert_eq!(size.0.as_u64(), bytes, "{text}");
            assert_eq!(size.to_toml().as_deref(), Some(printed), "{text}");
            assert_eq!(Kibi::parse(printed.trim_matches('"')), Ok(size), "{text}");
        }
        for text in ["", "1023", "1048577", "2MiB", "8", "-1KiB", "1.5KiB", "KiB", "8 KB s"] {
            let reason = Kibi::parse(text).expect_err(text);
            assert_eq!(reason, "expected a whole number and a unit, from 1 KiB to 1 MiB, such as 1 MiB", "{text}");
        }
    }

    #[test]
    fn texts_are_quoted_as_toml_has_it() {
        let path = PathBuf::from("/tmp/a \"b\"\\c");
        let toml = format!("data_dir = {}", path.to_toml().expect("set"));
        let table: toml::Table = toml.parse().expect("valid TOML");
        assert_eq!(table["data_dir"].as_str(), path.to_str());
    }
}
