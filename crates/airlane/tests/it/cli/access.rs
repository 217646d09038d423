//! The command line with credentials.

use std::path::Path;
use std::process::Output;

use airlane_testkit::ServerProcess;

use super::{airlane, binary, fail, succeed};

/// Runs a command that must succeed, and answers its stdout and stderr.
fn both(folder: &Path, arguments: &[&str]) -> (String, String) {
    let Output { status, stdout, stderr } = airlane(folder).args(arguments).output().expect("the command starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{stderr}");
    (stdout.into_owned(), stderr.into_owned())
}

/// What stands at the end of the last line.
fn last_word(text: &str) -> &str {
    text.trim_end().rsplit(' ').next().expect("a word")
}

#[test]
fn what_user_and_token_print_lets_their_callers_in() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path();
    let (of_user, note) = both(path, &["user", "ada", "--generate"]);
    let password = last_word(&note).to_owned();
    let (of_token, note) = both(path, &["token", "ci"]);
    let token = last_word(&note).to_owned();
    let rights = "[rights.ada]\n\"*\" = [\"read\", \"write\"]\n[rights.ci]\neu = [\"read\"]\n";
    std::fs::write(path.join("rights.toml"), format!("{of_user}{of_token}{rights}")).expect("written");
    for secret in [&password, &token] {
        assert!(!format!("{of_user}{of_token}").contains(secret.as_str()), "the file has hashes only");
    }

    let file = path.join("rights.toml").display().to_string();
    let server = ServerProcess::start(binary(), &path.join("data"), ["--rights-file", &file]);
    std::fs::write(path.join("n.csv"), "n\n1\n").expect("written");
    let command = |arguments: &[&str]| {
        let mut command = airlane(path);
        command.args(arguments).env("AIRLANE_URL", server.url());
        command
    };
    for name in ["eu/n", "us/n"] {
        let put = &["put", name, "n.csv", "--user", "ada"];
        assert_eq!(succeed(command(put).env("AIRLANE_PASSWORD", &password)), format!("{name}@1\n"));
    }
    let listed = succeed(command(&["ls", "--json"]).env("AIRLANE_TOKEN", &token));
    assert!(listed.contains("eu/n") && !listed.contains("us/n"), "{listed}");

    for (arguments, variable, exit, words) in [
        (&["ls"][..], None, 21, "has none"),
        (&["ls", "--token", "wrong"], None, 21, "no such token"),
        (&["ls", "--user", "ada"], Some(("AIRLANE_PASSWORD", "wrong horse")), 21, "another password"),
        (&["ls", "--user", "ada"], None, 10, "AIRLANE_PASSWORD"),
        (&["get", "us/n"], Some(("AIRLANE_TOKEN", &*token)), 11, "there is no table `us/n`"),
        (&["put", "eu/n", "n.csv"], Some(("AIRLANE_TOKEN", &*token)), 22, "`ci` may not write"),
        (&["rm", "eu/n"], Some(("AIRLANE_TOKEN", &*token)), 22, "`ci` may not write"),
        (&["rm", "us/n"], Some(("AIRLANE_TOKEN", &*token)), 11, "there is no table `us/n`"),
    ] {
        let mut command = command(arguments);
        command.envs(variable);
        let (code, stderr) = fail(&mut command);
        assert_eq!(code, exit, "{arguments:?}: {stderr}");
        assert!(stderr.contains(words) && stderr.contains("hint: "), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_password_comes_from_stdin_and_never_from_the_command_line() {
    let folder = tempfile::tempdir().expect("folder");
    let with_stdin = |text: &str| {
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(format!("printf '{text}' | {} user ada", binary().display()));
        shell.current_dir(folder.path());
        shell
    };
    let section = succeed(&mut with_stdin("correct horse\\n"));
    assert!(section.starts_with("\n[user.ada]\npassword = \"$argon2id$v=19$m=19456,t=2,p=1$"), "{section}");
    for text in ["", "short\\n"] {
        let (code, stderr) = fail(&mut with_stdin(text));
        assert!(code == 10 && stderr.contains("at least 8 characters") && !stderr.contains("short"), "{stderr}");
    }
    let (code, _) = fail(airlane(folder.path()).args(["user", "ada", "--password", "correct horse"]));
    assert_eq!(code, 2, "there is no such flag");
}

#[test]
fn an_address_that_others_reach_needs_rights_that_can_be_read() {
    let folder = tempfile::tempdir().expect("folder");
    let rights = folder.path().join("rights.toml");
    let serve = || {
        let mut command = airlane(folder.path());
        command
            .args(["serve", "--listen", "0.0.0.0", "--port", "0", "--data-dir", "data", "--rights-file"])
            .arg(&rights);
        command
    };
    let (code, stderr) = fail(&mut serve());
    assert!(code == 13 && stderr.contains("rights.toml"), "{stderr}");
    std::fs::write(&rights, "[user.ada]\npasswort = \"canary\"\n").expect("written");
    let (code, stderr) = fail(&mut serve());
    assert!(code == 10 && stderr.contains("rights.toml, line 2") && !stderr.contains("canary"), "{stderr}");

    std::fs::write(&rights, "").expect("written");
    let path = rights.display().to_string();
    let arguments = ["--listen", "0.0.0.0", "--rights-file", &path];
    let server = ServerProcess::start(binary(), &folder.path().join("data"), arguments);
    let (code, stderr) = fail(airlane(folder.path()).args(["ls", "--url", &server.url()]));
    assert_eq!(code, 21, "{stderr}");
    let (status, stderr) = server.stop();
    assert!(status.success() && stderr.contains("rights.toml") && !stderr.contains("warning"), "{stderr}");
}
