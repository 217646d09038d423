//! What `user` and `token` share: sections of the rights file.

use airlane_gate::is_caller_name;
use airlane_model::{Error, Result, codes};

/// Refuses what can be the name of no caller.
pub(super) fn check_name(name: &str) -> Result<()> {
    if is_caller_name(name) {
        return Ok(());
    }
    Err(Error::new(codes::OPTION_INVALID, format!("`{}` can be the name of no caller", name.escape_debug()))
        .hint("use letters, digits, `_`, `.`, `-` and `@`, at most 64; `anonymous` and `local` mean somebody already"))
}

/// A section with one key, and what is to be added beside it.
pub(super) fn section(kind: &str, name: &str, key: &str, value: &str) -> String {
    let is_bare = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let name = if is_bare { name.to_owned() } else { format!("\"{name}\"") };
    format!("\n[{kind}.{name}]\n{key} = \"{value}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_toml_whatever_the_name() {
        for name in ["ada", "ada.l@example.org", "9", "a-b_c"] {
            check_name(name).expect(name);
            let table: toml::Table = section("user", name, "password", "$x").parse().expect("TOML");
            assert_eq!(table["user"][name]["password"].as_str(), Some("$x"));
        }
        for name in ["", "anonymous", "a b", "a\"b", "é"] {
            assert_eq!(check_name(name).expect_err(name).code(), codes::OPTION_INVALID);
        }
    }
}
