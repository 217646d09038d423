//! The types that values of settings have: read from text, shown as TOML.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

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

const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

impl Value for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        let parsed = UNITS.iter().find_map(|(unit, millis)| {
            let digits = text.strip_suffix(unit)?.trim_end();
            let valid = digits.bytes().all(|b| b.is_ascii_digit());
            valid.then(|| digits.parse::<u64>().ok()?.checked_mul(*millis)).flatten()
        });
        parsed
            .map(Self::from_millis)
            .ok_or_else(|| "expected a whole number and a unit, such as 500ms, 10s or 2m".into())
    }

    fn to_toml(&self) -> Option<String> {
        let millis = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let (unit, factor) = UNITS.iter().rev().find(|(_, factor)| millis.is_multiple_of(*factor)).unwrap_or(&UNITS[0]);
        let (unit, factor) = if millis == 0 { ("s", 1_000) } else { (*unit, *factor) };
        Some(quote(&format!("{}{unit}", millis / factor)))
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
    fn texts_are_quoted_as_toml_has_it() {
        let path = PathBuf::from("/tmp/a \"b\"\\c");
        let toml = format!("data_dir = {}", path.to_toml().expect("set"));
        let table: toml::Table = toml.parse().expect("valid TOML");
        assert_eq!(table["data_dir"].as_str(), path.to_str());
    }
}
