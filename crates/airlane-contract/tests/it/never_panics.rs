//! Whatever comes, a checker answers.

use std::sync::Arc;

use airlane_contract::{CheckOptions, Checker, Contract, Mode};
use airlane_model::Timestamp;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::DataType;
use proptest::prelude::*;
use proptest::sample::select;

use crate::types::plain;

/// Texts that are values of many types.
fn texts() -> impl Strategy<Value = Vec<Option<String>>> {
    let text = prop_oneof![
        "-?[0-9]{1,20}(\\.[0-9]{1,12})?".prop_map(|text| text),
        "\\PC{0,8}".prop_map(|text| text),
        select(vec![
            "true",
            "NaN",
            "inf",
            "-0",
            "1e400",
            "2026-02-29",
            "2026-03-29T02:30:00",
            "9999-12-31T23:59:59Z",
            "10:11:12.123456789",
            ""
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(prop::option::of(text), 0..20)
}

fn column(texts: &[Option<String>], data_type: &DataType) -> ArrayRef {
    let texts: StringArray = texts.iter().cloned().collect();
    match arrow_cast::cast(&texts, data_type) {
        Ok(column) => column,
        Err(_) => arrow_array::new_null_array(data_type, texts.len()),
    }
}

fn mode() -> impl Strategy<Value = Mode> {
    select(vec![Mode::Reject, Mode::Coerce, Mode::Quarantine, Mode::CoerceQuarantine])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_checker_answers(
        texts in texts(),
        from in plain(),
        to in plain(),
        same in any::<bool>(),
        rules in select(vec![
            "", ", required: true", ", unique: true", ", primaryKey: true",
            ", logicalTypeOptions: {minimum: 0, maximum: 100}", ", logicalTypeOptions: {exclusiveMinimum: 5}",
            ", logicalTypeOptions: {multipleOf: 7}", ", logicalTypeOptions: {pattern: '^[0-9]+$', maxLength: 3}",
            ", logicalTypeOptions: {minimum: 2000-01-01}", ", enum: [5, 7]", ", enum: ['true']",
            ", quality: [{metric: missingValues, mustBeLessThan: 3, arguments: {missingValues: [null, 5]}}]",
            ", quality: [{metric: duplicateValues, mustBeLessThan: 3}]",
        ]),
        mode in mode(),
        cut in any::<prop::sample::Index>(),
    ) {
        let to = if same { from.clone() } else { to };
        let quoted = serde_json::to_string(&airlane_contract::type_name(&to)).unwrap();
        let document = format!("apiVersion: v3.1.0\nid: t\nschema: [{{name: t, properties: [{{name: a, physicalType: {quoted}{rules}}}]}}]");
        // Not every rule goes with every type.
        let Ok(contract) = Contract::parse(&document) else { return Ok(()) };
        let column = column(&texts, &from);
        let batch = RecordBatch::try_from_iter_with_nullable([("a", column, true)]).unwrap();
        let Ok(mut checker) = Checker::new(&contract, batch.schema_ref(), CheckOptions::new("t", mode, 3)) else { return Ok(()) };
        let cut = cut.index(batch.num_rows() + 1);
        for part in [batch.slice(0, cut), batch.slice(cut, batch.num_rows() - cut)] {
            let Ok(checked) = checker.check(&part) else { return Ok(()) };
            let aside = checked.rejected.as_ref().map_or(0, RecordBatch::num_rows);
            prop_assert_eq!(checked.good.num_rows() + aside, part.num_rows());
            prop_assert_eq!(checked.good.schema(), checker.output_schema().clone());
            // What passed once passes again.
            let mut again = Checker::new(&contract, checked.good.schema_ref(), CheckOptions::new("t", Mode::Reject, 3)).unwrap();
            prop_assert_eq!(again.check(&checked.good).unwrap().good, checked.good);
        }
        let report = checker.finish(Timestamp::from_micros(0)).unwrap().report;
        prop_assert_eq!(report.rows + report.rows_rejected, batch.num_rows() as u64);
    }

    #[test]
    fn documents_are_answered(text in "\\PC{0,200}", cut in any::<prop::sample::Index>(), put in "[\\[\\]{}:,&*!|>'\"%@`?#\n -]{0,6}") {
        let _ = Contract::parse(&text).is_ok();
        let names: Vec<&str> = airlane_contract::builtin_names().collect();
        let whole = airlane_contract::builtin(names[cut.index(names.len())]).unwrap().unwrap();
        let whole = whole.to_yaml();
        let at = (0..=cut.index(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
        let broken = format!("{}{put}{}", &whole[..at], &whole[at..]);
        if let Ok(contract) = Contract::parse(&broken) {
            prop_assert_eq!(contract.to_yaml(), broken);
        }
        let _ = Arc::new(Contract::parse(&whole[..at]));
    }
}
