//! The types of CSV columns, from a sample, and what decided them.
//!
//! A column without a value in the sample is text, since anything may follow; numbers with leading zeros (postal codes,
//! account numbers) are text, since a number would lose the zeros; and moments with an offset are moments in UTC, not
//! wall times: a column that has both is text.

use std::cell::OnceCell;
use std::collections::HashMap;

use airlane_model::error::shorten;
use arrow_array::types::Float64Type;
use arrow_schema::{DataType, Field, Schema, TimeUnit};

use super::cells::{self, Cells, Most, Splitter};
use super::columns::{Column, Maker, finite, flag, takes};
use super::fault::Fault;
use super::moments;
use super::numbers::Numbers;
use super::{BATCH_CELLS_MAX, CsvOptions};
use crate::{BATCH_ROWS_MAX, Inference, InferredColumn};

/// The columns of a table, as contracts and the store have them.
const COLUMNS_MAX: usize = 10_000;

/// What a sample says.
pub(super) struct Inferred {
    pub(super) columns: Vec<Column>,
    pub(super) inference: Inference,
    /// The bytes of the header.
    pub(super) header: usize,
}

/// Looks at the first whole records of a file. Types that `given` has are not inferred.
pub(super) fn infer(
    sample: &[u8],
    is_whole: bool,
    options: &CsvOptions,
    given: Option<&Schema>,
) -> Result<Inferred, Fault> {
    cells::check_text(sample)?;
    let Some((fields, bytes)) = cells::first_record(sample, options) else {
        let hint = "a CSV file begins with a line of column names; `header=false` reads one without it";
        return Err(Fault::new("the file is empty", 0).hint(hint));
    };
    let (names, header) = match options.header {
        true => (fields, bytes),
        false => ((1..=fields.len()).map(|number| format!("column_{number}")).collect(), 0),
    };
    check_names(&names)?;
    let mut looks: Vec<Look> = names
        .iter()
        .map(|name| match given.and_then(|schema| schema.field_with_name(name).ok()) {
            Some(field) => Look { given: Some(field.clone()), ..Look::default() },
            None => Look::default(),
        })
        .collect();
    for look in &looks {
        if let Some(field) = look.given.as_ref().filter(|field| !takes(field.data_type())) {
            let message = format!("CSV has no values of type {}", field.data_type());
            return Err(Fault::new(message, 0)
                .of(format!("column \"{}\"", shorten(field.name())))
                .hint("send the table as Parquet, Arrow or NDJSON"));
        }
    }
    let maker = Maker::new(options);
    let numbers = Numbers::new(options);
    let mut rows = 0;
    let mut splitter = Splitter::new(options, names.len());
    let most = Most { rows: (BATCH_CELLS_MAX / names.len()).clamp(1, BATCH_ROWS_MAX), bytes: sample.len() };
    let mut at = header;
    loop {
        let split = splitter.split(&sample[at..], most);
        for (index, look) in looks.iter_mut().enumerate() {
            look.take(&split.cells, index, rows, &maker, &numbers);
        }
        rows += split.cells.rows();
        at += split.bytes;
        // What is wrong with the next record is told when it is read.
        if split.cells.rows() == 0 || split.is_ragged {
            break;
        }
    }
    // Few columns ask for a line.
    let lines = OnceCell::new();
    let line_of = |row: usize| {
        let lines = lines.get_or_init(|| cells::lines_before(sample, options));
        lines.get(row + usize::from(options.header)).map_or(1, |before| before + 1)
    };
    let decided: Vec<(Column, InferredColumn)> =
        names.iter().zip(looks).map(|(name, look)| look.decide(name, rows, line_of)).collect();
    let (columns, inferred) = decided.into_iter().unzip();
    let inference = Inference { rows: rows as u64, is_whole, columns: inferred };
    Ok(Inferred { columns, inference, header })
}

fn check_names(names: &[String]) -> Result<(), Fault> {
    if names.len() > COLUMNS_MAX {
        let message = format!("there are {} columns, and a table has at most {COLUMNS_MAX}", names.len());
        return Err(Fault::new(message, 0).hint("`delimiter` names another character between fields"));
    }
    let mut seen = HashMap::new();
    for (name, number) in names.iter().zip(1..) {
        if let Some(first) = seen.insert(name, number) {
            let message = format!("columns {first} and {number} have one name");
            return Err(Fault::new(message, 0)
                .of(format!("column \"{}\"", shorten(name)))
                .hint("rename one of them; without a line of names, say `header=false`"));
        }
    }
    Ok(())
}

/// What a field can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Flag,
    Whole,
    Real,
    Date,
    Moment {
        unit: TimeUnit,
        has_offset: bool,
    },
    Text,
    /// A number that would lose its first zeros.
    Padded,
    /// A number of too many digits.
    Large,
}

impl Kind {
    fn of(text: &str, numbers: &Numbers) -> Self {
        number(text, numbers).or_else(|| moment(text)).unwrap_or(match text {
            "NaN" | "nan" | "inf" | "-inf" => Self::Real,
            text if flag(text).is_some() => Self::Flag,
            _ => Self::Text,
        })
    }

    fn words(self) -> &'static str {
        match self {
            Self::Flag => "true or false",
            Self::Whole => "a whole number",
            Self::Real => "a number",
            Self::Date => "a date",
            Self::Moment { has_offset: false, .. } => "a date and time",
            Self::Moment { has_offset: true, .. } => "a moment with an offset from UTC",
            Self::Text => "a text",
            Self::Padded => "a number that would lose its leading zeros",
            Self::Large => "a number too large for 64 bits",
        }
    }
}

fn number(text: &str, numbers: &Numbers) -> Option<Kind> {
    if !text.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b',')) {
        return None;
    }
    let plain = numbers.plain(text)?;
    let unsigned = plain.strip_prefix('-').unwrap_or(&plain);
    let is_whole = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    if !is_whole && !is_real(unsigned) {
        return None;
    }
    let digits = unsigned.as_bytes();
    if digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit() {
        return Some(Kind::Padded);
    }
    Some(match is_whole {
        true if plain.parse::<i64>().is_ok() => Kind::Whole,
        false if finite::<Float64Type>(&plain, f64::is_infinite).is_some() => Kind::Real,
        _ => Kind::Large,
    })
}

/// Digits with a point among them or an exponent behind them.
fn is_real(unsigned: &str) -> bool {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_mantissa = is_digits(whole) && is_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let is_exponent = exponent.is_none_or(|digits| !digits.is_empty() && is_digits(digits));
    is_mantissa && is_exponent && (mantissa.contains('.') || exponent.is_some())
}

fn moment(text: &str) -> Option<Kind> {
    let bytes = text.as_bytes();
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    if bytes.len() == 10 {
        return moments::date(text).map(|_| Kind::Date);
    }
    let moment = moments::moment(text, None)?;
    let unit = match moment.digits {
        0 => TimeUnit::Second,
        1..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        7..=9 => TimeUnit::Nanosecond,
        _ => return None,
    };
    moment.in_units(unit)?;
    Some(Kind::Moment { unit, has_offset: moment.has_offset })
}

/// What a look at the fields of a column has shown.
#[derive(Debug, Default)]
struct Look {
    given: Option<Field>,
    nulls: u64,
    /// The kinds in the order of their first fields, with these.
    kinds: Vec<(Kind, usize, String)>,
}

impl Look {
    fn take(&mut self, cells: &Cells<'_>, index: usize, rows: usize, maker: &Maker, numbers: &Numbers) {
        // A text stays one.
        for (row, text) in cells.column(index).enumerate() {
            if maker.is_null(text) {
                self.nulls += 1;
                continue;
            }
            if self.given.is_some() || matches!(self.kinds.last(), Some((Kind::Text, ..))) {
                continue;
            }
            let kind = Kind::of(text, numbers);
            if !self.kinds.iter().any(|(known, ..)| *known == kind) {
                self.kinds.push((kind, rows + row, text.to_owned()));
            }
        }
    }

    fn decide(self, name: &str, rows: usize, line_of: impl Fn(usize) -> u64) -> (Column, InferredColumn) {
        let counted =
            |what: &str| format!("{} of {rows} rows have a value, and each is {what}", rows as u64 - self.nulls);
        let (data_type, why) = match (&self.given, self.kinds.first()) {
            (Some(field), _) => (field.data_type().clone(), "the schema says so".to_owned()),
            (None, None) => (DataType::Utf8, "no row of the sample has a value".to_owned()),
            (None, Some((first, ..))) => match common(&self.kinds) {
                Ok(data_type) if self.kinds.len() == 1 => (data_type, counted(first.words())),
                Ok(data_type) => {
                    let (kind, row, text) = &self.kinds[1];
                    let both = format!("{} or {}", first.words(), kind.words());
                    let first_of =
                        format!("; the first of the latter is \"{}\" in line {}", shorten(text), line_of(*row));
                    (data_type, counted(&both) + &first_of)
                }
                Err(at) => {
                    let (kind, row, text) = &self.kinds[at];
                    let broke = format!("\"{}\" in line {} is {}", shorten(text), line_of(*row), kind.words());
                    let before =
                        if at == 0 { String::new() } else { format!(", and what came before is {}", first.words()) };
                    (DataType::Utf8, broke + &before)
                }
            },
        };
        let is_nullable = self.given.as_ref().is_none_or(Field::is_nullable);
        let inferred = InferredColumn { name: name.to_owned(), r#type: data_type.to_string(), nulls: self.nulls, why };
        let is_given = self.given.is_some();
        (Column { field: Field::new(name, data_type, is_nullable), is_given }, inferred)
    }
}

/// The type that has values of all these kinds, or the first kind that makes the column a text.
fn common(kinds: &[(Kind, usize, String)]) -> Result<DataType, usize> {
    let mut found: Option<DataType> = None;
    for (at, (kind, ..)) in kinds.iter().enumerate() {
        let own = match kind {
            Kind::Flag => DataType::Boolean,
            Kind::Whole => DataType::Int64,
            Kind::Real => DataType::Float64,
            Kind::Date => DataType::Date32,
            Kind::Moment { unit, has_offset } => DataType::Timestamp(*unit, has_offset.then(|| "UTC".into())),
            Kind::Text | Kind::Padded | Kind::Large => return Err(at),
        };
        found = Some(match found {
            None => own,
            Some(before) => wider(before, own).ok_or(at)?,
        });
    }
    found.ok_or(0)
}

fn wider(one: DataType, other: DataType) -> Option<DataType> {
    use DataType::{Date32, Float64, Int64, Timestamp};
    match (one, other) {
        (one, other) if one == other => Some(one),
        (Int64, Float64) | (Float64, Int64) => Some(Float64),
        (Date32, Timestamp(unit, None)) | (Timestamp(unit, None), Date32) => Some(Timestamp(unit, None)),
        (Timestamp(one, zone), Timestamp(other, other_zone)) if zone == other_zone => {
            Some(Timestamp(one.max(other), zone))
        }
        _ => None,
    }
}
