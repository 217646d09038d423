use airlane_model::codes;

use super::*;

fn document(columns: &str, rest: &str) -> String {
    format!(
        "apiVersion: v3.1.0\nkind: DataContract\nid: t\nversion: 1.2.3\nstatus: active\nschema:\n- name: prices\n{rest}  properties:\n{columns}"
    )
}

fn refused(columns: &str, rest: &str) -> String {
    let document = document(columns, rest);
    let error = Contract::parse(&document).expect_err(&document);
    assert_eq!(error.code(), codes::CONTRACT_INVALID);
    assert!(error.place().is_some_and(|place| place.starts_with("line ")), "{error}");
    error.to_string()
}

#[test]
fn a_document_is_understood_and_given_back() {
    let text = document(
        "  - name: id\n    logicalType: integer\n    primaryKey: true\n    primaryKeyPosition: 2\n    logicalTypeOptions: {format: i32, minimum: 1, exclusiveMaximum: 100}\n\
         \x20 - name: day # kept\n    logicalType: date\n    primaryKey: true\n    primaryKeyPosition: 1\n    logicalTypeOptions: {format: dd.MM.yyyy}\n\
         \x20 - name: price\n    logicalType: number\n    physicalType: DECIMAL(12, 4)\n    customProperties:\n    - {property: unit, value: USD/share}\n    - {property: unitScale, value: 1000}\n\
         \x20 - name: side\n    physicalType: varchar(5)\n    unique: true\n    quality:\n    - {metric: invalidValues, mustBe: 0, arguments: {validValues: [buy, sell]}}\n    - {metric: nullValues, mustBeLessThan: 5, unit: percent}\n    - {type: text, description: Somebody looked at it}\n\
         \x20 - name: tags\n    logicalType: array\n    items: {logicalType: object, properties: [{name: k, logicalType: string, required: true}]}\n",
        "  x-ours: {b: 1, a: 2}\n  quality:\n  - {metric: rowCount, mustBeBetween: [1, 10]}\n  - {metric: duplicateValues, mustBe: 0, arguments: {properties: [side, price]}}\n  - {type: sql, query: SELECT 1, mustBe: 1}\n",
    ) + "slaProperties:\n- {property: freshness, value: 2, unit: h, element: prices.day}\n";
    let contract = Contract::parse(&text).unwrap();
    assert_eq!(contract.to_yaml(), text);
    assert_eq!((contract.name(), contract.version()), ("t", Some("1.2.3")));
    let table = contract.table();
    assert_eq!(table.primary_key(), ["day", "id"]);
    let side = table.column("side").unwrap();
    assert_eq!(side.length_max, Some(5));
    assert_eq!(side.values.as_ref().unwrap().texts, ["buy", "sell"]);
    assert_eq!(side.counted.len(), 1);
    let price = table.column("price").unwrap();
    assert_eq!((price.unit(), price.unit_scale()), (Some("USD/share"), Some("1000")));
    assert!(table.column("id").unwrap().is_required());
    assert_eq!(table.freshness.as_ref().unwrap().age_max, Duration::from_secs(7200));
    assert_eq!(table.keys.len(), 3);
    assert_eq!(table.rows.len(), 1);
    let names: Vec<&str> = table.not_checked().iter().map(|one| one.rule.as_str()).collect();
    assert_eq!(names, ["Somebody looked at it", "sql"]);
    let written: Vec<String> = table.columns().iter().map(|column| crate::types::write(column.data_type())).collect();
    assert_eq!(written, ["int32", "date32", "decimal128(12, 4)", "string", "list<struct<\"k\": string not null>>"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let column = |rest: &str| format!("  - name: a\n    logicalType: integer\n{rest}");
    let text = |rest: &str| format!("  - name: a\n    logicalType: string\n{rest}");
    let cases = [
        (column("  - name: a\n    logicalType: string\n"), "", "`a` appears twice"),
        ("  - name: a\n    logicalType: integr\n".to_owned(), "", "`integr` is no logical type"),
        ("  - name: a\n    physicalType: int33\n".to_owned(), "", "unknown type"),
        ("  - name: a\n".to_owned(), "", "neither `logicalType` nor"),
        (column("    logicalTypeOptions: {minimum: 5, maximum: 4}\n"), "", "impossible range"),
        (column("    logicalTypeOptions: {exclusiveMinimum: 5, maximum: 5}\n"), "", "impossible range"),
        (column("    logicalTypeOptions: {minimum: 0.5}\n"), "", "`0.5` is no value of the type int64"),
        (column("    logicalTypeOptions: {minimum: 1, exclusiveMinimum: 1}\n"), "", "both given"),
        (column("    logicalTypeOptions: {multipleOf: 0}\n"), "", "not above 0"),
        (column("    logicalTypeOptions: {maxLength: 3}\n"), "", "has no length"),
        (column("    logicalTypeOptions: {pattern: a}\n"), "", "has no pattern"),
        (text("    logicalTypeOptions: {minLength: 3, maxLength: 2}\n"), "", "impossible range"),
        (text("    logicalTypeOptions: {pattern: '('}\n"), "", "no regular expression"),
        (text("    logicalTypeOptions: {pattern: '(?=a)'}\n"), "", "look-around"),
        (text("    logicalTypeOptions: {pattern: 'a{1000}{1000}{1000}'}\n"), "", "no regular expression"),
        (text("    logicalTypeOptions: {minimum: a}\n"), "", "has no range"),
        (column("    enum: [{value: x}]\n"), "", "`x` is no value of the type int64"),
        (column("    enum: []\n"), "", "no values"),
        (column("    quality: [{metric: nullValues, mustBeBetween: [3, 1]}]\n"), "", "impossible range"),
        (column("    quality: [{metric: nullValues, mustBeLessThan: 0}]\n"), "", "impossible range"),
        (column("    required: maybe\n"), "", "neither true nor false"),
        (
            column(""),
            "  quality: [{metric: duplicateValues, mustBe: 0, arguments: {properties: [b]}}]\n",
            "no column `b`",
        ),
        (column(""), "  customProperties: [{property: primaryKey, value: [b]}]\n", "no column `b`"),
        (column(""), "  quality: [{metric: rowCount, mustBeGreaterThan: 5, mustBeLessThan: 2}]\n", "impossible range"),
        ("  - name: a\n    physicalType: 'map<string, int8>'\n    unique: true\n".to_owned(), "", "is in a key"),
        (
            "  - name: a\n    logicalType: date\n    logicalTypeOptions: {format: qq}\n".to_owned(),
            "",
            "`qq` in the format",
        ),
        ("    []\n".to_owned(), "", "no columns"),
    ];
    for (columns, rest, expected) in cases {
        let message = refused(&columns, rest);
        assert!(message.contains(expected), "{message} lacks {expected}");
    }
}

#[test]
fn what_is_no_contract_is_refused() {
    for (text, expected) in [
        ("just text", "a contract is a mapping"),
        ("a: 1", "no `apiVersion`"),
        ("apiVersion: v2.2.2\n", "`v2.2.2` of the standard"),
        ("apiVersion: v3.0.0\nkind: Other\n", "is no contract"),
        ("apiVersion: v3.0.0\nid: x\n", "no `schema`"),
        ("apiVersion: v3.0.0\nid: x\nschema: []\n", "no objects"),
        ("apiVersion: v3.0.0\nid: x\nschema: 5\n", "expected a list"),
        ("apiVersion: v3.0.0\nschema: []\n", "neither `name` nor `id`"),
        ("apiVersion: v3.0.0\nid: x\nschema: [{name: a}, {name: b}]\n", "choose one of `a`, `b`"),
    ] {
        let error = Contract::parse(text).expect_err(text);
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(Contract::parse_bytes(b"a\xff").unwrap_err().message().contains("byte 1"));
}

#[test]
fn columns_are_bounded() {
    let mut text = String::new();
    for number in 0..=COLUMNS_MAX {
        text += &format!("  - {{name: a{number}, logicalType: date}}\n");
    }
    assert!(refused(&text, "").contains("more than 10000"));
    let wide =
        format!("struct<{}>", (0..600).map(|number| format!("\"f{number}\": int8")).collect::<Vec<_>>().join(", "));
    let text: String = (0..20).map(|number| format!("  - {{name: a{number}, physicalType: '{wide}'}}\n")).collect();
    assert!(refused(&text, "").contains("more than 10000 fields"));
    let options = |number: usize| format!("logicalTypeOptions: {{pattern: '\\w{{1,3}}{number}'}}");
    let text = |count: usize| -> String {
        (0..count)
            .map(|number| format!("  - {{name: a{number}, logicalType: string, {}}}\n", options(number)))
            .collect()
    };
    assert!(refused(&text(101), "").contains("more than 100 different patterns"));
    let text: String =
        (0..101).map(|number| format!("  - {{name: a{number}, logicalType: date, unique: true}}\n")).collect();
    assert!(refused(&text, "").contains("101 keys, more than 100"));
}

#[test]
fn what_nobody_checks_is_named() {
    let text = document(
        "  - {name: a, logicalType: array, items: {logicalType: integer, logicalTypeOptions: {minimum: 1}}, logicalTypeOptions: {uniqueItems: true}}\n\
         \x20 - {name: b, logicalType: string, logicalTypeOptions: {format: email}, relationships: [{to: x.y}]}\n\
         \x20 - {name: c, logicalType: number, logicalTypeOptions: {multipleOf: 0.1}, quality: [{metric: newest, mustBe: 1}, {metric: nullValues}]}\n",
        "  relationships: [{to: x.y}]\n",
    );
    let contract = Contract::parse(&text).unwrap();
    let names: Vec<(Option<&str>, &str)> =
        contract.table().not_checked().iter().map(|one| (one.column.as_deref(), one.rule.as_str())).collect();
    assert_eq!(
        names,
        [
            (Some("item"), "logicalTypeOptions"),
            (Some("a"), "uniqueItems"),
            (Some("b"), "format email"),
            (Some("b"), "relationships"),
            (Some("c"), "multipleOf"),
            (Some("c"), "newest"),
            (Some("c"), "nullValues"),
            (None, "relationships"),
        ]
    );
}

#[test]
fn one_of_several_tables() {
    let text = "apiVersion: v3.0.2\nid: x\nschema:\n- {name: a, properties: [{name: k, logicalType: date}]}\n- {name: b, properties: [{name: l, logicalType: time}]}\nslaProperties:\n- {property: freshness, value: 1, unit: d, element: a.k}\n";
    assert_eq!(Contract::parse_table(text, "b").unwrap().table().columns()[0].name(), "l");
    assert!(Contract::parse_table(text, "b").unwrap().table().freshness.is_none());
    assert!(Contract::parse_table(text, "a").unwrap().table().freshness.is_some());
    assert!(Contract::parse_table(text, "c").unwrap_err().to_string().contains("it has `a`, `b`"));
}
