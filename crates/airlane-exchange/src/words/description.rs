//! A table as JSON tells it.

use airlane_model::TableInfo;
use airlane_segment::TableSchema;
use schemars::JsonSchema;
use serde::Serialize;

use crate::Description;

/// A table as its description tells it: the facts of the version, and its fields.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DescribedTable<'a> {
    #[serde(flatten)]
    info: &'a TableInfo,
    fields: Vec<FieldInfo>,
}

/// A column, with its type as Arrow writes it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Field")]
pub struct FieldInfo {
    name: String,
    r#type: String,
    nullable: bool,
}

impl FieldInfo {
    /// The columns of a schema.
    pub fn all(schema: &TableSchema) -> Vec<Self> {
        let fields = schema.arrow().fields().iter().map(|field| Self {
            name: field.name().clone(),
            r#type: field.data_type().to_string(),
            nullable: field.is_nullable(),
        });
        fields.collect()
    }
}

impl<'a> DescribedTable<'a> {
    /// Of a description.
    pub fn new(description: &'a Description) -> Self {
        Self { info: &description.info, fields: FieldInfo::all(&description.schema) }
    }
}
