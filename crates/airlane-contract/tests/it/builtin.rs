//! Each built-in contract takes good rows and refuses bad ones.

use std::sync::Arc;

use airlane_contract::{CheckOptions, Checker, Contract, Mode, builtin, builtin_names};
use airlane_model::Timestamp;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};

/// The columns that the contracts have been made for.
fn contract(name: &str) -> Contract {
    builtin(name).expect("a name of the list").unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A good text for a column: two rows differ in what is a key.
fn good(contract: &Contract, column: &str, row: usize) -> String {
    let found = contract.table().column(column).expect("a column");
    let known = match column {
        "environment" => "LIVE",
        "side" if contract.name() == "positions" => "long",
        "side" => "buy",
        "status" if contract.name() == "positions" => "open",
        "status" if contract.name() == "orders" => "filled",
        "status" => "valid",
        "order_type" => "limit",
        "time_in_force" => "day",
        "error_value" => "#DIV/0!",
        "year" => "2026",
        "month" | "week" => "7",
        _ => "",
    };
    match (known, found.data_type()) {
        ("", DataType::Utf8) => format!("A{row}"),
        ("", DataType::Timestamp(_, _)) => "2026-11-05T10:00:00Z".to_owned(),
        ("", DataType::Date32) => "2026-11-02".to_owned(),
        ("", DataType::Boolean) => "true".to_owned(),
        ("", DataType::Binary | DataType::FixedSizeBinary(_)) => format!("{row:016}"),
        ("", _) => "1".to_owned(),
        (known, _) => known.to_owned(),
    }
}

/// Columns of texts, cast to the contract's types; `change` replaces values, an empty text is a null.
fn rows(contract: &Contract, count: usize, change: impl Fn(&str, usize) -> Option<String>) -> RecordBatch {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for column in contract.table().columns() {
        let texts: StringArray = (0..count)
            .map(|row| change(column.name(), row).unwrap_or_else(|| good(contract, column.name(), row)))
            .map(|text| (!text.is_empty()).then_some(text))
            .collect();
        let typed = match column.data_type() {
            DataType::FixedSizeBinary(_) => {
                let binary = arrow_cast::cast(&texts, &DataType::Binary).expect("bytes");
                arrow_cast::cast(&binary, column.data_type()).expect("bytes of the width")
            }
            other => arrow_cast::cast(&texts, other).expect("a cast"),
        };
        fields.push(Field::new(column.name(), typed.data_type().clone(), true));
        columns.push(typed);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns of one length")
}

fn check(contract: &Contract, batch: &RecordBatch) -> Result<u64, String> {
    let options = CheckOptions::new(contract.name(), Mode::Reject, 7);
    let mut checker = Checker::new(contract, batch.schema_ref(), options).map_err(|breaks| breaks.to_string())?;
    let said = |error: airlane_model::Error| format!("{error}");
    checker.check(batch).map_err(said)?;
    let report = checker.finish(Timestamp::from_micros(0)).and_then(|verdict| verdict.into_result()).map_err(said)?;
    Ok(report.rows)
}

#[test]
fn each_takes_good_rows() {
    for name in builtin_names() {
        let contract = contract(name);
        assert_eq!(contract.name(), name);
        assert!(contract.description().is_some() && contract.version() == Some("1.0.0"), "{name}");
        assert!(contract.table().not_checked().is_empty(), "{name}");
        assert_eq!(check(&contract, &rows(&contract, 3, |_, _| None)), Ok(3), "{name}");
    }
}

#[test]
fn each_refuses_bad_rows() {
    let cases = [
        ("market_data", "bid_price", "-0.0001", "at least 0"),
        ("market_data", "symbol", "a b", "matches"),
        ("market_data", "timestamp", "1970-01-01T00:00:00Z", "at least 2000"),
        ("positions", "side", "flat", "one of long, short"),
        ("positions", "quantity", "-1", "at least 0"),
        ("orders", "quantity", "0", "more than 0"),
        ("orders", "time_in_force", "week", "one of day"),
        ("orders", "status", "done", "one of pending"),
        ("ledger", "status", "fine", "one of valid"),
        ("ledger", "price", "-5", "at least 0"),
        ("cell", "error_value", "DIV/0", "matches"),
        ("marketing_mix", "month", "13", "at most 12"),
        ("marketing_mix", "week", "0", "at least 1"),
        ("marketing_mix", "ev1", "2", "at most 1"),
    ];
    for (name, column, value, expected) in cases {
        let contract = contract(name);
        let change = |own: &str, row: usize| (own == column && row == 1).then(|| value.to_owned());
        let message = check(&contract, &rows(&contract, 3, change)).expect_err(name);
        assert!(message.contains(expected) && message.contains(&format!("row 1, column \"{column}\"")), "{message}");
    }
}

#[test]
fn each_required_column_is_required_and_each_key_comes_once() {
    for name in builtin_names() {
        let contract = contract(name);
        for column in contract.table().columns() {
            let change = |own: &str, row: usize| (own == column.name() && row == 2).then(String::new);
            let checked = check(&contract, &rows(&contract, 3, change));
            assert_eq!(checked.is_err(), column.is_required(), "{name}: {}", column.name());
        }
        let first = |own: &str, _: usize| Some(good(&contract, own, 0));
        let twice = check(&contract, &rows(&contract, 2, first));
        assert_eq!(twice.is_err(), !contract.table().primary_key().is_empty(), "{name}: {twice:?}");
    }
}

#[test]
fn money_is_decimal_and_numbers_have_units() {
    for name in builtin_names() {
        for column in contract(name).table().columns() {
            let is_number = column.data_type().is_floating() || column.data_type().is_decimal();
            let is_counted = is_number && column.name() != "quantity";
            assert!(!is_counted || column.unit().is_some(), "{name}: {}", column.name());
            let is_money = column.unit().is_some_and(|unit| unit.contains("USD") || unit == "VND");
            assert!(!is_money || column.data_type().is_decimal(), "{name}: {}", column.name());
        }
    }
    let rows = rows(&contract("positions"), 1, |_, _| None);
    assert_eq!(rows.column_by_name("avg_price").map(|column| column.len()), Some(1));
}
