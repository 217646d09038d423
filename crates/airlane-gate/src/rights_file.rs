//! The rights file, read again when it changes. One that cannot be taken leaves the rules as they were, and the log says
//! why.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use airlane_model::{Error, Result, codes};

use crate::file_watch::{FileWatch, Reload};
use crate::gate::Gate;
use crate::rules::Rules;

/// More is no rights file.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A rights file.
#[derive(Debug)]
pub struct RightsFile {
    path: PathBuf,
    watch: FileWatch,
}

impl RightsFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// `file_failed`; `config_invalid`, with the line.
    pub fn open(path: PathBuf) -> Result<(Self, Rules)> {
        let watch = FileWatch::new([path.clone()]);
        let rules = read(&path)?;
        Ok((Self { path, watch }, rules))
    }

    /// Keeps the rules of a gate as the file has them, for as long as this is polled.
    pub fn watch(self, gate: Gate, interval: Duration, reload: Reload) -> impl Future<Output = ()> + Send + use<> {
        let path = self.path;
        self.watch.run(interval, reload, move || take(&path, &gate))
    }
}

fn take(path: &Path, gate: &Gate) {
    let shown = path.display();
    let outcome = match read(path) {
        Ok(rules) => {
            let (users, tokens) = rules.counts();
            gate.replace(rules);
            tracing::info!(path = %shown, users, tokens, "the rights file was read again");
            "taken"
        }
        Err(error) => {
            let reason = error.to_string().replace('\n', ", ");
            tracing::error!(path = %shown, "the rights file is not taken, the rules from before go on: {reason}");
            "refused"
        }
    };
    metrics::counter!("airlane_rights_files_total", "outcome" => outcome).increment(1);
}

fn read(path: &Path) -> Result<Rules> {
    let failed = |error: std::io::Error| {
        Error::new(codes::FILE_FAILED, format!("the rights file cannot be read: {error}"))
            .at(path.display().to_string())
            .source(error)
    };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        let message = format!("the rights file has {bytes} bytes, the most is {FILE_BYTES_MAX}");
        return Err(Error::new(codes::CONFIG_INVALID, message).at(path.display().to_string()));
    }
    Rules::parse(path, &std::fs::read_to_string(path).map_err(failed)?)
}

#[cfg(test)]
mod tests {
    use airlane_model::Right;
    use http::HeaderMap;

    use super::*;
    use crate::gate::GateOptions;
    use crate::peer::Peer;
    use crate::shown::Shown;

    async fn anonymous_may(gate: &Gate, namespace: &str) -> bool {
        let admitted = gate.admit(&HeaderMap::new(), Peer::Unix, &Shown::Nothing).await;
        admitted.is_ok_and(|admitted| admitted.caller.may(Right::Read, namespace))
    }

    #[tokio::test]
    async fn a_change_is_taken_and_a_broken_file_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rights.toml");
        std::fs::write(&path, "[rights.anonymous]\na = [\"read\"]\n").expect("written");
        let (_, rules) = RightsFile::open(path.clone()).expect("a rights file");
        let gate = Gate::guarded(rules, &GateOptions::default());
        assert!(anonymous_may(&gate, "a").await);

        std::fs::write(&path, "[rights.anonymous]\nb = [\"read\"]\n").expect("written");
        take(&path, &gate);
        assert!(anonymous_may(&gate, "b").await && !anonymous_may(&gate, "a").await);

        for broken in ["[rights.anonymous]\nc = [\"raed\"]\n", "[rights"] {
            std::fs::write(&path, broken).expect("written");
            take(&path, &gate);
            assert!(anonymous_may(&gate, "b").await, "{broken}");
        }
        std::fs::remove_file(&path).expect("removed");
        take(&path, &gate);
        assert!(anonymous_may(&gate, "b").await, "gone");

        std::fs::write(&path, "").expect("written");
        take(&path, &gate);
        assert!(!anonymous_may(&gate, "b").await, "an empty file lets nobody in");
    }

    #[test]
    fn quotas_are_read_with_the_rest_and_hostile_ones_leave_those_from_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rights.toml");
        std::fs::write(&path, "[quotas.namespaces.eu]\ntables = 1\n").expect("written");
        let (_, rules) = RightsFile::open(path.clone()).expect("a rights file");
        let options = GateOptions::default();
        let gate = Gate::guarded(rules, &options);
        let tables = || options.quotas.get().of_namespace("eu").tables;
        assert_eq!(tables(), Some(1));
        std::fs::write(&path, "[quotas.namespaces.\"*\"]\ntables = 2\n").expect("written");
        take(&path, &gate);
        assert_eq!(tables(), Some(2));
        for hostile in ["tables = -1", "tables = 99999999999999999999", "rows = 3", "bytes = \"much\"", "streams = 0"] {
            std::fs::write(&path, format!("[quotas.namespaces.eu]\n{hostile}\n")).expect("written");
            take(&path, &gate);
            assert_eq!(tables(), Some(2), "{hostile}");
        }
        std::fs::write(&path, "").expect("written");
        take(&path, &gate);
        assert_eq!(tables(), None, "no line, no quota");
    }

    #[test]
    fn a_file_that_is_not_there_or_not_right_is_no_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rights.toml");
        assert_eq!(RightsFile::open(path.clone()).expect_err("none").code(), codes::FILE_FAILED);
        std::fs::write(&path, "[user]\nada = 1\n").expect("written");
        assert_eq!(RightsFile::open(path).expect_err("broken").code(), codes::CONFIG_INVALID);
    }
}
