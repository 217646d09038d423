//! `ARCHITECTURE.md` against the folders and manifests: the map stays true because this reads it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::c_data;
use crate::workspace::{Package, Result, Workspace};

const MAP: &str = "ARCHITECTURE.md";
/// The crate that may hold `unsafe` code; the lint of the workspace denies it to all that do not allow it again.
const UNSAFE_CRATE: &str = "airlane-segment";
const UNSAFE_LINT: &str = concat!("unsafe", "_code");
/// Only tests may use it.
const TESTKIT: &str = "airlane-testkit";

pub(crate) fn problems(workspace: &Workspace) -> Result<Vec<String>> {
    let map = workspace.read(MAP)?;
    let mut problems = folders(workspace, &map)?;
    problems.extend(layers(&Layers::parse(&map)?, &crates(workspace)));
    problems.extend(manifests(workspace)?);
    problems.extend(lint_overrides(workspace)?);
    problems.extend(c_data::problems(workspace)?);
    Ok(problems)
}

/// The folders whose members have layers. Folders of `crates` are called as their crates, those of `clients` by their languages.
const LAYERED: [&str; 2] = ["crates", "clients"];

fn crates(workspace: &Workspace) -> Vec<&Package> {
    let is_layered =
        |package: &Package| LAYERED.iter().any(|top| package.manifest_path.starts_with(workspace.path(top)));
    workspace.members().filter(|package| is_layered(package)).collect()
}

/// Every folder of the map exists, and every folder of the project is on the map.
fn folders(workspace: &Workspace, map: &str) -> Result<Vec<String>> {
    let named = map_rows(map);
    let mut problems = twice(&named);
    for folder in &named {
        if !workspace.path(folder).is_dir() {
            problems.push(format!("{MAP} names the folder `{folder}`, which does not exist"));
        }
    }
    let mut present = tracked_folders(workspace)?;
    present.retain(|folder| !LAYERED.contains(&folder.as_str()));
    for package in crates(workspace) {
        let folder = package.manifest_path.parent().ok_or("a manifest has no folder")?;
        present.push(folder.strip_prefix(&workspace.root)?.display().to_string());
    }
    for folder in present {
        if !named.contains(&folder) {
            problems.push(format!("the folder `{folder}` is not on the map of {MAP}"));
        }
    }
    Ok(problems)
}

/// The folders of the first column of the map's table.
fn map_rows(map: &str) -> Vec<String> {
    let cells = map.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    cells.map(|(folder, _)| folder.to_owned()).collect()
}

/// A folder that is named again would be described twice, and one of the two would go stale.
fn twice(named: &[String]) -> Vec<String> {
    let again = named.iter().enumerate().filter(|(index, folder)| named[..*index].contains(folder));
    again.map(|(_, folder)| format!("{MAP} names the folder `{folder}` more than once")).collect()
}

/// The top-level folders that git knows, without hidden ones.
fn tracked_folders(workspace: &Workspace) -> Result<Vec<String>> {
    let mut git = std::process::Command::new("git");
    let output = git.args(["ls-tree", "-d", "--name-only", "HEAD"]).current_dir(&workspace.root).output()?;
    if !output.status.success() {
        return Err("`git ls-tree` failed: the architecture check needs the repository".into());
    }
    let names = String::from_utf8(output.stdout)?;
    Ok(names.lines().filter(|name| !name.starts_with('.')).map(str::to_owned).collect())
}

/// The order of the layers: one line per layer, top first, crates of one layer separated by `|`.
#[derive(Debug)]
struct Layers {
    lines: Vec<Vec<String>>,
}

impl Layers {
    fn parse(map: &str) -> Result<Self> {
        let block = map.split_once("```layers\n").and_then(|(_, rest)| rest.split_once("```"));
        let (block, _) = block.ok_or_else(|| format!("{MAP} has no ```layers block"))?;
        let line = |line: &str| line.split('|').map(|name| name.trim().to_owned()).collect();
        Ok(Self { lines: block.lines().filter(|text| !text.trim().is_empty()).map(line).collect() })
    }

    fn positions(&self) -> BTreeMap<&str, usize> {
        let numbered = self.lines.iter().enumerate();
        numbered.flat_map(|(number, names)| names.iter().map(move |name| (name.as_str(), number))).collect()
    }
}

/// A crate uses only crates of the layers above its own.
fn layers(layers: &Layers, crates: &[&Package]) -> Vec<String> {
    let positions = layers.positions();
    let mut problems = Vec::new();
    for name in positions.keys() {
        if !crates.iter().any(|package| package.name == *name) {
            problems.push(format!("the layers of {MAP} name `{name}`, which is no crate"));
        }
    }
    for package in crates {
        let Some(own) = positions.get(package.name.as_str()) else {
            problems.push(format!("the crate `{}` is in no layer of {MAP}", package.name));
            continue;
        };
        // Tests may reach down: what they use does not shape the crate.
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev")) {
            let allowed = positions.get(dependency.name.as_str()).is_none_or(|position| position < own);
            if !allowed || dependency.name == TESTKIT {
                problems
                    .push(format!("`{}` may not use `{}` (see the layers of {MAP})", package.name, dependency.name));
            }
        }
    }
    problems
}

/// A folder has the name of its crate, and every crate takes the lints of the workspace.
fn manifests(workspace: &Workspace) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for package in workspace.members() {
        let folder = package.manifest_path.parent().ok_or("a manifest has no folder")?;
        let in_crates = folder.starts_with(workspace.path("crates"));
        if in_crates && folder.file_name().is_none_or(|name| name != package.name.as_str()) {
            problems.push(format!("the crate `{}` lies in {}", package.name, folder.display()));
        }
        let manifest: toml::Table = std::fs::read_to_string(&package.manifest_path)?.parse()?;
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        if lints != Some(true) {
            problems.push(format!("`{}` does not take the lints of the workspace", package.name));
        }
    }
    Ok(problems)
}

/// No file outside one crate switches the lint against `unsafe` off.
fn lint_overrides(workspace: &Workspace) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for package in workspace.members().filter(|package| package.name != UNSAFE_CRATE) {
        let folder = package.manifest_path.parent().ok_or("a manifest has no folder")?;
        for path in rust_files(folder)? {
            if std::fs::read_to_string(&path)?.contains(UNSAFE_LINT) {
                problems.push(format!("{} allows `unsafe`; only {UNSAFE_CRATE} may", path.display()));
            }
        }
    }
    Ok(problems)
}

/// Every file of Rust below a folder.
pub(super) fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    const TEXT: &str = "| `crates/a` | x |\n| `docs` | y |\n```layers\na\nb | c\nd\n```\n";

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
            features: Vec::new(),
        };
        Package {
            name: name.to_owned(),
            version: semver::Version::new(1, 0, 0),
            license: None,
            manifest_path: format!("/crates/{name}/Cargo.toml").into(),
            source: None,
            dependencies: uses.iter().map(dependency).collect(),
            features: BTreeMap::new(),
        }
    }

    #[test]
    fn reads_the_map() {
        assert_eq!(map_rows(TEXT), ["crates/a", "docs"]);
        assert_eq!(Layers::parse(TEXT).expect("parses").lines, [vec!["a"], vec!["b", "c"], vec!["d"]]);
        assert!(Layers::parse("no block").is_err());
    }

    #[test]
    fn a_folder_stands_on_the_map_once() {
        assert_eq!(twice(&map_rows(TEXT)), Vec::<String>::new());
        let found = twice(&map_rows(&format!("{TEXT}| `fuzz` | x |\n| `docs` | z |\n")));
        assert_eq!(found, ["ARCHITECTURE.md names the folder `docs` more than once"]);
    }

    #[test]
    fn a_crate_uses_only_what_is_above_it() {
        let order = Layers::parse(TEXT).expect("parses");
        let check = |uses: &[(&str, Option<&str>)]| {
            let packages = [package("a", &[]), package("b", uses), package("c", &[]), package("d", &[("serde", None)])];
            layers(&order, &packages.iter().collect::<Vec<_>>())
        };
        assert_eq!(check(&[("a", None), ("d", Some("dev"))]), Vec::<String>::new());
        assert_eq!(check(&[("c", None)]).len(), 1, "of the same layer");
        assert_eq!(check(&[("d", None)]).len(), 1, "of a lower layer");
        assert_eq!(check(&[("d", Some("build"))]).len(), 1);
    }

    #[test]
    fn every_crate_has_a_layer() {
        let order = Layers::parse(TEXT).expect("parses");
        let packages = [package("a", &[]), package("b", &[]), package("c", &[]), package("e", &[])];
        let found = layers(&order, &packages.iter().collect::<Vec<_>>());
        assert_eq!(found.len(), 2, "`d` is no crate and `e` has no layer: {found:?}");
    }
}
