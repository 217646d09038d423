//! A contract from an Arrow schema: the columns, their types and which may hold nulls. Rules are for people to add.

use std::collections::HashSet;
use std::fmt::Write;

use airlane_model::{Error, Result, codes};
use arrow_schema::Schema;

use crate::model::Contract;
use crate::types::{COLUMNS_MAX, logical_name, quote, write};
use crate::yaml::shorten;

impl Contract {
    /// A contract of this name that describes a schema. Metadata is not part of a contract.
    ///
    /// # Errors
    /// `contract_invalid` for a schema without columns, with two of one name, or too large for a document.
    pub fn infer(name: &str, schema: &Schema) -> Result<Self> {
        if schema.fields().is_empty() || schema.fields().len() > COLUMNS_MAX {
            let count = schema.fields().len();
            let message = format!("a contract has 1 to {COLUMNS_MAX} columns, the schema has {count}");
            return Err(Error::new(codes::CONTRACT_INVALID, message));
        }
        let mut names = HashSet::new();
        let mut document = String::new();
        let title = quote(name);
        // Writing to a text never fails.
        let _ = writeln!(document, "apiVersion: v3.1.0\nkind: DataContract\nid: {title}\nname: {title}");
        let _ =
            writeln!(document, "version: 1.0.0\nstatus: draft\nschema:\n  - name: {title}\n    logicalType: object");
        document.push_str("    physicalType: table\n    properties:\n");
        for field in schema.fields() {
            if !names.insert(field.name()) {
                let message = format!("the column `{}` appears twice", shorten(field.name()));
                return Err(Error::new(codes::CONTRACT_INVALID, message).hint("rename one of them"));
            }
            let _ = writeln!(document, "      - name: {}", quote(field.name()));
            if let Some(logical) = logical_name(field.data_type()) {
                let _ = writeln!(document, "        logicalType: {logical}");
            }
            let _ = writeln!(document, "        physicalType: {}", scalar(&write(field.data_type())));
            if !field.is_nullable() {
                document.push_str("        required: true\n");
            }
        }
        Self::parse(&document)
    }
}

/// A text as a scalar: bare where that cannot be taken for anything else.
fn scalar(text: &str) -> String {
    let is_bare = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text != "null"
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '(' | ')' | '<' | '>'));
    if is_bare { text.to_owned() } else { quote(text) }
}
