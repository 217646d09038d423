use super::*;

const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A";

fn parse(text: &str) -> Result<Rules> {
    Rules::parse(Path::new("rights.toml"), text)
}

fn digest(token: &str) -> String {
    crate::token::hex(&sha256(token.as_bytes()))
}

#[test]
fn reads_users_tokens_and_rights() {
    let rules = parse(&format!(
        "[user.ada]\npassword = \"{HASH}\"\n[token.ci]\nsha256 = [\"{}\", \"{}\"]\n[token.idle]\nsha256 = \"{}\"\n\
         [rights.ada]\n\"*\" = [\"read\", \"write\"]\nhr = []\n[rights.ci]\n\"eu-*\" = [\"read\"]\n\
         [rights.anonymous]\npublic = [\"read\"]\n",
        digest("new"),
        digest("old"),
        digest("idle"),
    ))
    .expect("valid");
    assert_eq!(rules.counts(), (1, 3));
    let ada = &rules.user("ada").expect("a user").caller;
    assert!(ada.may(Right::Write, "eu") && !ada.may(Right::Read, "hr") && !ada.may_everywhere(Right::Admin));
    for token in ["new", "old"] {
        let (ci, _) = rules.of_token(&Secret::new(token)).expect("a token");
        assert_eq!(ci.name(), "ci");
        assert!(ci.may(Right::Read, "eu-1") && !ci.may(Right::Write, "eu-1") && !ci.may(Right::Read, "us"));
    }
    let (idle, _) = rules.of_token(&Secret::new("idle")).expect("a token");
    assert!(Right::TABLE.iter().all(|(right, _)| !idle.may(*right, "eu")), "no rights without a section");
    assert!(rules.anonymous().expect("let in").may(Right::Read, "public"));
    for token in ["", "New", "new ", &digest("new")] {
        assert!(rules.of_token(&Secret::new(token)).is_none(), "{token}");
    }
}

#[test]
fn an_empty_file_knows_nobody() {
    let rules = parse("").expect("valid");
    assert!(rules.anonymous().is_none() && rules.any_user().is_none() && rules.counts() == (0, 0));
}

#[test]
fn one_name_may_have_a_password_and_a_token() {
    let text = format!(
        "[user.ada]\npassword = \"{HASH}\"\n[token.ada]\nsha256 = \"{}\"\n[rights.ada]\neu = [\"read\"]\n",
        digest("t")
    );
    let rules = parse(&text).expect("valid");
    assert!(rules.user("ada").expect("a user").caller.may(Right::Read, "eu"));
    assert!(rules.of_token(&Secret::new("t")).expect("a token").0.may(Right::Read, "eu"));
}

#[test]
fn a_session_ends_with_the_credentials_of_its_login() {
    let of = |password: &str| parse(&format!("[user.ada]\npassword = \"{password}\"\n")).expect("valid");
    let rules = of(HASH);
    let session = Session { name: "ada".into(), proof: rules.user("ada").expect("a user").proof() };
    assert_eq!(rules.of_session(&session).expect("known").name(), "ada");
    assert!(of(&HASH.replace("c29tZXNhbHQ", "c29tZXNhbHR")).of_session(&session).is_none(), "another password");
    assert!(parse("").expect("valid").of_session(&session).is_none(), "taken out");

    let tokens = |token: &str| parse(&format!("[token.ci]\nsha256 = \"{}\"\n", digest(token))).expect("valid");
    let (caller, proof) = tokens("t").of_token(&Secret::new("t")).expect("a token");
    let session = Session { name: caller.name().into(), proof };
    assert!(tokens("t").of_session(&session).is_some() && tokens("u").of_session(&session).is_none());
}

#[test]
fn s5_what_is_not_understood_is_refused_with_its_line_and_no_value() {
    let twice = format!("[token.a]\nsha256 = \"{0}\"\n[token.b]\nsha256 = \"{0}\"", digest("t"));
    let known = format!("[token.a]\nsha256 = \"{}\"\n", digest("t"));
    for (text, line, part) in [
        ("[users.ada]\n", 1, "`users` is no section"),
        ("\nuser = \"canary\"", 2, "type string"),
        ("[user]\nada = \"canary\"", 2, "type string"),
        ("[user.ada]\n", 1, "no `password`"),
        ("[user.ada]\npassword = \"canary\"", 2, "`password` is no hash"),
        ("[user.ada]\npassword = 7", 2, "type integer"),
        (&format!("[user.ada]\npassword = \"{HASH}\"\ntoken = \"canary\""), 3, "`token` is no key of a user"),
        (&format!("[user.anonymous]\npassword = \"{HASH}\""), 1, "`anonymous` can be the name of no caller"),
        (&format!("[user.\"a:b\"]\npassword = \"{HASH}\""), 1, "can be the name of no caller"),
        (&format!("[user.\"\"]\npassword = \"{HASH}\""), 1, "can be the name of no caller"),
        ("[token.ci]\nsha256 = \"canary\"", 2, "64 hexadecimal digits"),
        ("[token.ci]\nsha256 = []", 2, "0 hashes"),
        ("[token.ci]\nsha256 = [7]", 2, "64 hexadecimal digits"),
        ("[token.ci]\n", 1, "no `sha256`"),
        (&twice, 4, "twice"),
        ("[rights.ada]\neu = [\"read\"]", 1, "nobody who is known"),
        (&format!("{known}[rights.a]\n\"e*u\" = [\"read\"]"), 4, "`e*u` is no namespace"),
        (&format!("{known}[rights.a]\n\"eu/prices\" = [\"read\"]"), 4, "is no namespace"),
        (&format!("{known}[rights.a]\neu = \"canary\""), 4, "type string"),
        (&format!("{known}[rights.a]\neu = [\"canary\"]"), 4, "this is no right"),
        (&format!("{known}[rights.a]\neu = [\"Read\"]"), 4, "this is no right"),
        (&format!("{known}[rights.a]\neu = [\"read\"]\neu = [\"write\"]"), 5, "no TOML"),
        ("[user.ada\n", 1, "no TOML"),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(
            (error.code(), error.place()),
            (codes::CONFIG_INVALID, Some(&*format!("rights.toml, line {line}"))),
            "{text}"
        );
        let shown = error.to_string();
        assert!(shown.contains(part) && !shown.contains("canary"), "{text}: {shown}");
    }
}
