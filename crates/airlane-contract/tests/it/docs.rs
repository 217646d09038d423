//! The example of the reference is a contract.

use airlane_contract::{Contract, type_name};

#[test]
fn the_example_is_understood_wholly() {
    let page = include_str!("../../../../docs/reference/contracts.md");
    let (_, rest) = page.split_once("```yaml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let contract = Contract::parse(example).expect("a contract");
    let table = contract.table();
    assert!(table.not_checked().is_empty());
    assert_eq!(table.primary_key(), ["symbol", "day"]);
    let types: Vec<String> = table.columns().iter().map(|column| type_name(column.data_type())).collect();
    assert_eq!(types, ["string", "date32", "decimal128(12, 4)", "string"]);
    assert_eq!(contract.schema().fields().iter().filter(|field| !field.is_nullable()).count(), 3);
}
