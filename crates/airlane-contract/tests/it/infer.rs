//! A schema becomes a document, and the document the same schema.

use airlane_contract::{Compatibility, Contract, compare, diff};
use airlane_model::codes;
use airlane_segment::TableSchema;
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;

use crate::types::any_type;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn schemas_come_back(columns in prop::collection::hash_map("\\PC{0,12}|null|true|~|5|- a: b", (any_type(), any::<bool>()), 1..6), name in "\\PC{1,20}") {
        let fields: Vec<Field> = columns.into_iter().map(|(name, (data_type, null))| Field::new(name, data_type, null)).collect();
        let schema = Schema::new(fields);
        let Ok(stored) = TableSchema::from_arrow(&schema) else { return Ok(()) };
        let inferred = Contract::infer(&name, &schema).unwrap();
        let again = Contract::parse(inferred.to_yaml()).unwrap();
        prop_assert_eq!(again.name(), &name);
        let read = again.schema();
        prop_assert_eq!(read.as_ref(), &schema);
        let back = TableSchema::from_arrow(&again.schema()).unwrap();
        prop_assert!(stored.accept(&back).is_ok() && back.accept(&stored).is_ok());
        prop_assert!(diff(&inferred, &again).is_empty());
        prop_assert!(compare(&inferred, &again, Compatibility::Full).is_empty());
    }
}

#[test]
fn what_no_contract_describes_is_refused() {
    let twice = Schema::new(vec![Field::new("a", DataType::Int8, true), Field::new("a", DataType::Utf8, true)]);
    for schema in [twice, Schema::empty()] {
        assert_eq!(Contract::infer("t", &schema).unwrap_err().code(), codes::CONTRACT_INVALID);
    }
}
