use std::path::Path;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn file(text: &str) -> Result<Option<file::ConfigFile>> {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("airlane.toml");
    std::fs::write(&path, text).expect("write");
    let mut file = file::load(Some(&path), &Environment::default())?;
    if let Some(file) = &mut file {
        file.path = "airlane.toml".into();
    }
    Ok(file)
}

fn origin(sources: &Sources, key: &str) -> String {
    let (_, all) = ServerSettings::resolve(sources).expect("resolve");
    let resolved = all.iter().find(|resolved| resolved.setting.key == key).expect(key);
    format!("{} from {}", resolved.value.clone().unwrap_or("nothing".into()), resolved.origin)
}

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let mut sources = Sources { environment: environment(&[("HOME", "/home/ada")]), ..Sources::default() };
    assert_eq!(origin(&sources, "port"), "8815 from default");
    assert_eq!(origin(&sources, "port_file"), "nothing from default");
    assert_eq!(origin(&sources, "data_dir"), "\"/home/ada/.local/share/airlane\" from default");
    sources.file = file("# comment\nport = 1\nlog = \"debug\"\n").expect("file");
    assert_eq!(origin(&sources, "port"), "1 from airlane.toml, line 2");
    sources.environment = environment(&[("AIRLANE_PORT", "2"), ("AIRLANE_LISTEN", ""), ("XDG_DATA_HOME", "/data")]);
    assert_eq!(origin(&sources, "port"), "2 from variable AIRLANE_PORT");
    assert_eq!(origin(&sources, "listen"), "\"127.0.0.1\" from default");
    assert_eq!(origin(&sources, "data_dir"), "\"/data/airlane\" from default");
    sources.flags.insert("port".into(), "3".into());
    assert_eq!(origin(&sources, "port"), "3 from flag --port");
    assert_eq!(origin(&sources, "log"), "\"debug\" from airlane.toml, line 3");
}

#[test]
fn a_wrong_value_is_refused_with_its_place() {
    for (key, text) in [
        ("port", "70000"),
        ("port", "-1"),
        ("listen", "localhost"),
        ("insecure", "yes"),
        ("drain_timeout", "10"),
        ("body_bytes_max", "1KiB"),
        ("header_bytes_max", "8"),
        ("header_list_bytes_max", "2MiB"),
        ("log_format", "xml"),
    ] {
        let sources = Sources { flags: [(key.to_owned(), text.to_owned())].into(), ..Sources::default() };
        let error = ServerSettings::resolve(&sources).expect_err(text);
        assert_eq!(error.code(), codes::CONFIG_INVALID);
        assert_eq!(error.place(), Some(format!("flag --{}", key.replace('_', "-")).as_str()));
        assert!(error.message().contains(text) && error.message().contains("expected"), "{error}");
    }
    let sources = Sources { file: file("\n\nport = \"x\"").expect("file"), ..Sources::default() };
    let error = ServerSettings::resolve(&sources).expect_err("x");
    assert_eq!(error.place(), Some("airlane.toml, line 3"));
}

#[test]
fn an_unknown_key_is_refused_with_the_near_names() {
    let error = file("port = 1\ndata-dir = \"x\"\n").expect_err("unknown");
    assert_eq!((error.code(), error.message()), (codes::CONFIG_INVALID, "`data-dir` is no setting"));
    assert!(error.place().expect("place").ends_with("airlane.toml, line 2"), "{error}");
    assert_eq!(error.hint_text(), Some("did you mean `data_dir`?"));
    let error = file("zzz = 1\n").expect_err("unknown");
    assert!(error.hint_text().expect("hint").starts_with("valid keys: listen, port,"), "{error}");
    let error = file("port = [1]\n").expect_err("a list");
    assert!(error.message().contains("array"), "{error}");
    let error = file("port = \n").expect_err("no TOML");
    assert!(error.place().expect("place").ends_with("line 1"), "{error}");
}

#[test]
fn a_file_that_was_asked_for_must_exist() {
    let missing = Path::new("/nonexistent/airlane.toml");
    let error = file::load(Some(missing), &Environment::default()).expect_err("missing");
    assert_eq!(error.code(), codes::FILE_FAILED);
    let error = file::load(None, &environment(&[("AIRLANE_CONFIG", "/nonexistent/x")])).expect_err("missing");
    assert_eq!(error.place(), Some("/nonexistent/x"));
    let found = file::load(None, &environment(&[("XDG_CONFIG_HOME", "/nonexistent")])).expect("none is fine");
    assert!(found.is_none());
}

#[test]
fn what_is_printed_can_be_read_again() {
    let sources = Sources {
        flags: [("port".to_owned(), "0".to_owned()), ("port_file".to_owned(), "/tmp/\"p\"".to_owned())].into(),
        environment: environment(&[("HOME", "/h"), ("AIRLANE_DRAIN_TIMEOUT", "90s")]),
        ..Sources::default()
    };
    let (_, all) = ServerSettings::resolve(&sources).expect("resolve");
    let printed = print::toml(&all);
    let again = Sources { file: file(&printed).expect("readable"), ..Sources::default() };
    let (_, read) = ServerSettings::resolve(&again).expect("resolve");
    let values = |all: &[Resolved]| all.iter().map(|r| r.value.clone()).collect::<Vec<_>>();
    assert_eq!(values(&read), values(&all), "{printed}");
    assert!(printed.contains("# variable AIRLANE_DRAIN_TIMEOUT"), "{printed}");
    let json = print::json(&all);
    assert_eq!(json["port"], serde_json::json!({ "value": 0, "origin": "flag --port" }));
    assert_eq!(json["unix_socket"], serde_json::json!({ "value": null, "origin": "default" }));
}

#[test]
fn every_setting_has_a_manual_with_a_default() {
    for setting in ServerSettings::TABLE.iter().chain(ClientSettings::TABLE) {
        assert!(setting.manual().contains("Default: "), "{}", setting.key);
        assert!(!setting.summary().is_empty() && setting.summary().len() < 100, "{}", setting.key);
    }
}
