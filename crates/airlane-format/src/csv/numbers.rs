//! Numbers in texts, exact, with other marks than the point where that is asked for.

use std::borrow::Cow;

use super::CsvOptions;

/// How numbers are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    decimal: u8,
    thousands: Option<u8>,
}

impl Numbers {
    pub(super) fn new(options: &CsvOptions) -> Self {
        Self { decimal: options.decimal, thousands: options.thousands }
    }

    /// A number as the libraries below read it: `1.234,5` becomes `1234.5`. None for what is no number by these marks.
    pub(super) fn plain<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        if self.decimal == b'.' && self.thousands.is_none() {
            return Some(Cow::Borrowed(text));
        }
        let (whole, fraction) = match memchr::memchr(self.decimal, text.as_bytes()) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        if self.decimal != b'.' && fraction.unwrap_or(whole).contains('.') && self.thousands != Some(b'.') {
            return None;
        }
        let whole = match self.thousands {
            Some(mark) if whole.as_bytes().contains(&mark) => Cow::Owned(ungrouped(whole, char::from(mark))?),
            _ => Cow::Borrowed(whole),
        };
        match fraction {
            // Groups are of whole numbers, and there is one fraction.
            Some(fraction) if fraction.contains('.') => None,
            Some(fraction) => Some(Cow::Owned(format!("{whole}.{fraction}"))),
            None => Some(whole),
        }
    }
}

/// Digits without the marks between groups of three.
fn ungrouped(text: &str, mark: char) -> Option<String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut groups = digits.split(mark);
    let is_first = |group: &str| (1..=3).contains(&group.len());
    let is_number = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let fits = groups.next().is_some_and(|group| is_first(group) && is_number(group))
        && groups.all(|group| group.len() == 3 && is_number(group));
    fits.then(|| text.replace(mark, ""))
}

/// The digits of a decimal number times 10 to the `scale`, where that is whole and has at most `precision` of them.
pub(super) fn scaled(text: &str, precision: u8, scale: i8) -> Option<String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = (!whole.is_empty() || !fraction.is_empty())
        && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    let scale = usize::try_from(scale).ok()?;
    let fraction = fraction.trim_end_matches('0');
    if !is_number || fraction.len() > scale {
        return None;
    }
    let all = format!("{whole}{fraction:0<scale$}");
    let significant = all.trim_start_matches('0');
    if significant.len() > usize::from(precision) {
        return None;
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    Some(format!("{sign}{}", if significant.is_empty() { "0" } else { significant }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_marks_are_those_of_numbers() {
        let read = |decimal, thousands, text: &str| Numbers { decimal, thousands }.plain(text).map(Cow::into_owned);
        for (text, expected) in [
            ("1.234,5", Some("1234.5")),
            ("-1.234.567", Some("-1234567")),
            ("1234,5", Some("1234.5")),
            (",5", Some(".5")),
            ("1.23,5", None),
            ("12.34", None),
            ("1,5.000", None),
            ("1.2345", None),
            ("1..234", None),
        ] {
            assert_eq!(read(b',', Some(b'.'), text).as_deref(), expected, "{text}");
        }
        assert_eq!(read(b',', None, "1.5"), None);
        assert_eq!(read(b',', None, "1,5").as_deref(), Some("1.5"));
        assert_eq!(read(b'.', Some(b'\''), "12'345.25").as_deref(), Some("12345.25"));
        assert_eq!(read(b'.', Some(b' '), "12 345").as_deref(), Some("12345"));
        assert_eq!(read(b'.', None, "any text").as_deref(), Some("any text"));
    }

    #[test]
    fn decimals_lose_no_digit() {
        for (text, expected) in [
            ("1.5", Some("150")),
            ("-0.05", Some("-5")),
            ("1.500", Some("150")),
            ("1.505", None),
            ("123.45", Some("12345")),
            ("1234.5", None),
            ("0", Some("0")),
            ("", None),
            (".", None),
            ("1e3", None),
            ("x", None),
        ] {
            assert_eq!(scaled(text, 5, 2).as_deref(), expected, "{text}");
        }
    }
}
