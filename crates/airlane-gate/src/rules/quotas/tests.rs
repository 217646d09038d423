use std::path::Path;

use airlane_model::{RequestQuota, codes};

use super::*;
use crate::rules::Rules;

fn parse(text: &str) -> Result<Rules> {
    let known = "[token.ci]\nsha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"\n";
    Rules::parse(Path::new("rights.toml"), &format!("{known}{text}"))
}

#[test]
fn reads_quotas_of_namespaces_and_callers() {
    let rules = parse(
        "[quotas.namespaces.eu]\nbytes = \"10GiB\"\ntables = 1000\nstreams = 64\nputs_per_second = 100\n\
         [quotas.namespaces.\"eu-*\"]\nbytes = 4096\n[quotas.namespaces.\"*\"]\ntables = 0\n[quotas.namespaces.free]\n\
         [quotas.callers.ci]\nstreams = 16\nbytes = \"1MiB\"\ntables = 7\n[quotas.callers.anonymous]\nstreams = 1\n\
         [quotas.callers.\"*\"]\nputs_per_second = 0x14\n",
    )
    .expect("valid");
    let quotas = rules.quotas();
    let rate = NonZeroU32::new;
    let eu = quotas.of_namespace("eu");
    assert_eq!((eu.bytes, eu.tables), (Some(ByteSize::gib(10)), Some(1_000)));
    assert_eq!(eu.requests, RequestQuota { streams: rate(64), puts_per_second: rate(100) });
    assert_eq!(quotas.of_namespace("eu-1").bytes, Some(ByteSize::kib(4)));
    assert_eq!(quotas.of_namespace("eu-1").tables, None, "the line that fits best decides alone");
    assert_eq!(quotas.of_namespace("us").tables, Some(0));
    assert_eq!(quotas.of_namespace("free"), Quota::default());
    assert_eq!(quotas.of_caller("ci").requests, RequestQuota { streams: rate(16), puts_per_second: None });
    assert_eq!((quotas.of_caller("ci").bytes, quotas.of_caller("ci").tables), (Some(ByteSize::mib(1)), Some(7)));
    assert_eq!(quotas.of_caller("anonymous").requests.streams, rate(1));
    assert_eq!(quotas.of_caller("ada").requests, RequestQuota { streams: None, puts_per_second: rate(20) });
    assert_eq!(**parse("").expect("valid").quotas(), Quotas::default(), "no line, no quota");
    assert_eq!(**parse("[quotas.namespaces]\n[quotas.callers]\n").expect("valid").quotas(), Quotas::default());
}

#[test]
fn s5_hostile_quotas_are_refused_with_their_line_and_a_hint() {
    for (text, line, part) in [
        ("[quotas.namespaces.eu]\nbytes = -1", 4, "`bytes` is no number from 0"),
        ("[quotas.namespaces.eu]\nbytes = \"-1\"", 4, "`bytes` is no size"),
        ("[quotas.namespaces.eu]\nbytes = \"canary\"", 4, "`bytes` is no size"),
        ("[quotas.namespaces.eu]\nbytes = \"99999999999TiB\"", 4, "`bytes` is no size"),
        ("[quotas.namespaces.eu]\nbytes = 1.5", 4, "type float"),
        ("[quotas.namespaces.eu]\ntables = -1", 4, "`tables` is no number from 0"),
        ("[quotas.namespaces.eu]\ntables = 99999999999999999999999999", 4, "`tables` is no number"),
        ("[quotas.namespaces.eu]\ntables = 1000000001", 4, "`tables` is no number"),
        ("[quotas.namespaces.eu]\ntables = \"canary\"", 4, "type string"),
        ("[quotas.namespaces.eu]\nstreams = 0", 4, "`streams` is no number from 1"),
        ("[quotas.namespaces.eu]\nstreams = 4294967297", 4, "`streams` is no number from 1"),
        ("[quotas.namespaces.eu]\nputs_per_second = 0", 4, "`puts_per_second` is no number from 1"),
        ("[quotas.namespaces.eu]\nputs_per_second = 1000001", 4, "`puts_per_second` is no number"),
        ("[quotas.namespaces.eu]\nputs_per_second = inf", 4, "type float"),
        ("[quotas.namespaces.eu]\nrows = 1", 4, "`rows` is no quota of a namespace"),
        ("[quotas.namespaces.\"e*u\"]\ntables = 1", 3, "is no namespace"),
        ("[quotas.namespaces.\"eu/prices\"]\ntables = 1", 3, "is no namespace"),
        ("[quotas.namespaces]\neu = 7", 4, "type integer"),
        ("[quotas]\nnamespaces = 7", 4, "type integer"),
        ("[quotas.namespace.eu]\ntables = 1", 3, "`namespace` is no section of quotas"),
        ("[quotas.callers.ci]\nbytes = -1", 4, "`bytes` is no number from 0"),
        ("[quotas.callers.ci]\ntables = 1.5", 4, "type float"),
        ("[quotas.callers.ci]\nstream = 1", 4, "`stream` is no quota of a caller"),
        ("[quotas.callers.ada]\nstreams = 1", 3, "nobody who is known"),
        ("[quotas.callers.\"a*\"]\nstreams = 1", 3, "nobody who is known"),
        ("[quotas.callers.ci]\nstreams = 1\n[quotas.callers.ci]\nstreams = 2", 5, "no TOML"),
        ("[quota.callers.ci]\nstreams = 1", 3, "[quotas.callers.NAME]"),
    ] {
        let error = parse(text).expect_err(text);
        let place = format!("rights.toml, line {line}");
        assert_eq!((error.code(), error.place()), (codes::CONFIG_INVALID, Some(&*place)), "{text}");
        let shown = error.to_string();
        assert!(shown.contains(part) && !shown.contains("canary"), "{text}: {shown}");
        assert!(error.hint_text().is_some() || shown.contains("expected") || part == "no TOML", "{text}: {shown}");
    }
}
