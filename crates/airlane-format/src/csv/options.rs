//! How a CSV file is written: options with names, which the query of HTTP and the command line share.

use airlane_model::{Error, Result, codes};
use arrow_schema::{DataType, Field, Schema};

/// How a CSV file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    /// The character between fields, of ASCII.
    pub delimiter: u8,
    /// The character around fields that hold delimiters or line ends, of ASCII. Two of them inside are one. `None`: there
    /// is none, and every line is a record.
    pub quote: Option<u8>,
    /// The character before a quote inside a quoted field, of ASCII.
    pub escape: Option<u8>,
    /// Whether the first record names the columns. Otherwise they are `column_1`, `column_2` and so on.
    pub header: bool,
    /// Fields that are nulls, besides empty ones.
    pub nulls: Vec<String>,
    /// The character before the fraction of a number: `.` or `,`.
    pub decimal: u8,
    /// The character between groups of three digits of a number, of ASCII.
    pub thousands: Option<u8>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            header: true,
            nulls: Vec::new(),
            decimal: b'.',
            thousands: None,
        }
    }
}

/// Characters that shells and URLs make hard to write.
const CHARACTERS: [(&str, u8); 9] = [
    ("tab", b'\t'),
    ("\\t", b'\t'),
    ("space", b' '),
    ("comma", b','),
    ("semicolon", b';'),
    ("pipe", b'|'),
    ("point", b'.'),
    ("apostrophe", b'\''),
    ("underscore", b'_'),
];
const NONE: &str = "none";

impl CsvOptions {
    /// The options by name, each with what it says.
    pub const NAMES: [(&str, &str); 7] = [
        (
            "delimiter",
            "The character between fields of CSV, or `tab`, `space`, `semicolon`, `pipe`; a comma by default",
        ),
        ("quote", "The character around fields of CSV that hold delimiters or line ends, or `none`; `\"` by default"),
        (
            "escape",
            "The character before a quote inside a quoted field of CSV, besides the quote itself; none by default",
        ),
        ("header", "Whether the first line of CSV names the columns: `true`, the default, or `false`"),
        ("null", "Words that are nulls in CSV, with commas between them, such as `NA,null`; empty fields always are"),
        ("decimal", "The character before the fraction of a number in CSV: `.`, the default, or `,`"),
        (
            "thousands",
            "The character between groups of three digits in CSV, such as `.`, `'` or `space`; none by default",
        ),
    ];

    /// Sets the option of a name, and answers whether there is one.
    ///
    /// # Errors
    /// `option_invalid` for a value that the option does not have.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool> {
        match name {
            "delimiter" => self.delimiter = required(name, value)?,
            "quote" => self.quote = character(name, value)?,
            "escape" => self.escape = character(name, value)?,
            "header" => {
                self.header = value.parse().map_err(|_| wrong(name, value, "write `true` or `false`"))?;
            }
            "null" => self.nulls = value.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            "decimal" => match required(name, value)? {
                mark @ (b'.' | b',') => self.decimal = mark,
                _ => return Err(wrong(name, value, "write `.` or `,`")),
            },
            "thousands" => self.thousands = character(name, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The types that columns are parsed as where others are wanted: those, or texts that somebody casts.
    pub(super) fn types_of(&self, wanted: &Schema, are_cast: bool) -> Schema {
        let has_marks = self.decimal != b'.' || self.thousands.is_some();
        let fields = wanted.fields().iter().map(|field| match field.data_type() {
            number if has_marks && number.is_numeric() => field.as_ref().clone(),
            _ if are_cast => Field::new(field.name(), DataType::Utf8, true),
            _ => field.as_ref().clone(),
        });
        Schema::new(fields.collect::<Vec<_>>())
    }

    /// Whether the options go together.
    ///
    /// # Errors
    /// `option_invalid`, naming two that do not.
    pub fn check(&self) -> Result<()> {
        let marks = [
            ("delimiter", Some(self.delimiter)),
            ("quote", self.quote),
            ("escape", self.escape.filter(|escape| Some(*escape) != self.quote)),
        ];
        for (index, (name, mark)) in marks.iter().enumerate() {
            let same = marks[index + 1..].iter().find(|(_, other)| mark.is_some() && other == mark);
            if let Some((other, _)) = same {
                return Err(clash(name, other));
            }
            if matches!(mark, Some(b'\r' | b'\n' | 0)) || mark.is_some_and(|mark| !mark.is_ascii()) {
                return Err(Error::new(
                    codes::OPTION_INVALID,
                    format!("the option `{name}` of CSV is no such character"),
                ));
            }
        }
        if self.thousands == Some(self.decimal) {
            return Err(clash("decimal", "thousands"));
        }
        let digit = self.thousands.filter(|mark| mark.is_ascii_alphanumeric() || matches!(mark, b'-' | b'+'));
        match digit {
            None => Ok(()),
            Some(mark) => {
                Err(wrong("thousands", &char::from(mark).to_string(), "numbers have this character otherwise"))
            }
        }
    }
}

fn clash(one: &str, other: &str) -> Error {
    Error::new(codes::OPTION_INVALID, format!("the options `{one}` and `{other}` of CSV are the same character"))
        .hint("give them two characters")
}

fn required(name: &str, value: &str) -> Result<u8> {
    character(name, value)?.ok_or_else(|| wrong(name, value, "there must be one"))
}

/// A character, or none.
fn character(name: &str, value: &str) -> Result<Option<u8>> {
    if value == NONE {
        return Ok(None);
    }
    let named = CHARACTERS.iter().find(|(word, _)| *word == value).map(|(_, byte)| *byte);
    let own = match value.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n' | 0) => Some(*byte),
        _ => None,
    };
    named.or(own).map(Some).ok_or_else(|| wrong(name, value, "write one character of ASCII, or `tab`, `space`, `none`"))
}

fn wrong(name: &str, value: &str, hint: &str) -> Error {
    let message = format!("the option `{name}` of CSV cannot be `{}`", value.escape_debug());
    Error::new(codes::OPTION_INVALID, message).hint(hint)
}
