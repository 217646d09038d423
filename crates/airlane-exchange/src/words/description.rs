//! A table as JSON tells it.

use airlane_model::TableInfo;
use schemars::JsonSchema;
use serde::Serialize;

use crate::Description;

/// A table as its description tells it: the facts of the version, and its fields.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DescribedTable<'a> {
    #[serde(flatten)]
    info: &'a TableInfo,
    fields: Vec<Field<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Field<'a> {
    name: &'a str,
    r#type: String,
    nullable: bool,
}

impl<'a> DescribedTable<'a> {
    /// Of a description.
    pub fn new(description: &'a Description) -> Self {
        let fields = description.schema.arrow().fields().iter().map(|field| Field {
            name: field.name(),
            r#type: field.data_type().to_string(),
            nullable: field.is_nullable(),
        });
        Self { info: &description.info, fields: fields.collect() }
    }
}
