//! The C Data Interface is for arrays of this process alone: nothing that came from a stranger passes through it, and so
//! nobody but the Python package uses it, where both of its ends are one process. Its structures are raw pointers that Arrow's
//! own notes on security forbid to take from others. The package has it from a library, and names none of it itself.

use std::path::Path;

use super::architecture::rust_files;
use crate::workspace::{Package, Result, Workspace};

const FEATURE: &str = "ffi";
/// The library that carries it between Python and Rust, and who may use that (docs/decisions/0022-the-c-boundary-of-python.md).
const LIBRARY: &str = "pyo3-arrow";
const LIBRARY_USER: &str = "airlane-python";
const LIBRARY_WORD: &str = "pyo3_arrow::ffi";
/// The names by which it is used; put together here, so that this file names none.
const WORDS: [&str; 5] = [
    concat!("arrow::", "ffi"),
    concat!("arrow_array::", "ffi"),
    concat!("arrow_data::", "ffi"),
    concat!("FFI_", "Arrow"),
    concat!("from_", "ffi"),
];

pub(crate) fn problems(workspace: &Workspace) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for package in workspace.members() {
        problems.extend(features(package));
        problems.extend(library(package));
        let folder = package.manifest_path.parent().ok_or("a manifest has no folder")?;
        for path in rust_files(folder)? {
            problems.extend(words(&path, &std::fs::read_to_string(&path)?));
        }
    }
    Ok(problems)
}

/// No member switches the feature on, neither where it names a dependency nor by a feature of its own.
fn features(package: &Package) -> Vec<String> {
    let is_arrow = |name: &str| name == "arrow" || name.starts_with("arrow-");
    let by_dependency = package.dependencies.iter().filter(|dependency| {
        is_arrow(&dependency.name) && dependency.features.iter().any(|feature| feature == FEATURE)
    });
    let by_dependency = by_dependency.map(|dependency| format!("{}/{FEATURE}", dependency.name));
    let by_feature = package.features.values().flatten().filter(|enabled| {
        enabled
            .split_once('/')
            .is_some_and(|(name, feature)| feature == FEATURE && is_arrow(name.trim_end_matches('?')))
    });
    by_dependency
        .chain(by_feature.cloned())
        .map(|feature| format!("`{}` enables `{feature}`: the C Data Interface is not used here", package.name))
        .collect()
}

fn library(package: &Package) -> Option<String> {
    let used = package.dependencies.iter().any(|dependency| dependency.name == LIBRARY);
    let message = || format!("`{}` uses {LIBRARY}; only {LIBRARY_USER} may", package.name);
    (used && package.name != LIBRARY_USER).then(message)
}

fn words(path: &Path, text: &str) -> Option<String> {
    // Of that library it is known who uses it.
    let text = text.replace(LIBRARY_WORD, "");
    let word = WORDS.iter().find(|word| text.contains(**word))?;
    Some(format!("{} names `{word}`: the C Data Interface is not used here", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(manifest: &str) -> Package {
        let text = format!(
            r#"{{"name": "p", "version": "1.0.0", "license": null, "manifest_path": "/p/Cargo.toml", "source": null, {manifest}}}"#
        );
        serde_json::from_str(&text).expect("a package, as cargo shows it")
    }

    #[test]
    fn a14_a_member_that_uses_the_c_data_interface_is_found() {
        let dependency = |name: &str, feature: &str| {
            format!(
                r#""features": {{}}, "dependencies": [{{"name": "{name}", "kind": null, "features": ["{feature}"]}}]"#
            )
        };
        let own = |enabled: &str| format!(r#""dependencies": [], "features": {{"fast": ["{enabled}"]}}"#);
        for (manifest, expected) in [
            (dependency("arrow", "ffi"), 1),
            (dependency("arrow-array", "ffi"), 1),
            (dependency("arrow-array", "chrono-tz"), 0),
            (dependency("libffi", "ffi"), 0),
            (own("arrow/ffi"), 1),
            (own("arrow-data?/ffi"), 1),
            (own("ffi"), 0),
        ] {
            assert_eq!(features(&package(&manifest)).len(), expected, "{manifest}");
        }
        let user = package(&dependency("pyo3-arrow", "default"));
        assert_eq!(library(&user), Some("`p` uses pyo3-arrow; only airlane-python may".to_owned()));
        assert_eq!(library(&Package { name: LIBRARY_USER.to_owned(), ..user }), None);
        assert_eq!(library(&package(&dependency("pyo3", "default"))), None);
        for (text, is_found) in [
            (concat!("use arrow::", "ffi::to_ffi;"), true),
            (concat!("use arrow_array::", "ffi_stream::ArrowArrayStreamReader;"), true),
            (concat!("let array = FFI_", "ArrowArray::empty();"), true),
            (concat!("unsafe { from_", "ffi(array, &schema) }"), true),
            ("use arrow_array::RecordBatch;", false),
            ("use pyo3_arrow::ffi::to_stream_pycapsule;", false),
            (concat!("use pyo3_arrow::ffi::x; use arrow::", "ffi::y;"), true),
        ] {
            assert_eq!(words(Path::new("x.rs"), text).is_some(), is_found, "{text}");
        }
    }
}
