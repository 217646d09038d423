use std::sync::Arc;

use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::*;
use arrow_schema::{DataType, Field, Schema};

use super::*;

fn contract(columns: &str, rest: &str) -> Contract {
    let text = format!("apiVersion: v3.1.0\nid: t\nschema:\n- name: t\n{rest}  properties:\n{columns}");
    Contract::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn checker(contract: &Contract, batch: &RecordBatch, mode: Mode) -> Checker {
    Checker::new(contract, batch.schema_ref(), CheckOptions::new("eu/t", mode, 1)).unwrap()
}

/// The error of the first bad row.
fn broken(contract: &Contract, batch: &RecordBatch) -> String {
    let error = checker(contract, batch, Mode::Reject).check(batch).unwrap_err();
    assert_eq!(error.code(), codes::CONTRACT_BROKEN);
    error.to_string()
}

fn shared(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

/// Rows of one column that a rule refuses.
fn bad_rows(column: &str, array: ArrayRef) -> Vec<u64> {
    let contract = contract(&format!("  - {{name: a, {column}}}\n"), "");
    let batch = batch(vec![("a", array)]);
    let checked = checker(&contract, &batch, Mode::Quarantine).check(&batch).unwrap();
    let rows = checked
        .rejected
        .map_or(vec![], |bad| bad.column_by_name("_row").unwrap().as_primitive::<UInt64Type>().values().to_vec());
    assert_eq!(checked.good.num_rows() + rows.len(), batch.num_rows());
    rows
}

#[test]
fn each_rule_finds_its_rows() {
    let int = |options: &str| format!("physicalType: int32, logicalTypeOptions: {{{options}}}");
    let ints =
        || shared(Int32Array::from(vec![Some(1), None, Some(5), Some(-3), Some(10), Some(i32::MAX), Some(i32::MIN)]));
    assert_eq!(bad_rows("physicalType: int32, required: true", ints()), [1]);
    assert_eq!(bad_rows(&int("minimum: 1"), ints()), [3, 6]);
    assert_eq!(bad_rows(&int("exclusiveMinimum: 1, maximum: 10"), ints()), [0, 3, 5, 6]);
    assert_eq!(bad_rows(&int("exclusiveMaximum: 10"), ints()), [4, 5]);
    assert_eq!(bad_rows(&int("exclusiveMinimum: 2147483647"), ints()), [0, 2, 3, 4, 5, 6]);
    assert_eq!(bad_rows(&int("multipleOf: 5"), ints()), [0, 3, 5, 6]);
    assert_eq!(bad_rows("physicalType: int32, enum: [1, 5, 10]", ints()), [3, 5, 6]);
    let floats =
        shared(Float64Array::from(vec![Some(0.5), Some(f64::NAN), Some(f64::INFINITY), None, Some(1.0), Some(-0.0)]));
    let float = |options: &str| format!("physicalType: float64, logicalTypeOptions: {{{options}}}");
    assert_eq!(bad_rows(&float("minimum: 0"), floats.clone()), [1]);
    assert_eq!(bad_rows(&float("minimum: 0, exclusiveMaximum: 1"), floats.clone()), [1, 2, 4]);
    assert_eq!(bad_rows("physicalType: float64, enum: [0.5, 0]", floats), [1, 2, 4]);
    let money =
        Decimal128Array::from(vec![Some(100), Some(101), None, Some(-1)]).with_precision_and_scale(10, 2).unwrap();
    assert_eq!(
        bad_rows("physicalType: 'decimal(10, 2)', logicalTypeOptions: {minimum: 0, maximum: 1.00}", shared(money)),
        [1, 3]
    );
    let texts = || shared(StringArray::from(vec![Some("buy"), Some("Buy"), None, Some(""), Some("größe")]));
    assert_eq!(bad_rows("physicalType: string, enum: [buy, '']", texts()), [1, 4]);
    assert_eq!(bad_rows("physicalType: string, logicalTypeOptions: {pattern: '^[a-z]+$'}", texts()), [1, 3, 4]);
    assert_eq!(bad_rows("physicalType: string, logicalTypeOptions: {minLength: 1, maxLength: 4}", texts()), [3, 4]);
    assert_eq!(bad_rows("physicalType: string, logicalTypeOptions: {minLength: 5}", texts()), [0, 1, 3]);
    assert_eq!(
        bad_rows(
            "physicalType: string, quality: [{metric: missingValues, mustBe: 0, arguments: {missingValues: [null, '']}}]",
            texts()
        ),
        [2, 3]
    );
    let view: StringViewArray = texts().as_string::<i32>().iter().collect();
    assert_eq!(bad_rows("physicalType: string_view, enum: [buy]", shared(view)), [1, 3, 4]);
    let flags = shared(BooleanArray::from(vec![Some(true), Some(false), None]));
    assert_eq!(bad_rows("physicalType: bool, enum: [true]", flags), [1]);
    let days = shared(Date32Array::from(vec![Some(0), Some(20_000), None]));
    assert_eq!(bad_rows("physicalType: date32, logicalTypeOptions: {minimum: 2000-01-01}", days), [0]);
    let lists = ListArray::from_iter_primitive::<Int8Type, _, _>(vec![Some(vec![Some(1)]), None, Some(vec![])]);
    assert_eq!(
        bad_rows("logicalType: array, items: {physicalType: int8}, logicalTypeOptions: {minItems: 1}", shared(lists)),
        [2]
    );
    let bytes = shared(BinaryArray::from_opt_vec(vec![Some(b"abc"), None, Some(b"")]));
    assert_eq!(bad_rows("physicalType: binary, logicalTypeOptions: {minLength: 3}", bytes), [2]);
}

#[test]
fn dictionaries_are_judged_by_the_values_that_rows_have() {
    let mut builder = StringDictionaryBuilder::<Int8Type>::new();
    ["bad", "buy", "sell"].iter().for_each(|text| builder.append_value(text));
    builder.append_null();
    builder.append_value("bad");
    let column = shared(builder.finish());
    let rule = "physicalType: 'dictionary(int8)<string>', enum: [buy, sell]";
    assert_eq!(bad_rows(rule, column.clone()), [0, 4]);
    assert_eq!(bad_rows(rule, column.slice(1, 3)), [] as [u64; 0]);
    assert_eq!(bad_rows("physicalType: 'dictionary(int8)<string>', required: true", column), [3]);
}

#[test]
fn the_first_bad_row_is_named_from_the_start_of_the_stream() {
    let contract = contract(
        "  - {name: k, physicalType: int32, required: true}\n  - {name: a, physicalType: string, enum: [x, y]}\n",
        "",
    );
    let good =
        batch(vec![("k", shared(Int32Array::from(vec![1; 1000]))), ("a", shared(StringArray::from(vec!["x"; 1000])))]);
    let bad = batch(vec![
        ("k", shared(Int32Array::from(vec![Some(1), Some(1), None]))),
        ("a", shared(StringArray::from(vec!["x", &format!("\n{}", "z".repeat(1000)), "q"]))),
    ]);
    let mut checker = checker(&contract, &good, Mode::Reject);
    assert!(checker.reads_along());
    assert_eq!(checker.check(&good).unwrap().good, good);
    let error = checker.check(&bad).unwrap_err();
    assert_eq!(error.place(), Some("table \"eu/t\", row 1001, column \"a\""));
    assert!(error.message().starts_with("`\\nzzz") && error.message().ends_with("…` is not one of x, y"), "{error}");
    assert!(error.hint_text().unwrap().contains("rule `validValues`"));
}

#[test]
fn s9_a_value_of_a_stranger_is_escaped_and_short() {
    let contract = contract("  - {name: a, physicalType: string, enum: [x]}\n", "");
    let text = broken(&contract, &batch(vec![("a", shared(StringArray::from(vec!["\u{1b}[31m\u{202e}\0"])))]));
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains('\u{202e}'), "{text:?}");
}

#[test]
fn a_schema_that_does_not_fit_is_told_column_by_column() {
    let contract = contract(
        "  - {name: a, physicalType: int32}\n  - {name: b, physicalType: string, required: true}\n  - {name: c, physicalType: date32}\n",
        "",
    );
    let schema = |fields: &[(&str, DataType)]| -> SchemaRef {
        Arc::new(Schema::new(
            fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect::<Vec<_>>(),
        ))
    };
    let breaks = |schema: &SchemaRef, mode| match Checker::new(&contract, schema, CheckOptions::new("t", mode, 1)) {
        Ok(_) => vec![],
        Err(breaks) => {
            assert_eq!(Error::from(breaks.clone()).code(), codes::CONTRACT_BROKEN);
            breaks.breaks.into_iter().map(|one| (one.column, one.what)).collect::<Vec<_>>()
        }
    };
    let own = |name: &str, what: &str| (name.to_owned(), what.to_owned());
    let other = schema(&[("a", DataType::Int64), ("x", DataType::Utf8)]);
    assert_eq!(
        breaks(&other, Mode::Reject),
        [
            own("a", "has the type int64 instead of int32"),
            own("b", "is missing"),
            own("c", "is missing"),
            own("x", "is not in the contract")
        ]
    );
    assert_eq!(breaks(&other, Mode::Coerce), [own("b", "is missing"), own("x", "is not in the contract")]);
    let turned = schema(&[("b", DataType::Utf8), ("a", DataType::Int32), ("c", DataType::Date32)]);
    assert_eq!(breaks(&turned, Mode::Reject), [own("a", "stands at another place")]);
    assert_eq!(breaks(&turned, Mode::Coerce), []);
    let twice =
        schema(&[("a", DataType::Int32), ("a", DataType::Int32), ("b", DataType::Utf8), ("c", DataType::Date32)]);
    assert_eq!(breaks(&twice, Mode::Reject)[0], own("a", "appears twice"));
    let reasons = schema(&[("_row", DataType::Int32)]);
    assert_eq!(breaks(&reasons, Mode::Quarantine)[0], own("_row", "has a name that rejected rows use"));
    let flat = schema(&[("a", DataType::Int32), ("b", DataType::Boolean), ("c", DataType::Date32)]);
    assert_eq!(breaks(&flat, Mode::Coerce), [own("b", "has the type bool instead of string")]);
}

#[test]
fn coerce_casts_moves_adds_and_says_so() {
    let contract = contract(
        "  - {name: id, physicalType: int64, required: true}\n  - {name: at, physicalType: 'timestamp(us, UTC)', logicalType: timestamp, logicalTypeOptions: {format: dd.MM.yyyy HH:mm}}\n  - {name: price, physicalType: 'decimal(12, 4)', logicalTypeOptions: {minimum: 0}}\n  - {name: note, physicalType: string}\n",
        "  customProperties: [{property: additionalColumns, value: true}]\n",
    );
    let came = batch(vec![
        ("price", shared(Float64Array::from(vec![Some(1.25), None]))),
        ("extra", shared(BooleanArray::from(vec![true, false]))),
        ("at", shared(StringArray::from(vec!["03.02.2026 04:05", "04.02.2026 04:05"]))),
        ("id", shared(Int16Array::from(vec![1, 2]))),
    ]);
    let mut checker = checker(&contract, &came, Mode::Coerce);
    let good = checker.check(&came).unwrap().good;
    let types: Vec<String> =
        good.schema().fields().iter().map(|field| format!("{} {}", field.name(), write(field.data_type()))).collect();
    assert_eq!(
        types,
        ["id int64", "at timestamp(us, \"UTC\")", "price decimal128(12, 4)", "note string", "extra bool"]
    );
    assert_eq!(good.schema_ref(), checker.output_schema());
    assert!(!good.schema().field(0).is_nullable());
    assert_eq!(good.column(2).as_primitive::<Decimal128Type>().value(0), 12_500);
    assert_eq!(good.column(3).null_count(), 2);
    assert!(!checker.reads_along());
    let lossy = batch(vec![
        ("price", shared(Float64Array::from(vec![Some(1.25), Some(1.00001)]))),
        ("extra", came.column(1).clone()),
        ("at", came.column(2).clone()),
        ("id", came.column(3).clone()),
    ]);
    let error = checker.check(&lossy).unwrap_err();
    assert_eq!(
        error.to_string().lines().next(),
        Some("`1.00001` is not a value of the type decimal128(12, 4), without loss")
    );
    assert_eq!(error.place(), Some("table \"eu/t\", row 3, column \"price\""));
    let report = finished(&contract, &came, Mode::Coerce).into_result().unwrap();
    let casts: Vec<(&str, &str, u64)> =
        report.casts.iter().map(|cast| (cast.column.as_str(), cast.from.as_str(), cast.values)).collect();
    assert_eq!(casts, [("id", "int16", 2), ("at", "string", 2), ("price", "float64", 1)]);
    assert_eq!((report.added, report.reordered, report.rows), (vec!["note".to_owned()], true, 2));
}

fn finished(contract: &Contract, batch: &RecordBatch, mode: Mode) -> Verdict {
    let mut checker = checker(contract, batch, mode);
    checker.check(batch).unwrap();
    checker.finish(Timestamp::from_micros(0)).unwrap()
}

#[test]
fn quarantine_sets_rows_aside_with_reasons() {
    let contract = contract(
        "  - {name: k, physicalType: int32, required: true, unique: true}\n  - {name: a, physicalType: string, enum: [x], logicalTypeOptions: {maxLength: 2}}\n",
        "",
    );
    let came = batch(vec![
        ("k", shared(Int32Array::from(vec![Some(1), None, Some(3), Some(4), Some(3)]))),
        ("a", shared(StringArray::from(vec!["x", "long", "long", "x", "no"]))),
    ]);
    let mut checker = checker(&contract, &came, Mode::Quarantine);
    let first = checker.check(&came.slice(0, 1)).unwrap();
    assert!(first.rejected.is_none());
    let Checked { good, rejected } = checker.check(&came.slice(1, 4)).unwrap();
    assert_eq!(good.column(0).as_primitive::<Int32Type>().values(), &[4]);
    let rejected = rejected.unwrap();
    assert_eq!(rejected.schema_ref(), checker.rejected_schema());
    assert_eq!(rejected.column(2).as_primitive::<UInt64Type>().values(), &[1, 2, 4]);
    let texts = |column: usize| rejected.column(column).as_string::<i32>().iter().flatten().collect::<Vec<_>>();
    assert_eq!(texts(3), ["required", "validValues", "validValues"]);
    assert_eq!(texts(4), ["k", "a", "a"]);
    assert_eq!(texts(5), ["a null stands where none may", "`long` is not one of x", "`no` is not one of x"]);
    let report = checker.finish(Timestamp::from_micros(0)).unwrap().into_result().unwrap();
    assert_eq!((report.rows, report.rows_rejected), (2, 3));
    let counts: Vec<(&str, u64)> = report.broken.iter().map(|one| (one.rule.as_str(), one.rows)).collect();
    assert_eq!(counts, [("required", 1), ("validValues", 3), ("length", 2)]);
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}

#[test]
fn lossy_rows_are_set_aside_as_they_came() {
    let contract = contract("  - {name: k, physicalType: int8, required: true}\n", "");
    let came = batch(vec![("k", shared(StringArray::from(vec![Some("1"), Some("x"), None, Some("300")])))]);
    let mut checker = checker(&contract, &came, Mode::CoerceQuarantine);
    let Checked { good, rejected } = checker.check(&came).unwrap();
    assert_eq!(good.column(0).as_primitive::<Int8Type>().values(), &[1]);
    let rejected = rejected.unwrap();
    assert_eq!(rejected.column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("x"), None, Some("300")]);
    assert_eq!(
        rejected.column(2).as_string::<i32>().iter().flatten().collect::<Vec<_>>(),
        ["type", "required", "type"]
    );
}

#[test]
fn a_key_that_comes_twice_refuses_the_put() {
    let contract = contract(
        "  - {name: a, physicalType: int32, primaryKey: true}\n  - {name: b, physicalType: string, primaryKey: true}\n  - {name: c, physicalType: int32, quality: [{metric: duplicateValues, mustBeLessThan: 2}]}\n",
        "",
    );
    let came = batch(vec![
        ("a", shared(Int32Array::from(vec![1, 1, 2, 1]))),
        ("b", shared(StringArray::from(vec!["x", "y", "x", "x"]))),
        ("c", shared(Int32Array::from(vec![Some(7), Some(7), None, Some(7)]))),
    ]);
    for mode in [Mode::Reject, Mode::Quarantine] {
        let verdict = finished(&contract, &came, mode);
        assert_eq!(verdict.broken.len(), 2);
        assert_eq!(verdict.broken[1].what, "2 rows repeat an earlier one, the contract allows less than 2");
        let error = verdict.into_result().unwrap_err();
        assert_eq!(error.message(), "`1, x` is in row 0 already");
        assert_eq!(error.place(), Some("table \"eu/t\", row 3, column \"a\", \"b\""));
        assert!(error.hint_text().unwrap().starts_with("rule `primaryKey`"));
    }
}

#[test]
fn rows_and_ages_are_judged_at_the_end() {
    let contract = contract(
        "  - {name: at, physicalType: 'timestamp(ms)'}\n",
        "  quality: [{metric: rowCount, mustBeBetween: [2, 3]}]\n",
    );
    let fresh = Contract::parse(&format!(
        "{}slaProperties: [{{property: freshness, value: 1, unit: h, element: at}}]\n",
        contract.to_yaml()
    ))
    .unwrap();
    let came = batch(vec![("at", shared(TimestampMillisecondArray::from(vec![Some(1_000), Some(5_000), None])))]);
    let judge = |rows: usize, now: i64| {
        let mut checker = checker(&fresh, &came, Mode::Reject);
        checker.check(&came.slice(3 - rows, rows)).unwrap();
        let verdict = checker.finish(Timestamp::from_micros(now)).unwrap();
        verdict.broken.into_iter().map(|broken| broken.what).collect::<Vec<_>>()
    };
    assert_eq!(judge(3, 3_605_000_000), [] as [String; 0]);
    assert_eq!(judge(3, 3_605_000_001), ["the newest row is 3600 s old, the contract allows 1 h"]);
    assert_eq!(
        judge(1, 0),
        [
            "the put has 1 rows, the contract allows between 2 and 3",
            "no row says of when it is, the contract allows 1 h"
        ]
    );
}

#[test]
fn counts_of_values_are_judged_at_the_end() {
    let column = |rule: &str| contract(&format!("  - {{name: a, physicalType: string, quality: [{rule}]}}\n"), "");
    let came = batch(vec![("a", shared(StringArray::from(vec![Some("x"), None, Some("N/A"), Some("y")])))]);
    let judge = |rule: &str| finished(&column(rule), &came, Mode::Reject).broken.len();
    assert_eq!(judge("{metric: nullValues, mustBeLessOrEqualTo: 25, unit: percent}"), 0);
    assert_eq!(judge("{metric: nullValues, mustBeLessThan: 25, unit: percent}"), 1);
    assert_eq!(judge("{metric: missingValues, mustBeLessOrEqualTo: 2, arguments: {missingValues: [null, N/A]}}"), 0);
    assert_eq!(judge("{metric: missingValues, mustBeLessThan: 2, arguments: {missingValues: [null, N/A]}}"), 1);
    assert_eq!(judge("{metric: invalidValues, mustBeLessThan: 3, arguments: {validValues: [x]}}"), 0);
    assert_eq!(judge("{metric: invalidValues, mustBeLessThan: 2, arguments: {pattern: '^x$'}}"), 1);
}

#[test]
fn nulls_of_a_dictionary_count_as_missing() {
    let contract = contract(
        "  - {name: a, physicalType: 'dictionary(int8)<string>', quality: [{metric: missingValues, mustBeLessThan: 2, arguments: {missingValues: [null, N/A]}}]}\n",
        "",
    );
    let mut builder = StringDictionaryBuilder::<Int8Type>::new();
    builder.append_value("x");
    builder.append_nulls(2);
    let verdict = finished(&contract, &batch(vec![("a", shared(builder.finish()))]), Mode::Reject);
    assert_eq!(verdict.broken[0].what, "2 of 3 rows count as `missingValues`, the contract allows less than 2");
}

#[test]
fn a_stream_of_no_rows_ends_well() {
    let contract = contract("  - {name: a, physicalType: int32, unique: true}\n", "");
    let came = batch(vec![("a", shared(Int32Array::from(Vec::<i32>::new())))]);
    assert_eq!(finished(&contract, &came, Mode::Coerce).into_result().unwrap().rows, 0);
}

/// A stream is checked by whichever thread has it.
#[test]
fn checkers_move_between_threads() {
    fn moves<T: Send>(value: T) -> T {
        value
    }
    let contract = contract("  - {name: a, physicalType: int32, unique: true}\n", "");
    let came = batch(vec![("a", shared(Int32Array::from(vec![1, 1])))]);
    let mut checker = moves(checker(&moves(contract), &came, Mode::Reject));
    let broken = std::thread::spawn(move || {
        checker.check(&came).unwrap();
        checker.finish(Timestamp::from_micros(0)).unwrap().broken
    });
    assert_eq!(broken.join().unwrap()[0].rule, "unique");
}
