//! Some columns of a table, with a schema of their own.
//!
//! ```text
//! table        a    b dict 0    c dict 1    d list<dict 2>
//! d, b         d list<dict 0>   b dict 1            dictionaries 2, 0 of the table
//! ```

use airlane_model::{Error, Result, codes};
use arrow_schema::{Schema, SchemaRef};

use super::{TableSchema, canonical, policy};

/// Columns that a hint lists at most.
const LISTED_MAX: usize = 20;

/// The columns that a reader gets, with their metadata and without that of the table.
#[derive(Clone, Debug)]
pub struct Projection {
    columns: Vec<usize>,
    schema: TableSchema,
    dictionaries: Vec<i64>,
}

impl Projection {
    /// Of the columns of these names, in their order.
    ///
    /// # Errors
    /// `option_invalid` for no column, one that is not there, one that is named twice, and a name of several columns.
    pub fn new(table: &TableSchema, names: &[String]) -> Result<Self> {
        let all = table.arrow();
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let column = find(all, name)?;
            if columns.contains(&column) {
                return Err(invalid(format!("{} is asked for twice", policy::place(&[name]))).hint("name each once"));
            }
            columns.push(column);
        }
        if columns.is_empty() {
            return Err(invalid("no column is asked for").hint(valid(all)));
        }
        // Metadata of the table often names its columns, as pandas does.
        let projected = Schema::new(columns.iter().map(|column| all.fields()[*column].clone()).collect::<Vec<_>>());
        let mut ends = Vec::with_capacity(all.fields().len() + 1);
        ends.push(0);
        for field in all.fields() {
            let own = canonical::dictionaries(&Schema::new(vec![field.clone()])).len();
            ends.push(ends.last().copied().unwrap_or(0) + own as i64);
        }
        let dictionaries = columns.iter().flat_map(|column| ends[*column]..ends[*column + 1]).collect();
        Ok(Self { schema: TableSchema::from_arrow(&projected)?, columns, dictionaries })
    }

    /// The positions of the columns in the table.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The schema of the columns.
    pub fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// The ids that the dictionaries have in the table, in the order of those that they have here.
    pub fn dictionaries(&self) -> &[i64] {
        &self.dictionaries
    }
}

fn find(schema: &SchemaRef, name: &str) -> Result<usize> {
    let mut found = schema.fields().iter().enumerate().filter(|(_, field)| field.name() == name);
    match (found.next(), found.next()) {
        (Some((column, _)), None) => Ok(column),
        (None, _) => Err(invalid(format!("there is no {}", policy::place(&[name]))).hint(valid(schema))),
        (Some(_), Some(_)) => Err(invalid(format!("several columns have the name of {}", policy::place(&[name])))
            .hint("give them names of their own")),
    }
}

fn valid(schema: &SchemaRef) -> String {
    let names: Vec<&str> = schema.fields().iter().take(LISTED_MAX).map(|field| field.name().as_str()).collect();
    let more = if schema.fields().len() > LISTED_MAX { ", …" } else { "" };
    format!("columns: {}{more}", names.join(", "))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(codes::OPTION_INVALID, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field};

    use super::*;

    fn dictionary(values: DataType) -> DataType {
        DataType::Dictionary(Box::new(DataType::Int8), Box::new(values))
    }

    fn table() -> TableSchema {
        let listed = DataType::List(Arc::new(Field::new("item", dictionary(DataType::Binary), true)));
        let fields = vec![
            Field::new("a", DataType::Int64, false),
            Field::new("b", dictionary(DataType::Utf8), true),
            Field::new("twin", DataType::Int8, true),
            Field::new("c", dictionary(DataType::Int32), true),
            Field::new("d", listed, true),
            Field::new("twin", DataType::Int8, true),
        ];
        let metadata = [("pandas".to_owned(), "a, b, c".to_owned())].into();
        TableSchema::from_arrow(&Schema::new_with_metadata(fields, metadata)).expect("allowed")
    }

    fn project(names: &[&str]) -> Result<Projection> {
        Projection::new(&table(), &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn columns_come_in_the_order_asked_for_with_their_dictionaries() {
        let projection = project(&["d", "a", "b"]).expect("columns");
        assert_eq!((projection.columns(), projection.dictionaries()), (&[4, 0, 1][..], &[2, 0][..]));
        assert_eq!(projection.schema().dictionaries(), [DataType::Binary, DataType::Utf8]);
        let names: Vec<&str> = projection.schema().arrow().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["d", "a", "b"]);
        assert!(projection.schema().arrow().metadata().is_empty(), "what is left out is not named");
    }

    #[test]
    fn what_names_no_columns_is_refused() {
        for (names, said) in [
            (&[][..], "no column"),
            (&["e"], "there is no column \"e\""),
            (&["a", "a"], "twice"),
            (&["twin"], "several"),
        ] {
            let error = project(names).expect_err(said);
            assert_eq!(error.code(), codes::OPTION_INVALID);
            assert!(error.message().contains(said) && error.hint_text().is_some(), "{error}");
        }
        assert_eq!(project(&["e"]).expect_err("absent").hint_text(), Some("columns: a, b, twin, c, d, twin"));
    }
}
