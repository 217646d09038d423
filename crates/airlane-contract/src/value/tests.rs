use super::*;

fn whole(text: &str, data_type: &DataType) -> Option<i128> {
    match read(text, data_type) {
        Ok(Value::Whole(whole)) => whole.to_i128(),
        _ => None,
    }
}

#[test]
fn decimals_are_exact() {
    let cases = [
        ("1.50", 1, Some(15)),
        ("1.05", 1, None),
        ("-0", 3, Some(0)),
        ("1e3", 0, Some(1000)),
        ("12.5e1", 0, Some(125)),
        ("1200", -2, Some(12)),
        ("1250", -2, None),
        (".5", 2, Some(50)),
        ("5.", 0, Some(5)),
        ("00012", 0, Some(12)),
        ("+7", 0, Some(7)),
        ("", 0, None),
        (".", 0, None),
        ("1_0", 0, None),
        ("0x1", 0, None),
        ("1e99", 0, None),
        ("1e99999", 0, None),
    ];
    for (text, scale, expected) in cases {
        assert_eq!(decimal(text, scale).and_then(|wide| wide.to_i128()), expected, "{text} at {scale}");
    }
}

#[test]
fn values_are_of_their_type() {
    assert_eq!(whole("127", &DataType::Int8), Some(127));
    assert_eq!(whole("128", &DataType::Int8), None);
    assert_eq!(whole("-1", &DataType::UInt64), None);
    assert_eq!(whole("0.5", &DataType::Int32), None);
    assert_eq!(whole("999.99", &DataType::Decimal128(5, 2)), Some(99_999));
    assert_eq!(whole("1000", &DataType::Decimal128(5, 2)), None);
    assert_eq!(whole("1970-01-02", &DataType::Date32), Some(1));
    assert_eq!(whole("1970-01-02", &DataType::Date64), Some(86_400_000));
    assert_eq!(whole("1970-02-30", &DataType::Date32), None);
    let berlin = DataType::Timestamp(TimeUnit::Second, Some("Europe/Berlin".into()));
    assert_eq!(whole("1970-01-01T01:00:00", &berlin), Some(0));
    assert_eq!(whole("1970-01-01T01:00:00Z", &berlin), Some(3600));
    assert_eq!(whole("1970-01-01T00:00:00.5Z", &berlin), None);
    assert_eq!(read("inf", &DataType::Float64).ok(), None);
    assert_eq!(read("0.1", &DataType::Float32).ok(), Some(Value::Float(f64::from(0.1_f32))));
    assert!(read("x", &DataType::Null).is_err());
}
