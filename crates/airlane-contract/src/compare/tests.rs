use super::*;

fn contract(column: &str, table: &str, rest: &str) -> Contract {
    let text = format!(
        "apiVersion: v3.1.0\nid: t\nschema:\n- name: t\n{table}  properties:\n  - {{name: k, physicalType: int64}}\n  - {{name: at, physicalType: 'timestamp(us, UTC)'}}\n{column}{rest}"
    );
    Contract::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Both directions of a change: the second is the first undone.
fn check(old: &Contract, new: &Contract, what: &str, backward: bool, forward: bool) {
    for (old, new, backward, forward) in [(old, new, backward, forward), (new, old, forward, backward)] {
        let changes = diff(old, new);
        let found: Vec<&Change> = changes.iter().filter(|change| change.what.starts_with(what)).collect();
        let breaks = |compatibility| found.iter().any(|change| change.breaks(compatibility));
        assert!(!found.is_empty(), "no {what} in {changes:?}");
        assert_eq!(breaks(Compatibility::Backward), backward, "{what} backward: {found:?}");
        assert_eq!(breaks(Compatibility::Forward), forward, "{what} forward: {found:?}");
        assert_eq!(breaks(Compatibility::Full), backward || forward);
        assert!(!breaks(Compatibility::None));
        assert_eq!(compare(old, new, Compatibility::Full).is_empty(), !(backward || forward));
        for change in &found {
            assert!(!change.to_string().is_empty());
            assert_eq!(change.hint().is_empty(), !change.breaks_backward && !change.breaks_forward);
        }
    }
}

#[test]
fn each_change_of_a_column_in_each_mode() {
    let typed = |name: &str| contract(&format!("  - {{name: a, physicalType: '{name}'}}\n"), "", "");
    let types = [
        // Old, new, and whether the change breaks backward and forward.
        ("int32", "int64", false, true),
        ("int8", "uint8", true, true),
        ("uint8", "int16", false, true),
        ("float32", "float64", false, true),
        ("int32", "float64", false, true),
        ("int64", "float64", true, true),
        ("decimal(10, 2)", "decimal(12, 4)", false, true),
        ("decimal(10, 2)", "decimal(10, 4)", true, true),
        ("int32", "decimal(12, 2)", false, true),
        ("int32", "decimal(11, 2)", true, true),
        ("string", "large_string", false, false),
        ("string", "dictionary(int32)<string>", false, false),
        ("timestamp(s)", "timestamp(us)", false, true),
        ("timestamp(us, UTC)", "timestamp(us, Europe/Berlin)", false, false),
        ("timestamp(us, UTC)", "timestamp(us)", true, true),
        ("date32", "timestamp(us)", false, true),
        ("time32(s)", "time64(us)", false, true),
        ("fixed_binary(4)", "binary", false, true),
        ("string", "int32", true, true),
        ("list<int8>", "list<int16>", true, true),
    ];
    for (old, new, backward, forward) in types {
        // The same values laid out otherwise are a change, and break nobody; so is a dictionary.
        check(&typed(old), &typed(new), "type", backward, forward);
    }
    let ruled = |rules: &str| contract(&format!("  - {{name: a, physicalType: int64{rules}}}\n"), "", "");
    let text = |rules: &str| contract(&format!("  - {{name: a, physicalType: string{rules}}}\n"), "", "");
    let rules = [
        (ruled(""), ruled(", required: true"), "required", true, false),
        (ruled(""), ruled(", logicalTypeOptions: {minimum: 1}"), "range", true, false),
        (
            ruled(", logicalTypeOptions: {minimum: 1}"),
            ruled(", logicalTypeOptions: {minimum: 2}"),
            "range",
            true,
            false,
        ),
        (
            ruled(", logicalTypeOptions: {minimum: 1}"),
            ruled(", logicalTypeOptions: {exclusiveMinimum: 1}"),
            "range",
            true,
            false,
        ),
        (
            ruled(", logicalTypeOptions: {maximum: 9}"),
            ruled(", logicalTypeOptions: {maximum: 8}"),
            "range",
            true,
            false,
        ),
        (
            ruled(", logicalTypeOptions: {minimum: 1, maximum: 9}"),
            ruled(", logicalTypeOptions: {minimum: 2, maximum: 10}"),
            "range",
            true,
            true,
        ),
        (
            ruled(", logicalTypeOptions: {multipleOf: 5}"),
            ruled(", logicalTypeOptions: {multipleOf: 10}"),
            "multipleOf",
            true,
            false,
        ),
        (
            ruled(", logicalTypeOptions: {multipleOf: 5}"),
            ruled(", logicalTypeOptions: {multipleOf: 7}"),
            "multipleOf",
            true,
            true,
        ),
        (text(", enum: [a, b, c]"), text(", enum: [a, b]"), "validValues", true, false),
        (text(", enum: [a, b]"), text(", enum: [a, c]"), "validValues", true, true),
        (text(""), text(", enum: [a, b]"), "validValues", true, false),
        (
            text(", quality: [{metric: missingValues, mustBe: 0, arguments: {missingValues: [a]}}]"),
            text(", quality: [{metric: missingValues, mustBe: 0, arguments: {missingValues: [a, b]}}]"),
            "missingValues",
            true,
            false,
        ),
        (text(""), text(", logicalTypeOptions: {pattern: a}"), "pattern", true, false),
        (text(", logicalTypeOptions: {pattern: a}"), text(", logicalTypeOptions: {pattern: b}"), "pattern", true, true),
        (
            text(", logicalTypeOptions: {maxLength: 5}"),
            text(", logicalTypeOptions: {maxLength: 4}"),
            "length",
            true,
            false,
        ),
        (
            text(", logicalTypeOptions: {minLength: 1}"),
            text(", logicalTypeOptions: {minLength: 2}"),
            "length",
            true,
            false,
        ),
        (
            text(""),
            text(", quality: [{metric: nullValues, mustBeLessThan: 5, unit: percent}]"),
            "nullValues",
            true,
            false,
        ),
        (
            text(", quality: [{metric: nullValues, mustBeLessThan: 6}]"),
            text(", quality: [{metric: nullValues, mustBeLessThan: 5}]"),
            "nullValues",
            true,
            true,
        ),
        (
            ruled(", customProperties: [{property: unit, value: kg}]"),
            ruled(", customProperties: [{property: unit, value: t}]"),
            "unit",
            true,
            true,
        ),
        (text(""), text(", description: x"), "description", false, false),
    ];
    for (old, new, what, backward, forward) in rules {
        check(&old, &new, what, backward, forward);
    }
}

#[test]
fn each_change_of_a_table_in_each_mode() {
    let plain = contract("", "", "");
    let quality = |rule: &str| contract("", &format!("  quality: [{rule}]\n"), "");
    let fresh = |age: u32| {
        contract("", "", &format!("slaProperties: [{{property: freshness, value: {age}, unit: h, element: at}}]\n"))
    };
    let key =
        |name: &str| contract("", &format!("  customProperties: [{{property: primaryKey, value: [{name}]}}]\n"), "");
    let cases = [
        (plain.clone(), quality("{metric: rowCount, mustBeGreaterThan: 5}"), "rowCount", true, false),
        (
            quality("{metric: rowCount, mustBeGreaterThan: 5}"),
            quality("{metric: rowCount, mustBeGreaterOrEqualTo: 7}"),
            "rowCount",
            true,
            false,
        ),
        (
            quality("{metric: rowCount, mustBeBetween: [5, 9]}"),
            quality("{metric: rowCount, mustBeBetween: [6, 10]}"),
            "rowCount",
            true,
            true,
        ),
        (
            plain.clone(),
            quality("{metric: duplicateValues, mustBe: 0, arguments: {properties: [k, at]}}"),
            "key",
            true,
            false,
        ),
        (plain.clone(), key("k"), "key", true, false),
        (key("k"), key("k, at"), "key", true, true),
        (plain.clone(), fresh(5), "freshness", true, false),
        (fresh(5), fresh(4), "freshness", true, false),
    ];
    for (old, new, what, backward, forward) in cases {
        check(&old, &new, what, backward, forward);
    }
}

#[test]
fn columns_come_and_go() {
    let plain = contract("", "", "");
    let more = |rest: &str| contract(&format!("  - {{name: a, physicalType: int8{rest}}}\n"), "", "");
    let breaks = |old: &Contract, new: &Contract, compatibility| {
        compare(old, new, compatibility).iter().map(|change| change.what.clone()).collect::<Vec<_>>()
    };
    use Compatibility::{Backward, Forward, Full, None};
    assert!(breaks(&plain, &more(""), Full).is_empty());
    assert_eq!(breaks(&plain, &more(", required: true"), Backward), ["column_added"]);
    assert!(breaks(&plain, &more(", required: true"), Forward).is_empty());
    assert_eq!(breaks(&more(""), &plain, Backward), ["column_removed"]);
    assert_eq!(breaks(&more(""), &plain, Forward), ["column_removed"]);
    assert!(breaks(&more(""), &plain, None).is_empty());
    let open = contract("", "  customProperties: [{property: additionalColumns, value: true}]\n", "");
    assert!(breaks(&more(""), &open, Backward).is_empty());
    // What readers do not know they ignore.
    assert!(breaks(&plain, &open, Full).is_empty());
    assert_eq!(breaks(&open, &plain, Full), ["additionalColumns"]);
    assert_eq!(breaks(&open, &plain, Backward), ["additionalColumns"]);
    let other = Contract::parse("apiVersion: v3.1.0\nid: t\nschema: [{name: t, properties: [{name: at, physicalType: 'timestamp(us, UTC)'}, {name: k, physicalType: int64}]}]").unwrap();
    assert_eq!(diff(&plain, &other).iter().map(|change| change.what.as_str()).collect::<Vec<_>>(), ["column_moved"]);
    assert!(diff(&plain, &plain).is_empty());
}
