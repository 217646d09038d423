//! The real binary as a server, for tests that kill it.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// `airlane serve` on a free port of this machine. Dropping it kills the process.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    port: u16,
    stderr: Option<JoinHandle<String>>,
    _folder: TempDir,
}

impl ServerProcess {
    /// Starts `binary serve` (in a test `env!("CARGO_BIN_EXE_airlane")`) with a data folder and further arguments, and
    /// waits until it listens. Variables and files of settings do not reach it.
    ///
    /// # Panics
    /// When it ends instead of listening, with what it said.
    pub fn start<A: AsRef<OsStr>>(binary: &Path, data_dir: &Path, arguments: impl IntoIterator<Item = A>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let started = Self::launch(command(binary, folder.path()), folder, data_dir, arguments);
        started.unwrap_or_else(|said| panic!("the server {said}"))
    }

    /// As [`start`](Self::start), with variables of the environment.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_in<A: AsRef<OsStr>>(
        variables: &[(&str, &str)],
        binary: &Path,
        data_dir: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = command(binary, folder.path());
        command.envs(variables.iter().copied());
        let started = Self::launch(command, folder, data_dir, arguments);
        started.unwrap_or_else(|said| panic!("the server {said}"))
    }

    /// As [`start`](Self::start), by a program that takes the binary and its arguments after its own and becomes the
    /// server, such as `strace -D`.
    ///
    /// # Errors
    /// When it ends instead of listening: how, and what it said.
    pub fn start_by(launcher: &[&str], binary: &Path, data_dir: &Path) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [program, arguments @ ..] = launcher else { panic!("a launcher is a program") };
        let mut command = command(Path::new(program), folder.path());
        command.args(arguments).arg(binary);
        Self::launch(command, folder, data_dir, [] as [&str; 0])
    }

    fn launch<A: AsRef<OsStr>>(
        mut command: Command,
        folder: TempDir,
        data_dir: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self, String> {
        let port_file = folder.path().join("port");
        let mut child = command
            .arg("serve")
            .args(["--port", "0", "--data-dir"])
            .arg(data_dir)
            .arg("--port-file")
            .arg(&port_file)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        // Read all the time, so that a full pipe never stops the server.
        let mut pipe = child.stderr.take().expect("stderr is a pipe");
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = pipe.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let port = loop {
            if let Ok(text) = std::fs::read_to_string(&port_file) {
                break text.trim().parse().expect("a port");
            }
            if let Some(status) = child.try_wait().expect("the server can be asked") {
                return Err(format!("ended with {status}: {}", stderr.join().unwrap_or_default()));
            }
            std::thread::sleep(POLL_INTERVAL);
        };
        Ok(Self { child, port, stderr: Some(stderr), _folder: folder })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, as clients take it.
    pub fn url(&self) -> String {
        format!("grpc://127.0.0.1:{}", self.port)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the process ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the server can be asked")
    }

    /// Kills the process as a crash would, without any chance to finish something.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks the process to stop (SIGTERM), and answers how it ended and what it wrote to stderr.
    pub fn stop(self) -> (ExitStatus, String) {
        self.ask_to_stop();
        self.wait()
    }

    /// Asks the process to stop (SIGTERM), and goes on.
    pub fn ask_to_stop(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::TERM).expect("the process is there");
    }

    /// Waits for the end of the process; answers how it ended and what it wrote to stderr.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("the process ends");
        let stderr = self.stderr.take().map(|thread| thread.join().unwrap_or_default());
        (status, stderr.unwrap_or_default())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The binary in a folder of its own, without the settings of the person who runs the tests.
pub fn command(binary: &Path, folder: &Path) -> Command {
    let mut command = Command::new(binary);
    command.current_dir(folder).env("HOME", folder).env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME");
    for (name, _) in std::env::vars_os() {
        if ["AIRLANE_", "OTEL_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    // Servers of several tests would look for one place, and which of them has it is chance.
    command.env("AIRLANE_LOCAL_SOCKET", "off");
    command
}
