use super::*;
use crate::name::TableName;

fn change(rules: &[(&str, &str)]) -> Result<RetentionChange> {
    rules.iter().try_fold(RetentionChange::default(), |all, (rule, text)| all.join(RetentionChange::of(rule, text)?))
}

fn retention(rules: &[(&str, &str)]) -> Retention {
    change(rules).expect("valid").apply(Retention::default())
}

#[test]
fn a_change_names_some_rules_and_keeps_the_others() {
    let before = retention(&[("ttl", "1h"), ("versions", "3")]);
    assert_eq!(before.to_string(), "ttl=1h versions=3");
    let after = change(&[("ttl", "none"), ("idle", "10m"), ("pinned", "true")]).expect("valid").apply(before);
    assert_eq!(after.to_string(), "idle=10m versions=3 pinned=true");
    let none = change(&[("idle", "none"), ("versions", "none"), ("pinned", "false")]).expect("valid").apply(after);
    assert!(none.is_none());
}

#[test]
fn a_change_is_written_as_it_is_read() {
    let rules =
        [("ttl", "1h"), ("idle", "none"), ("versions", "3"), ("window", "30d"), ("reads", "1"), ("pinned", "false")];
    let all = change(&rules).expect("valid");
    let texts: Vec<_> = all.rules().collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(rule, text)| (*rule, text.as_str())).collect();
    assert_eq!(texts, rules);
    assert_eq!(change(&texts).expect("valid"), all);
    assert_eq!(RetentionChange::default().rules().count(), 0);
}

#[test]
fn reads_are_counted_as_long_as_the_table_may_go() {
    let once = retention(&[("reads", "1")]);
    assert_eq!(once.counted_reads().map(std::num::NonZeroU64::get), Some(1));
    assert_eq!(retention(&[("reads", "1"), ("pinned", "true")]).counted_reads(), None);
    assert_eq!(change(&[("reads", "none")]).expect("valid").apply(once).counted_reads(), None);
}

#[test]
fn rows_go_as_long_as_the_table_may() {
    let window = retention(&[("window", "90m")]);
    assert_eq!(window.rows_window(), "90m".parse().ok());
    assert_eq!(window.to_string(), "window=90m");
    assert_eq!(retention(&[("window", "90m"), ("pinned", "true")]).rows_window(), None);
    assert!(change(&[("window", "none")]).expect("valid").apply(window).is_none());
}

#[test]
fn refuses_what_is_no_rule() {
    for (rule, text, code) in [
        ("ttl", "", codes::OPTION_INVALID),
        ("ttl", "1", codes::OPTION_INVALID),
        ("ttl", "0s", codes::OPTION_INVALID),
        ("idle", "-1h", codes::OPTION_INVALID),
        ("idle", "99999999999999999d", codes::OPTION_INVALID),
        ("versions", "0", codes::OPTION_INVALID),
        ("versions", "-3", codes::OPTION_INVALID),
        ("versions", "3.5", codes::OPTION_INVALID),
        ("pinned", "yes", codes::OPTION_INVALID),
        ("tll", "1h", codes::OPTION_INVALID),
        ("window", "0s", codes::OPTION_INVALID),
        ("window", "always", codes::OPTION_INVALID),
        ("reads", "0", codes::OPTION_INVALID),
        ("reads", "once", codes::OPTION_INVALID),
    ] {
        let error = RetentionChange::of(rule, text).expect_err(text);
        assert_eq!(error.code(), code, "{rule} {text}");
        assert!(error.hint_text().is_some(), "{error}");
    }
    for rules in
        [&[("ttl", "1h"), ("ttl", "2h")], &[("ttl", "1h"), ("ttl", "none")], &[("pinned", "true"), ("pinned", "false")]]
    {
        assert_eq!(change(rules).expect_err("a contradiction").code(), codes::OPTION_INVALID, "{rules:?}");
    }
    assert!(change(&[("ttl", "1h"), ("ttl", "60m")]).is_ok(), "the same, said twice");
}

#[test]
fn the_pattern_that_fits_best_decides_alone() {
    let text = "* idle=7d; eu/* ttl=1h; eu/raw-* versions=2; eu/raw-fixed pinned=true; default/tmp* ttl=1m; eu/free*";
    let defaults: RetentionDefaults = text.parse().expect("valid");
    for (name, expected) in [
        ("us/prices", "idle=7d"),
        ("eu/prices", "ttl=1h"),
        ("eu/raw-3", "versions=2"),
        ("eu/raw-fixed", "pinned=true"),
        ("eu/free/x", ""),
        ("tmp3", "ttl=1m"),
        ("tmp/x", "idle=7d"),
        ("prices", "idle=7d"),
    ] {
        assert_eq!(defaults.of(&TableName::parse(name).expect("a name")).to_string(), expected, "{name}");
    }
    assert_eq!(defaults.to_string().parse::<RetentionDefaults>().expect("what is printed is read"), defaults);
    assert!("".parse::<RetentionDefaults>().expect("none").is_empty());
}

#[test]
fn refuses_defaults_that_are_none() {
    for text in [
        "eu/*/x ttl=1h",
        "../x ttl=1h",
        "/* ttl=1h",
        "eu//* ttl=1h",
        "a ttl",
        "a ttl=",
        "a window=",
        "a ttl=1h; a idle=1h",
        "-* ttl=1h",
        "a ttl=1h ttl=2h",
    ] {
        assert!(text.parse::<RetentionDefaults>().is_err(), "{text}");
    }
}
