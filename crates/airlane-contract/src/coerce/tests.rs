use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::types::*;
use arrow_array::*;
use arrow_schema::TimeUnit;

use super::*;

/// Casts one text to another type, through `from`; `None` where the value is lost.
fn cast(text: &str, from: &str, to: &str) -> Option<String> {
    let (from, to) = (crate::types::read(from).unwrap(), crate::types::read(to).unwrap());
    let column = arrow_cast::cast(&StringArray::from(vec![Some(text), None]), &from).unwrap();
    assert!(column.is_valid(0), "{text} is no {from}");
    let cooked = plan(&from, &to, None).unwrap().run(&column).unwrap();
    assert_eq!(cooked.column.data_type(), &to);
    assert!(cooked.column.is_null(1) && cooked.bad.as_ref().is_none_or(|bad| !bad.value(1)));
    if cooked.bad.is_some_and(|bad| bad.value(0)) {
        return None;
    }
    Some(arrow_cast::display::array_value_to_string(&cooked.column, 0).unwrap())
}

#[test]
fn values_survive_or_are_lost() {
    let cases = [
        ("5", "int8", "int64", Some("5")),
        ("300", "int64", "int8", None),
        ("-1", "int64", "uint64", None),
        ("9007199254740992", "int64", "float64", Some("9007199254740992.0")),
        ("9007199254740993", "int64", "float64", None),
        ("16777217", "int32", "float32", None),
        ("12.34", "float64", "decimal(12, 4)", Some("12.3400")),
        ("0.30000000000000004", "float64", "decimal(12, 4)", None),
        ("12.34", "decimal(12, 4)", "float64", Some("12.34")),
        ("12.30", "decimal(12, 2)", "decimal(12, 1)", Some("12.3")),
        ("12.34", "decimal(12, 2)", "decimal(12, 1)", None),
        ("12.00", "decimal(12, 2)", "int8", Some("12")),
        ("12.50", "decimal(12, 2)", "int8", None),
        ("999.00", "decimal(12, 2)", "decimal(4, 2)", None),
        ("7", "int16", "decimal(5, 2)", Some("7.00")),
        ("1.5", "float64", "int32", None),
        ("-0", "float64", "int32", Some("0")),
        ("2", "float64", "int32", Some("2")),
        ("0.1", "float64", "float32", None),
        ("0.5", "float64", "float16", Some("0.5")),
        ("NaN", "float64", "float32", Some("NaN")),
        ("NaN", "float64", "int32", None),
        ("2026-01-02", "date32", "timestamp(ms)", Some("2026-01-02T00:00:00")),
        ("2026-01-02T03:00:00", "timestamp(ms)", "date32", None),
        ("2026-01-02T03:00:00.001", "timestamp(ms)", "timestamp(s)", None),
        ("2026-01-02T03:00:00", "timestamp(s)", "timestamp(ns)", Some("2026-01-02T03:00:00")),
        ("2500-01-02T03:00:00", "timestamp(s)", "timestamp(ns)", None),
        ("2026-07-01T12:00:00", "timestamp(s)", "timestamp(us, Europe/Berlin)", Some("2026-07-01T12:00:00+02:00")),
        // An hour that the clocks leave out, and one that they have twice.
        ("2026-03-29T02:30:00", "timestamp(s)", "timestamp(us, Europe/Berlin)", None),
        ("x", "string", "large_string", Some("x")),
        ("x", "string_view", "string", Some("x")),
        ("5", "string", "int8", Some("5")),
        ("500", "string", "int8", None),
        (" 5", "string", "int8", None),
        ("1.50", "string", "decimal(5, 1)", Some("1.5")),
        ("1.55", "string", "decimal(5, 1)", None),
        ("1,5", "string", "float64", None),
        ("1.5", "large_string", "float64", Some("1.5")),
        ("inf", "string", "float64", None),
        ("TRUE", "string", "bool", Some("true")),
        ("yes", "string", "bool", None),
        ("2026-02-03", "string", "date32", Some("2026-02-03")),
        ("2026-02-30", "string", "date32", None),
        ("10:11:12", "string", "time32(s)", Some("10:11:12")),
        ("10:11:12.5", "string", "time32(s)", None),
        ("2026-02-03T04:05:06+02:00", "string", "timestamp(us, UTC)", Some("2026-02-03T02:05:06Z")),
        ("2026-02-03 04:05:06", "string", "timestamp(us, Europe/Berlin)", Some("2026-02-03T04:05:06+01:00")),
        ("2026-02-03T04:05:06.0000001Z", "string", "timestamp(us, UTC)", None),
        ("x", "string", "dictionary(int8)<string>", Some("x")),
        ("x", "dictionary(int8)<string>", "string_view", Some("x")),
        ("7", "dictionary(int8)<string>", "int64", Some("7")),
        ("x", "dictionary(int8)<string>", "int64", None),
        ("x", "dictionary(int8)<string>", "dictionary(int32)<large_string>", Some("x")),
    ];
    for (text, from, to, expected) in cases {
        assert_eq!(cast(text, from, to).as_deref(), expected, "{text} from {from} to {to}");
    }
}

#[test]
fn what_would_mean_something_else_is_not_cast() {
    for (from, to) in [
        ("int64", "string"),
        ("int64", "timestamp(us)"),
        ("bool", "int8"),
        ("int8", "bool"),
        ("timestamp(us, UTC)", "timestamp(us)"),
        ("date32", "timestamp(us, UTC)"),
        ("string", "binary"),
        ("binary", "string"),
        ("duration(s)", "int64"),
        ("list<int8>", "list<int16>"),
        ("string", "list<string>"),
        ("fixed_binary(4)", "fixed_binary(5)"),
    ] {
        let (from, to) = (crate::types::read(from).unwrap(), crate::types::read(to).unwrap());
        assert!(plan(&from, &to, None).is_none(), "{from} to {to}");
    }
}

#[test]
fn formats_say_how_texts_are_read() {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let berlin = DataType::Timestamp(TimeUnit::Millisecond, Some("Europe/Berlin".into()));
    let cases = [
        ("dd.MM.yyyy HH:mm", "03.02.2026 04:05", &berlin, Some("2026-02-03T04:05:00+01:00")),
        ("dd.MM.yyyy HH:mm", "2026-02-03 04:05", &berlin, None),
        ("dd.MM.yyyy HH:mm", "29.03.2026 02:30", &berlin, None),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2026-02-03T04:05:06.789+02:00", &utc, Some("2026-02-03T02:05:06.789Z")),
        ("yyyyMMdd", "20260203", &utc, Some("2026-02-03T00:00:00Z")),
        ("yyyyMMdd", "20260203x", &utc, None),
        ("M/d/yy", "2/3/26", &DataType::Date32, Some("2026-02-03")),
        ("hh:mm a", "04:05 PM", &DataType::Time32(TimeUnit::Second), Some("16:05:00")),
        ("d MMM yyyy", "3 Feb 2026", &DataType::Date32, Some("2026-02-03")),
    ];
    for (format, text, to, expected) in cases {
        let format = TimeFormat::read(format).unwrap();
        let column = shared(StringArray::from(vec![text]));
        let cooked = plan(&DataType::Utf8, to, Some(&format)).unwrap().run(&column).unwrap();
        let lost = cooked.bad.is_some_and(|bad| bad.value(0));
        let got = (!lost).then(|| arrow_cast::display::array_value_to_string(&cooked.column, 0).unwrap());
        assert_eq!(got.as_deref(), expected, "{text} as {}", format.text());
    }
    assert!(TimeFormat::read("yyyy 'open").is_err());
    assert!(TimeFormat::read("100%yyyy").is_ok());
}

#[test]
fn a_value_that_no_row_has_is_not_lost() {
    let mut builder = StringDictionaryBuilder::<Int8Type>::new();
    builder.append_value("5");
    builder.append_value("x");
    let column = shared(builder.finish()).slice(0, 1);
    let cooked = plan(column.data_type(), &DataType::Int8, None).unwrap().run(&column).unwrap();
    assert!(cooked.bad.is_none());
    assert_eq!(cooked.column.as_primitive::<Int8Type>().values(), &[5]);
}

#[test]
fn a_dictionary_index_too_small_is_an_error() {
    let texts: StringArray = (0..300).map(|number| Some(number.to_string())).collect();
    let to = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let made = plan(&DataType::Utf8, &to, None).unwrap().run(&shared(texts));
    assert!(made.is_err());
}
