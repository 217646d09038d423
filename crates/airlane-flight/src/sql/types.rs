//! The types of SQL, as drivers list them (`CommandGetXdbcTypeInfo`).

use std::sync::OnceLock;

use airlane_model::{Error, Result, codes};
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType};

/// Name, kind, and precision: digits, or bytes where that is not of numbers.
const TYPES: [(&str, XdbcDataType, Option<i32>); 12] = [
    ("BOOLEAN", XdbcDataType::XdbcBit, Some(1)),
    ("TINYINT", XdbcDataType::XdbcTinyint, Some(3)),
    ("SMALLINT", XdbcDataType::XdbcSmallint, Some(5)),
    ("INT", XdbcDataType::XdbcInteger, Some(10)),
    ("BIGINT", XdbcDataType::XdbcBigint, Some(19)),
    ("REAL", XdbcDataType::XdbcReal, Some(24)),
    ("DOUBLE", XdbcDataType::XdbcDouble, Some(53)),
    ("DECIMAL", XdbcDataType::XdbcDecimal, Some(38)),
    ("VARCHAR", XdbcDataType::XdbcVarchar, None),
    ("BYTEA", XdbcDataType::XdbcVarbinary, None),
    ("DATE", XdbcDataType::XdbcDate, Some(10)),
    ("TIMESTAMP", XdbcDataType::XdbcTimestamp, Some(29)),
];

/// All types, made once.
///
/// # Errors
/// `internal`.
pub(super) fn types() -> Result<&'static XdbcTypeInfoData> {
    static ALL: OnceLock<XdbcTypeInfoData> = OnceLock::new();
    if let Some(types) = ALL.get() {
        return Ok(types);
    }
    let mut all = XdbcTypeInfoDataBuilder::new();
    for (name, kind, precision) in TYPES {
        let is_text = matches!(kind, XdbcDataType::XdbcVarchar);
        let is_number = precision.is_some() && !matches!(kind, XdbcDataType::XdbcDate | XdbcDataType::XdbcTimestamp);
        let is_decimal = matches!(kind, XdbcDataType::XdbcDecimal);
        let quote = (!is_number).then(|| "'".to_owned());
        all.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type: kind,
            sql_data_type: kind,
            column_size: precision,
            literal_prefix: quote.clone(),
            literal_suffix: quote,
            create_params: is_decimal.then(|| vec!["precision".to_owned(), "scale".to_owned()]),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: is_text,
            searchable: Searchable::Full,
            unsigned_attribute: is_number.then_some(false),
            fixed_prec_scale: false,
            auto_increment: is_number.then_some(false),
            local_type_name: Some(name.to_owned()),
            minimum_scale: is_decimal.then_some(0),
            maximum_scale: is_decimal.then_some(38),
            num_prec_radix: is_number.then_some(10),
            ..XdbcTypeInfo::default()
        });
    }
    let made = all.build().map_err(|error| Error::new(codes::INTERNAL, "types cannot be told").source(error))?;
    Ok(ALL.get_or_init(|| made))
}
