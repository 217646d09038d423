//! From words to a type.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields, IntervalUnit, UnionFields, UnionMode};

use super::{COLUMNS_MAX, LEVELS_MAX, PLAIN, UNITS, sql};
use crate::yaml::shorten;

/// Reads a type: the words of [`write`](super::write), and names of SQL.
///
/// # Errors
/// A sentence that says what is wrong.
pub(crate) fn read(text: &str) -> Result<DataType, String> {
    if let Some(found) = sql::read(text) {
        return Ok(found);
    }
    let mut reader = Reader { rest: text, level: 0, fields: 0 };
    let data_type = reader.data_type()?;
    reader.space();
    if !reader.rest.is_empty() {
        return Err(format!("`{}` follows the type", shorten(reader.rest)));
    }
    Ok(data_type)
}

struct Reader<'a> {
    rest: &'a str,
    level: usize,
    fields: usize,
}

impl<'a> Reader<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("expected `{token}` before `{}`", shorten(self.rest))) }
    }

    fn word(&mut self) -> &'a str {
        self.space();
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '/' | ':');
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A text in quotes, with the escapes of JSON.
    fn quoted(&mut self) -> Result<String, String> {
        self.space();
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        match values.next() {
            Some(Ok(text)) => {
                self.rest = &self.rest[values.byte_offset()..];
                Ok(text)
            }
            _ => Err(format!("expected a name in quotes before `{}`", shorten(self.rest))),
        }
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, String> {
        let word = self.word();
        word.parse().map_err(|_| format!("`{}` is no fitting number", shorten(word)))
    }

    fn data_type(&mut self) -> Result<DataType, String> {
        self.level += 1;
        self.fields += 1;
        if self.level > LEVELS_MAX {
            return Err(format!("the type is nested deeper than {LEVELS_MAX} levels"));
        }
        if self.fields > COLUMNS_MAX {
            return Err(format!("the type has more than {COLUMNS_MAX} fields"));
        }
        let word = self.word().to_ascii_lowercase();
        let found = self.named(&word);
        self.level -= 1;
        found
    }

    fn named(&mut self, word: &str) -> Result<DataType, String> {
        use DataType as T;
        if let Some((_, plain)) = PLAIN.iter().find(|(name, _)| *name == word) {
            return Ok(plain.clone());
        }
        match word {
            "list" => Ok(T::List(self.only_child("item")?)),
            "large_list" => Ok(T::LargeList(self.only_child("item")?)),
            "list_view" => Ok(T::ListView(self.only_child("item")?)),
            "large_list_view" => Ok(T::LargeListView(self.only_child("item")?)),
            "fixed_list" => {
                let size = self.in_parentheses(Self::number)?;
                let item = self.only_child("item")?;
                if size < 0 { Err("a list of a negative size".to_owned()) } else { Ok(T::FixedSizeList(item, size)) }
            }
            "struct" => {
                let fields = self.children(|reader| {
                    let name = reader.quoted()?;
                    reader.expect(":")?;
                    reader.child(&name)
                })?;
                Ok(T::Struct(fields.into()))
            }
            "map" | "sorted_map" => {
                self.expect("<")?;
                let key = Arc::new(Field::new("key", self.data_type()?, false));
                self.expect(",")?;
                let value = self.child("value")?;
                self.expect(">")?;
                let entries = Field::new("entries", T::Struct(Fields::from(vec![key, value])), false);
                Ok(T::Map(Arc::new(entries), word == "sorted_map"))
            }
            "union" => self.union(),
            "dictionary" => {
                let index = self.in_parentheses(Self::data_type)?;
                self.expect("<")?;
                let values = self.data_type()?;
                self.expect(">")?;
                if !index.is_dictionary_key_type() || matches!(values, T::Dictionary(_, _)) {
                    return Err("the index of a dictionary is an integer, and its values are no dictionary".to_owned());
                }
                Ok(T::Dictionary(Box::new(index), Box::new(values)))
            }
            "run_end_encoded" => {
                let ends = self.in_parentheses(Self::data_type)?;
                let values = self.only_child("values")?;
                if !matches!(ends, T::Int16 | T::Int32 | T::Int64) {
                    return Err("run ends are int16, int32 or int64".to_owned());
                }
                Ok(T::RunEndEncoded(Arc::new(Field::new("run_ends", ends, false)), values))
            }
            _ => self.with_parameters(word),
        }
    }

    fn with_parameters(&mut self, word: &str) -> Result<DataType, String> {
        use DataType as T;
        match word {
            "fixed_binary" => match self.in_parentheses(Self::number)? {
                width @ 0.. => Ok(T::FixedSizeBinary(width)),
                width => Err(format!("a width of {width} bytes")),
            },
            "decimal" | "numeric" | "decimal32" | "decimal64" | "decimal128" | "decimal256" => self.decimal(word),
            "timestamp" => {
                self.expect("(")?;
                let unit = self.unit()?;
                let zone = match self.eat(",") {
                    false => None,
                    true if self.rest.trim_start().starts_with('"') => Some(self.quoted()?),
                    true => Some(self.word().to_owned()),
                };
                self.expect(")")?;
                if zone.as_ref().is_some_and(|zone| zone.is_empty()) {
                    return Err("the time zone is empty".to_owned());
                }
                Ok(T::Timestamp(unit, zone.map(Into::into)))
            }
            "duration" => Ok(T::Duration(self.in_parentheses(Self::unit)?)),
            "time32" | "time64" => {
                use arrow_schema::TimeUnit as U;
                let unit = self.in_parentheses(Self::unit)?;
                match (word, unit) {
                    ("time32", U::Second | U::Millisecond) => Ok(T::Time32(unit)),
                    ("time64", U::Microsecond | U::Nanosecond) => Ok(T::Time64(unit)),
                    _ => Err("time32 is of s or ms, time64 of us or ns".to_owned()),
                }
            }
            "interval" => self.in_parentheses(|reader| match reader.word() {
                "year_month" => Ok(T::Interval(IntervalUnit::YearMonth)),
                "day_time" => Ok(T::Interval(IntervalUnit::DayTime)),
                "month_day_nano" => Ok(T::Interval(IntervalUnit::MonthDayNano)),
                other => Err(format!("`{}` is no kind of interval", shorten(other))),
            }),
            other => Err(format!("`{}` is no type", shorten(other))),
        }
    }

    fn decimal(&mut self, word: &str) -> Result<DataType, String> {
        self.expect("(")?;
        let precision: u8 = self.number()?;
        let scale: i8 = if self.eat(",") { self.number()? } else { 0 };
        self.expect(")")?;
        let (precision_max, data_type) = match word {
            "decimal32" => (9, DataType::Decimal32(precision, scale)),
            "decimal64" => (18, DataType::Decimal64(precision, scale)),
            "decimal128" => (38, DataType::Decimal128(precision, scale)),
            "decimal256" => (76, DataType::Decimal256(precision, scale)),
            _ if precision <= 38 => (38, DataType::Decimal128(precision, scale)),
            _ => (76, DataType::Decimal256(precision, scale)),
        };
        if !(1..=precision_max).contains(&precision) {
            return Err(format!("a precision of {precision} is not in 1..={precision_max}"));
        }
        if scale.unsigned_abs() > precision_max {
            return Err(format!("a scale of {scale} is not in -{precision_max}..={precision_max}"));
        }
        Ok(data_type)
    }

    fn union(&mut self) -> Result<DataType, String> {
        let mode = self.in_parentheses(|reader| match reader.word() {
            "dense" => Ok(UnionMode::Dense),
            "sparse" => Ok(UnionMode::Sparse),
            other => Err(format!("`{}` is no kind of union", shorten(other))),
        })?;
        let mut ids = Vec::new();
        let fields = self.children(|reader| {
            ids.push(reader.number::<i8>()?);
            let name = reader.quoted()?;
            reader.expect(":")?;
            reader.child(&name)
        })?;
        if ids.is_empty() {
            return Err("a union of no types".to_owned());
        }
        let fields = UnionFields::try_new(ids, fields).map_err(|error| error.to_string())?;
        Ok(DataType::Union(fields, mode))
    }

    fn unit(&mut self) -> Result<arrow_schema::TimeUnit, String> {
        let word = self.word();
        let found = UNITS.iter().find(|(name, _)| *name == word);
        found.map(|(_, unit)| *unit).ok_or_else(|| format!("`{}` is not one of s, ms, us, ns", shorten(word)))
    }

    fn in_parentheses<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        self.expect("(")?;
        let found = inner(self)?;
        self.expect(")")?;
        Ok(found)
    }

    /// What stands after a name: a type, and whether it may be null.
    fn child(&mut self, name: &str) -> Result<FieldRef, String> {
        let data_type = self.data_type()?;
        let is_nullable = !self.eat("not null");
        Ok(Arc::new(Field::new(name, data_type, is_nullable)))
    }

    fn only_child(&mut self, name: &str) -> Result<FieldRef, String> {
        self.expect("<")?;
        let child = self.child(name)?;
        self.expect(">")?;
        Ok(child)
    }

    fn children(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<FieldRef, String>,
    ) -> Result<Vec<FieldRef>, String> {
        self.expect("<")?;
        let mut children = Vec::new();
        while !self.eat(">") {
            if !children.is_empty() {
                self.expect(",")?;
            }
            children.push(one(self)?);
        }
        Ok(children)
    }
}
