//! Which files of a folder become which tables.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use airlane_format::{Format, Packing};
use airlane_model::{Error, Result, TableName, codes};

/// The files of a folder that become tables, and those that do not.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) tables: BTreeMap<TableName, PathBuf>,
    /// Files of a known format whose path is no table name, with the reason.
    pub(super) skipped: Vec<Error>,
}

/// Looks through a folder and its subfolders. Hidden files and folders, files of other formats and links to folders
/// are left out.
///
/// # Errors
/// `file_failed` for a folder that cannot be read; `file_invalid` when two files give the same table.
pub(super) fn scan(root: &Path) -> Result<Files> {
    let mut files = Files::default();
    let mut folders = vec![(root.to_owned(), Vec::new())];
    while let Some((folder, namespaces)) = folders.pop() {
        let failed = |error: io::Error| {
            Error::new(codes::FILE_FAILED, format!("the folder cannot be read: {error}"))
                .at(folder.display().to_string())
                .source(error)
        };
        let mut entries =
            std::fs::read_dir(&folder).and_then(|list| list.collect::<Result<Vec<_>, _>>()).map_err(failed)?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if entry.file_type().map_err(failed)?.is_dir() {
                let mut namespaces = namespaces.clone();
                namespaces.push(entry.file_name().to_string_lossy().into_owned());
                folders.push((path, namespaces));
            } else if path.is_file() && Format::of_path(&path).is_some() {
                files.add(&namespaces, path)?;
            }
        }
    }
    Ok(files)
}

impl Files {
    fn add(&mut self, namespaces: &[String], path: PathBuf) -> Result<()> {
        let (unpacked, _) = Packing::split(&path);
        let stem = unpacked.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = namespaces.iter().chain([&stem]).map(String::as_str).collect::<Vec<_>>().join("/");
        let table = match TableName::parse(&name) {
            Ok(table) => table,
            Err(error) => {
                let message = format!("the file is skipped: {}", error.message());
                let error = Error::new(codes::TABLE_NAME_INVALID, message).at(path.display().to_string());
                self.skipped.push(error.hint("rename the file, or put it under another name with `airlane put`"));
                return Ok(());
            }
        };
        if let Some(other) = self.tables.get(&table) {
            return Err(Error::new(codes::FILE_INVALID, format!("two files give the table `{table}`"))
                .at(format!("{} and {}", other.display(), path.display()))
                .hint("rename one of them, or move it out of the folder"));
        }
        self.tables.insert(table, path);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("folder");
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            std::fs::write(path, "a\n1\n").expect("write");
        }
        folder
    }

    #[test]
    fn paths_become_names() {
        let folder = folder(&[
            "cities.csv",
            "eu/prices.2026.parquet",
            "eu/de/x.arrow",
            "events.json.gz",
            ".hidden.csv",
            ".git/y.csv",
            "notes.txt",
            "default/z.csv",
            "a b.csv",
        ]);
        let files = scan(folder.path()).expect("scan");
        let names: Vec<_> = files.tables.keys().map(TableName::as_str).collect();
        assert_eq!(names, ["cities", "eu/de/x", "eu/prices.2026", "events", "z"]);
        assert_eq!(files.skipped.len(), 1);
        assert!(files.skipped[0].place().expect("place").ends_with("a b.csv"));
    }

    #[test]
    fn two_files_of_one_name_are_refused() {
        for files in [["a.csv", "a.parquet"], ["default/a.csv", "a.csv"]] {
            let folder = folder(&files);
            let error = scan(folder.path()).expect_err("twice");
            assert_eq!((error.code(), error.message()), (codes::FILE_INVALID, "two files give the table `a`"));
        }
        let error = scan(Path::new("/nonexistent")).expect_err("missing");
        assert_eq!(error.code(), codes::FILE_FAILED);
    }
}
