//! What a contract says, read and judged.

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use regex::Regex;

use crate::condition::Condition;
use crate::format::TimeFormat;
use crate::value::Value;

/// A contract: a document of the Open Data Contract Standard, and what Airlane enforces of it.
///
/// The document is kept as it came, so that parts which are not understood, comments and order are given back.
#[derive(Clone, Debug)]
pub struct Contract {
    pub(crate) document: Arc<str>,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) table: Table,
}

impl Contract {
    /// The document, byte for byte as it was read.
    pub fn to_yaml(&self) -> &str {
        &self.document
    }

    /// The name of the contract: `name`, or `id` where it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `version` of the document, which its author chose.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// What it is for: `description.purpose`.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The table that it describes.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The Arrow schema that it describes: a required column holds no nulls.
    pub fn schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self.table.columns.iter().map(Column::field).collect();
        Arc::new(Schema::new(fields))
    }

    /// The types of its columns, for readers of formats that have none. Whether a column may hold nulls is a rule, which is
    /// checked with the others: here all may.
    pub fn types(&self) -> SchemaRef {
        let fields = self.table.columns.iter().map(|column| column.field().with_nullable(true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// The object of a contract's `schema`.
#[derive(Clone, Debug)]
pub struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) primary_key: Vec<String>,
    pub(crate) keys: Vec<Key>,
    pub(crate) rows: Vec<Condition>,
    pub(crate) freshness: Option<Freshness>,
    pub(crate) takes_more_columns: bool,
    pub(crate) not_checked: Vec<NotChecked>,
}

impl Table {
    /// Its name in the document.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns of the primary key, in the order of their positions; empty where there is none.
    pub fn primary_key(&self) -> &[String] {
        &self.primary_key
    }

    /// Whether columns that the contract does not name may come too.
    pub fn takes_more_columns(&self) -> bool {
        self.takes_more_columns
    }

    /// Rules that the document has and that nobody checks.
    pub fn not_checked(&self) -> &[NotChecked] {
        &self.not_checked
    }

    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A column and its rules.
#[derive(Clone, Debug)]
pub struct Column {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    pub(crate) description: Option<String>,
    pub(crate) unit: Option<String>,
    pub(crate) unit_scale: Option<String>,
    pub(crate) is_required: bool,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) multiple_of: Option<Bound>,
    pub(crate) values: Option<Values>,
    pub(crate) missing: Option<Values>,
    pub(crate) pattern: Option<Regex>,
    pub(crate) length_min: Option<u64>,
    pub(crate) length_max: Option<u64>,
    pub(crate) format: Option<TimeFormat>,
    pub(crate) counted: Vec<Counted>,
}

impl Column {
    /// A column of a type without rules.
    pub(crate) fn plain(name: &str, data_type: DataType) -> Self {
        Self {
            name: name.to_owned(),
            data_type,
            description: None,
            unit: None,
            unit_scale: None,
            is_required: false,
            minimum: None,
            maximum: None,
            multiple_of: None,
            values: None,
            missing: None,
            pattern: None,
            length_min: None,
            length_max: None,
            format: None,
            counted: Vec::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Whether it must be there and hold no nulls.
    pub fn is_required(&self) -> bool {
        self.is_required
    }

    /// What its values count, such as `USD/share`.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// What a value is to be multiplied with to be in the unit, such as `1000`.
    pub fn unit_scale(&self) -> Option<&str> {
        self.unit_scale.as_deref()
    }

    /// What it holds, in words.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    pub(crate) fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.clone(), !self.is_required)
    }
}

/// One end of a range.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) text: String,
    pub(crate) value: Value,
    /// Whether the bound itself is in the range.
    pub(crate) is_inside: bool,
}

/// An enumeration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Values {
    pub(crate) texts: Vec<String>,
    pub(crate) values: Vec<Value>,
}

/// Columns whose values together come once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) columns: Vec<String>,
    pub(crate) is_primary: bool,
    /// How many rows may repeat an earlier one; `None`: not one.
    pub(crate) allowed: Option<Condition>,
}

/// How old the newest row may be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Freshness {
    pub(crate) column: String,
    pub(crate) age_max: Duration,
    pub(crate) text: String,
}

/// A rule of a column that is about how many values break it.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) metric: Metric,
    pub(crate) allowed: Condition,
}

/// What is counted.
#[derive(Clone, Debug)]
pub(crate) enum Metric {
    Nulls,
    Missing { values: Values, nulls_too: bool },
    Invalid { values: Option<Values>, pattern: Option<Regex> },
}

impl Metric {
    /// Its name in the standard.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Nulls => "nullValues",
            Self::Missing { .. } => "missingValues",
            Self::Invalid { .. } => "invalidValues",
        }
    }
}

/// A rule that a document has and that is not enforced.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NotChecked {
    /// The column, `None` for a rule of the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Its name, its metric, or its description.
    pub rule: String,
    /// Why it is not enforced.
    pub why: String,
}
