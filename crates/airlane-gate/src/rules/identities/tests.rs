use std::path::Path;

use airlane_model::{Right, codes};

use super::*;
use crate::rules::Rules;

fn parse(text: &str) -> Result<Rules> {
    Rules::parse(Path::new("rights.toml"), text)
}

#[test]
fn reads_certificates_and_users_of_the_system() {
    let rules = parse(
        "[certificate.ingest]\nuri = \"spiffe://example.org/ingest\"\n[certificate.web]\ndns = \"web.example.org\"\n\
         [unix.backup]\nuid = 34\n[unix.root]\nuser = \"root\"\n[unix.hex]\nuid = 0x10\n\
         [rights.ingest]\neu = [\"write\"]\n[rights.backup]\n\"*\" = [\"read\"]\n",
    )
    .expect("valid");
    let name = Identity::Uri("spiffe://example.org/ingest".into());
    let Match::One(ingest) = rules.of_certificate(&[name]) else { panic!("nobody") };
    assert!(ingest.name() == "ingest" && ingest.may(Right::Write, "eu") && !ingest.may(Right::Read, "eu"));
    let by_uid = |uid| rules.of_uid(uid).map(Caller::name);
    assert_eq!([34, 0, 16, 35].map(by_uid), [Some("backup"), Some("root"), Some("hex"), None]);
    assert!(rules.of_uid(34).expect("known").may(Right::Read, "hr"));
}

#[test]
fn s4_a_section_has_one_whole_identity_and_no_pattern() {
    for (text, line, part) in [
        ("[certificate.a]\n", 1, "has no identity"),
        ("[certificate.a]\nuri = \"x:y\"\ndns = \"y\"", 3, "second identity"),
        ("[certificate.a]\ncn = \"canary\"", 2, "`cn` is no key"),
        ("[certificate.a]\ndns = [\"canary\"]", 2, "type array"),
        ("[certificate.a]\ndns = \"*.example.org\"", 2, "no DNS name"),
        ("[certificate.a]\ndns = \"\"", 2, "no DNS name"),
        ("[certificate.a]\ndns = \"a b\"", 2, "no DNS name"),
        ("[certificate.a]\ndns = \"spiffe://canary\"", 2, "no DNS name"),
        ("[certificate.a]\nuri = \"spiffe://example.org/*\"", 2, "no URI"),
        ("[certificate.a]\nuri = \"example.org\"", 2, "no URI"),
        ("[certificate.a]\nuri = \"spiffe:\"", 2, "no URI"),
        ("[certificate.a]\nuri = \"1:x\"", 2, "no URI"),
        ("[certificate.a]\nuri = \"é:x\"", 2, "no URI"),
        ("[certificate.a]\ndns = \"x\"\n[certificate.b]\ndns = \"x\"", 4, "identity is there twice"),
        ("[certificate.anonymous]\ndns = \"x\"", 1, "name of no caller"),
        ("[unix.a]\n", 1, "has no identity"),
        ("[unix.a]\nuid = 1\nuser = \"root\"", 3, "second identity"),
        ("[unix.a]\nuid = \"1000\"", 2, "type string"),
        ("[unix.a]\nuid = -1", 2, "no number of a user"),
        ("[unix.a]\nuid = 4294967295", 2, "no number of a user"),
        ("[unix.a]\nuid = 4294967296", 2, "no number of a user"),
        ("[unix.a]\nuser = \"there-is-no-such-user\"", 2, "no user of this name"),
        ("[unix.a]\nuser = \"a\\u0000b\"", 2, ""),
        ("[unix.a]\ngid = 1", 2, "`gid` is no key"),
        ("[unix.a]\nuid = 0\n[unix.b]\nuser = \"root\"", 4, "user of the system is there twice"),
    ] {
        let error = parse(text).expect_err(text);
        let place = format!("rights.toml, line {line}");
        assert_eq!((error.code(), error.place()), (codes::CONFIG_INVALID, Some(&*place)), "{text}");
        let shown = error.to_string();
        assert!(shown.contains(part) && !shown.contains("canary"), "{text}: {shown}");
    }
}
