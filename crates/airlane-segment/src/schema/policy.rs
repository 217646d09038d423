//! The type policy: what a schema may hold, judged in the flatbuffer.
//!
//! arrow-ipc's conversion of a schema panics at some twenty places (a list with two children, an integer of 7 bits, a
//! decimal without a precision), so everything that it takes for granted is checked here first.

use std::collections::HashSet;

use airlane_model::error::codes::SCHEMA_INVALID;
pub(crate) use airlane_model::error::shorten;
use airlane_model::{ByteSize, Error, Result};
use arrow_ipc::{DateUnit, Endianness, Field, Int, IntervalUnit, KeyValue, Precision, TimeUnit, Type, UnionMode};
use flatbuffers::{ForwardsUOffset, Vector};

/// Levels of nesting; a column that is not nested has one. Everything that walks a schema recurses.
pub(crate) const LEVELS_MAX: usize = 32;
/// Fields of a schema, on all levels.
pub(crate) const FIELDS_MAX: usize = 10_000;
/// A field's name, and the time zone of a timestamp.
pub(crate) const NAME_BYTES_MAX: ByteSize = ByteSize::kib(1);
/// Keys and values of all metadata of a schema and its fields. pandas describes every column in the schema's metadata
/// (about 150 bytes for each), so that wide frames need much.
pub(crate) const METADATA_BYTES_MAX: ByteSize = ByteSize::mib(1);

/// Judges a verified schema.
///
/// # Errors
/// `schema_invalid`, at the path of the field.
pub(crate) fn judge(schema: &arrow_ipc::Schema<'_>) -> Result<()> {
    let mut judge = Judge::default();
    if schema.endianness() != Endianness::Little {
        return Err(Error::new(SCHEMA_INVALID, "the schema is not little-endian")
            .hint("write the stream in the little-endian byte order"));
    }
    judge.metadata(schema.custom_metadata())?;
    let fields = schema.fields().ok_or_else(|| Error::new(SCHEMA_INVALID, "the schema has no list of fields"))?;
    for field in fields {
        judge.field(field)?;
    }
    Ok(())
}

/// The place of a field for an error: its names from the column down.
pub(crate) fn place(path: &[impl AsRef<str>]) -> String {
    let names: Vec<String> = path.iter().map(|name| shorten(name.as_ref())).collect();
    format!("column \"{}\"", names.join("."))
}

#[derive(Default)]
struct Judge<'a> {
    path: Vec<&'a str>,
    fields: usize,
    metadata_bytes: usize,
}

impl<'a> Judge<'a> {
    fn error(&self, message: impl Into<String>) -> Error {
        let error = Error::new(SCHEMA_INVALID, message);
        if self.path.is_empty() { error } else { error.at(place(&self.path)) }
    }

    fn metadata(&mut self, list: Option<Vector<'a, ForwardsUOffset<KeyValue<'a>>>>) -> Result<()> {
        for pair in list.into_iter().flatten() {
            self.metadata_bytes += pair.key().unwrap_or_default().len() + pair.value().unwrap_or_default().len();
        }
        if self.metadata_bytes > METADATA_BYTES_MAX.as_usize() {
            return Err(self.error(format!("the metadata of the schema is larger than {METADATA_BYTES_MAX}")));
        }
        Ok(())
    }

    fn field(&mut self, field: Field<'a>) -> Result<()> {
        self.path.push(field.name().unwrap_or_default());
        self.fields += 1;
        if self.path.len() > LEVELS_MAX {
            return Err(self.error(format!("the fields of the schema are nested deeper than {LEVELS_MAX} levels")));
        }
        if self.fields > FIELDS_MAX {
            return Err(self.error(format!("the schema has more than {FIELDS_MAX} fields")));
        }
        self.text("name", field.name().unwrap_or_default())?;
        self.metadata(field.custom_metadata())?;
        // An index type that is left out is int32.
        if let Some(index) = field.dictionary().and_then(|dictionary| dictionary.indexType()) {
            self.int("dictionary index", Some(index))?;
        }
        self.data_type(field)?;
        for child in field.children().into_iter().flatten() {
            self.field(child)?;
        }
        self.path.pop();
        Ok(())
    }

    fn text(&self, what: &str, text: &str) -> Result<()> {
        if text.len() <= NAME_BYTES_MAX.as_usize() {
            return Ok(());
        }
        Err(self.error(format!("a {what} of {} is longer than {NAME_BYTES_MAX}", ByteSize::bytes(text.len() as u64))))
    }

    fn data_type(&self, field: Field<'a>) -> Result<()> {
        match field.type_type() {
            Type::Null
            | Type::Bool
            | Type::Binary
            | Type::LargeBinary
            | Type::BinaryView
            | Type::Utf8
            | Type::LargeUtf8
            | Type::Utf8View => self.children(field, 0),
            Type::Int => self.int("integer", field.type_as_int()).and_then(|()| self.children(field, 0)),
            Type::FloatingPoint => {
                let precision = self.present(field.type_as_floating_point())?.precision();
                let known = matches!(precision, Precision::HALF | Precision::SINGLE | Precision::DOUBLE);
                self.allow(known, || format!("unknown precision {} of a floating point type", precision.0))?;
                self.children(field, 0)
            }
            Type::Decimal => self.decimal(field).and_then(|()| self.children(field, 0)),
            Type::FixedSizeBinary => {
                let width = self.present(field.type_as_fixed_size_binary())?.byteWidth();
                self.allow(width >= 0, || format!("negative width {width} of a fixed size binary type"))?;
                self.children(field, 0)
            }
            Type::Date | Type::Time | Type::Timestamp | Type::Duration | Type::Interval => {
                self.temporal(field).and_then(|()| self.children(field, 0))
            }
            Type::List | Type::LargeList | Type::ListView | Type::LargeListView => self.children(field, 1),
            Type::FixedSizeList => {
                let size = self.present(field.type_as_fixed_size_list())?.listSize();
                self.allow(size >= 0, || format!("negative size {size} of a fixed size list type"))?;
                self.children(field, 1)
            }
            Type::Struct_ => Ok(()),
            Type::Map => self.map(field),
            Type::Union => self.union(field),
            Type::RunEndEncoded => self.run_end_encoded(field),
            Type::NONE => Err(self.error("the field has no type")),
            Type(other) => Err(self.error(format!("unknown type number {other}"))),
        }
    }

    fn allow(&self, allowed: bool, message: impl FnOnce() -> String) -> Result<()> {
        if allowed { Ok(()) } else { Err(self.error(message())) }
    }

    fn present<T>(&self, table: Option<T>) -> Result<T> {
        table.ok_or_else(|| self.error("the field lacks the parameters of its type"))
    }

    fn children(&self, field: Field<'a>, expected: usize) -> Result<()> {
        let got = field.children().map_or(0, |children| children.len());
        let kind = field.type_type().variant_name().unwrap_or_default();
        self.allow(got == expected, || format!("a field of type `{kind}` has {got} children instead of {expected}"))
    }

    fn int(&self, what: &str, int: Option<Int<'_>>) -> Result<()> {
        let bits = self.present(int)?.bitWidth();
        self.allow(matches!(bits, 8 | 16 | 32 | 64), || format!("{what} of {bits} bits"))
    }

    fn decimal(&self, field: Field<'a>) -> Result<()> {
        let decimal = self.present(field.type_as_decimal())?;
        let (bits, precision, scale) = (decimal.bitWidth(), decimal.precision(), decimal.scale());
        let precision_max = match bits {
            32 => 9,
            64 => 18,
            128 => 38,
            256 => 76,
            _ => return Err(self.error(format!("decimal of {bits} bits"))),
        };
        self.allow((1..=precision_max).contains(&precision), || {
            format!("precision {precision} of a decimal of {bits} bits is not in 1..={precision_max}")
        })?;
        self.allow((-precision_max..=precision_max).contains(&scale), || {
            format!("scale {scale} of a decimal of {bits} bits is not in -{precision_max}..={precision_max}")
        })
    }

    fn temporal(&self, field: Field<'a>) -> Result<()> {
        let any = |unit: TimeUnit| unit.variant_name().is_some();
        let (known, unit) = match field.type_type() {
            Type::Date => {
                let unit = self.present(field.type_as_date())?.unit();
                (matches!(unit, DateUnit::DAY | DateUnit::MILLISECOND), unit.0)
            }
            Type::Time => {
                let time = self.present(field.type_as_time())?;
                let fits = match time.bitWidth() {
                    32 => matches!(time.unit(), TimeUnit::SECOND | TimeUnit::MILLISECOND),
                    64 => matches!(time.unit(), TimeUnit::MICROSECOND | TimeUnit::NANOSECOND),
                    bits => return Err(self.error(format!("time of {bits} bits"))),
                };
                (fits, time.unit().0)
            }
            Type::Timestamp => {
                let timestamp = self.present(field.type_as_timestamp())?;
                self.text("time zone", timestamp.timezone().unwrap_or_default())?;
                (any(timestamp.unit()), timestamp.unit().0)
            }
            Type::Duration => {
                let unit = self.present(field.type_as_duration())?.unit();
                (any(unit), unit.0)
            }
            _ => {
                let unit = self.present(field.type_as_interval())?.unit();
                let known = [IntervalUnit::YEAR_MONTH, IntervalUnit::DAY_TIME, IntervalUnit::MONTH_DAY_NANO];
                (known.contains(&unit), unit.0)
            }
        };
        let kind = field.type_type().variant_name().unwrap_or_default();
        self.allow(known, || format!("unit number {unit} does not fit the type `{kind}`"))
    }

    fn map(&self, field: Field<'a>) -> Result<()> {
        self.present(field.type_as_map())?;
        self.children(field, 1)?;
        let entries = field.children().map(|children| children.get(0));
        let entries = entries.filter(|entries| entries.type_type() == Type::Struct_ && entries.dictionary().is_none());
        let pair = entries.and_then(|entries| entries.children()).is_some_and(|children| children.len() == 2);
        self.allow(pair, || "the entries of a map are not a struct of key and value".to_owned())
    }

    fn union(&self, field: Field<'a>) -> Result<()> {
        const CHILDREN_MAX: usize = 128;
        let union = self.present(field.type_as_union())?;
        let mode = union.mode();
        self.allow(matches!(mode, UnionMode::Sparse | UnionMode::Dense), || format!("unknown union mode {}", mode.0))?;
        let children = field.children().map_or(0, |children| children.len());
        // No row can have a value then, and readers differ in what they make of it.
        self.allow(children > 0, || "a union of no types".to_owned())?;
        self.allow(children <= CHILDREN_MAX, || format!("a union of {children} types has more than {CHILDREN_MAX}"))?;
        let Some(ids) = union.typeIds() else { return Ok(()) };
        self.allow(ids.len() == children, || format!("a union of {children} types has {} type ids", ids.len()))?;
        let mut seen = HashSet::new();
        for id in ids {
            self.allow((0..CHILDREN_MAX as i32).contains(&id), || format!("union type id {id} is not in 0..=127"))?;
            self.allow(seen.insert(id), || format!("union type id {id} appears twice"))?;
        }
        Ok(())
    }

    fn run_end_encoded(&self, field: Field<'a>) -> Result<()> {
        self.children(field, 2)?;
        let run_ends = field.children().map(|children| children.get(0));
        let run_ends = run_ends.filter(|run_ends| run_ends.dictionary().is_none());
        let int = run_ends.and_then(|run_ends| run_ends.type_as_int());
        let fits = int.is_some_and(|int| int.is_signed() && matches!(int.bitWidth(), 16 | 32 | 64));
        self.allow(fits, || "run ends are not int16, int32 or int64".to_owned())
    }
}
