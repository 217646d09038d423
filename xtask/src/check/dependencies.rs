//! `deny.toml` against `Cargo.lock`: version floors, single copies and licences.
//!
//! The file is written for cargo-deny, which also looks advisories up. This reads the part of it that must hold on
//! every machine, so that the gate needs no further tool:
//!
//! - `bans.deny`: `{ crate = "h2@<0.4.16" }` forbids versions, `{ crate = "http", deny-multiple-versions = true }`
//!   forbids a second copy;
//! - `licenses.allow`: what the licence expression of every package must be satisfied with.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::workspace::{Package, Result, Workspace};

const FILE: &str = "deny.toml";

#[derive(Deserialize)]
struct Rules {
    bans: Bans,
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Ban {
    #[serde(rename = "crate")]
    spec: String,
    #[serde(default)]
    deny_multiple_versions: bool,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

pub(crate) fn problems(workspace: &Workspace) -> Result<Vec<String>> {
    let rules: Rules = toml::from_str(&workspace.read(FILE)?)?;
    let mut problems = Vec::new();
    for ban in &rules.bans.deny {
        problems.extend(broken(ban, &workspace.packages)?);
    }
    problems.extend(licences(&rules.licenses.allow, &workspace.packages));
    Ok(problems)
}

pub(crate) fn cargo_deny_is_installed() -> bool {
    std::process::Command::new("cargo-deny").arg("--version").output().is_ok_and(|output| output.status.success())
}

fn broken(ban: &Ban, packages: &[Package]) -> Result<Vec<String>> {
    let (name, range) = ban.spec.split_once('@').unwrap_or((&ban.spec, "*"));
    let range = semver::VersionReq::parse(range).map_err(|error| format!("{FILE}: `{}`: {error}", ban.spec))?;
    let versions = packages.iter().filter(|package| package.name == name).map(|package| &package.version);
    let versions: BTreeSet<_> = versions.filter(|version| range.matches(version)).collect();
    let shown = || versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Ok(if ban.deny_multiple_versions {
        let several = versions.len() > 1;
        several.then(|| format!("`{name}` is there more than once: {} ({})", shown(), ban.reason)).into_iter().collect()
    } else {
        let banned = !versions.is_empty();
        banned.then(|| format!("`{name}` {} is forbidden: {}", shown(), ban.reason)).into_iter().collect()
    })
}

fn licences(allowed: &[String], packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages.iter().filter(|package| package.source.is_some()) {
        let expression = package.license.as_deref().unwrap_or_default();
        if !satisfied(expression, allowed) {
            problems.push(format!("`{}` {} has the licence `{expression}`", package.name, package.version));
        }
    }
    problems
}

/// Whether an SPDX expression can be satisfied with the allowed licences. `/` is an old way to write `OR`.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    // `WITH` binds a licence to its exception; the two are one entry of the list.
    let joined = spaced.replace(" WITH ", "~");
    let mut words = joined.split_whitespace().peekable();
    let satisfied = alternatives(&mut words, allowed);
    satisfied && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn alternatives(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut satisfied = conjunction(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        satisfied |= conjunction(words, allowed);
    }
    satisfied
}

fn conjunction(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut satisfied = term(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        satisfied &= term(words, allowed);
    }
    satisfied
}

fn term(words: &mut Words<'_>, allowed: &[String]) -> bool {
    match words.next() {
        Some("(") => {
            let satisfied = alternatives(words, allowed);
            satisfied & (words.next() == Some(")"))
        }
        Some(licence) => allowed.iter().any(|allowed| *allowed == licence.replace('~', " WITH ")),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, license: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.parse().expect("a version"),
            license: Some(license.to_owned()),
            manifest_path: "/x/Cargo.toml".into(),
            source: Some("registry".to_owned()),
            dependencies: Vec::new(),
            features: Default::default(),
        }
    }

    fn check(rules: &str, packages: &[Package]) -> usize {
        let bans: Bans = toml::from_str(rules).expect("rules");
        bans.deny.iter().map(|ban| broken(ban, packages).expect("a range").len()).sum()
    }

    #[test]
    fn g4_a_version_below_a_floor_is_found() {
        let rules = r#"deny = [{ crate = "h2@<0.4.16", reason = "empty DATA frames" }]"#;
        assert_eq!(check(rules, &[package("h2", "0.4.15", "MIT")]), 1);
        assert_eq!(check(rules, &[package("h2", "0.4.16", "MIT"), package("http", "0.4.1", "MIT")]), 0);
    }

    #[test]
    fn a_second_copy_is_found() {
        let rules = r#"deny = [{ crate = "http", deny-multiple-versions = true }]"#;
        assert_eq!(check(rules, &[package("http", "1.5.0", "MIT"), package("http", "0.2.12", "MIT")]), 1);
        assert_eq!(check(rules, &[package("http", "1.5.0", "MIT")]), 0);
    }

    #[test]
    fn licences_are_read_as_expressions() {
        let allowed = ["MIT".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
        for (expression, expected) in [
            ("MIT", true),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR GPL-3.0) AND MIT", true),
            ("(GPL-3.0 AND MIT) OR (GPL-3.0 OR MIT)", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("", false),
            ("MIT MIT", false),
            ("(MIT", false),
        ] {
            assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
        }
    }
}
