//! Formats of dates and times in texts: the patterns of the JDK's `DateTimeFormatter`, which the standard names.

use chrono::format::{Item, StrftimeItems};

/// A pattern such as `dd.MM.yyyy HH:mm`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimeFormat {
    text: String,
    items: Vec<Item<'static>>,
    has_offset: bool,
}

impl TimeFormat {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A sentence that names the letters that are not understood.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut strftime = String::new();
        let mut has_offset = false;
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let run = rest.len() - rest.trim_start_matches(letter).len();
            let (token, after) = rest.split_at(run);
            rest = after;
            match token {
                "yyyy" | "uuuu" | "YYYY" => strftime.push_str("%Y"),
                "yy" | "uu" => strftime.push_str("%y"),
                "MM" | "M" => strftime.push_str("%m"),
                "MMM" => strftime.push_str("%b"),
                "MMMM" => strftime.push_str("%B"),
                "dd" | "d" | "DD" => strftime.push_str("%d"),
                "DDD" => strftime.push_str("%j"),
                "EEE" => strftime.push_str("%a"),
                "EEEE" => strftime.push_str("%A"),
                "HH" | "H" => strftime.push_str("%H"),
                "hh" | "h" => strftime.push_str("%I"),
                "mm" | "m" => strftime.push_str("%M"),
                "ss" | "s" => strftime.push_str("%S"),
                "SSS" => strftime.push_str("%3f"),
                "SSSSSS" => strftime.push_str("%6f"),
                "SSSSSSSSS" => strftime.push_str("%9f"),
                "a" => strftime.push_str("%p"),
                "X" | "XX" | "XXX" | "Z" | "ZZ" | "ZZZ" | "ZZZZZ" => {
                    has_offset = true;
                    strftime.push_str("%#z");
                }
                "T" => strftime.push('T'),
                "''" => strftime.push('\''),
                _ if letter == '\'' && run == 1 => {
                    let (quoted, after) =
                        rest.split_once('\'').ok_or_else(|| format!("a quote in `{text}` does not end"))?;
                    quoted.chars().for_each(|c| literal(&mut strftime, c));
                    rest = after;
                }
                _ if letter.is_ascii_alphabetic() || letter == '\'' => {
                    return Err(format!("`{token}` in the format `{text}` is not understood"));
                }
                _ => token.chars().for_each(|c| literal(&mut strftime, c)),
            }
        }
        let items = StrftimeItems::new(&strftime).parse_to_owned();
        let items = items.map_err(|_| format!("the format `{text}` is not understood"))?;
        Ok(Self { text: text.to_owned(), items, has_offset })
    }

    /// The pattern as it is written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a text of it says its offset from UTC.
    pub(crate) fn has_offset(&self) -> bool {
        self.has_offset
    }

    /// The items, for chrono.
    pub(crate) fn items(&self) -> &[Item<'static>] {
        &self.items
    }
}

fn literal(strftime: &mut String, c: char) {
    if c == '%' {
        strftime.push('%');
    }
    strftime.push(c);
}
