//! The servers: Airlane and its peers, each a child process on a loopback port of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::process::CpuSeconds;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Airlane,
    /// Stock `pyarrow.flight`, which is the C++ server.
    Cpp,
    /// Stock arrow-flight on tonic.
    ArrowRs,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Airlane => "airlane",
            Self::Cpp => "pyarrow (C++)",
            Self::ArrowRs => "arrow-flight (Rust)",
        }
    }
}

/// A running server. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    pub(crate) port: u16,
    /// From the start of the process until it told its port.
    pub(crate) ready: Duration,
    child: Child,
    folder: Option<PathBuf>,
    /// What a server of ours was started with.
    arguments: Vec<String>,
}

impl Peer {
    pub(crate) fn start(kind: Kind) -> Result<Self> {
        match kind {
            Kind::Airlane => Self::airlane(&[]),
            Kind::Cpp => {
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/pyarrow_server.py");
                let mut command = python();
                command.arg(script);
                Self::told_on_stdout(kind, command)
            }
            Kind::ArrowRs => Self::told_on_stdout(kind, Command::new(beside("arrow-flight-server")?)),
        }
    }

    /// A server of ours with further arguments.
    pub(crate) fn airlane(arguments: &[&str]) -> Result<Self> {
        // Beside the binary, not in the temporary folder: that one may be memory, where an fsync costs nothing.
        let name = format!("airlane-bench-{}-{}", std::process::id(), unique());
        let folder = std::env::current_exe()?.with_file_name(name);
        std::fs::create_dir_all(&folder)?;
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = serve(&folder, &arguments)?;
        let begin = Instant::now();
        let (kind, ready) = (Kind::Airlane, Duration::ZERO);
        let mut peer = Self { kind, port: 0, ready, child, folder: Some(folder), arguments };
        peer.wait(begin)?;
        Ok(peer)
    }

    /// Kills a server of ours as `kill -9` does, and starts it anew over the same folder.
    pub(crate) fn restart(&mut self) -> Result<()> {
        let folder = self.folder.clone().ok_or("a peer is not started anew")?;
        self.child.kill()?;
        self.child.wait()?;
        std::fs::remove_file(folder.join("port"))?;
        let begin = Instant::now();
        self.child = serve(&folder, &self.arguments)?;
        self.wait(begin)
    }

    /// The data folder of a server of ours.
    pub(crate) fn data_dir(&self) -> Result<PathBuf> {
        Ok(self.folder.as_ref().ok_or("a peer has no data folder")?.join("data"))
    }

    /// Waits until a server of ours has told its port.
    fn wait(&mut self, begin: Instant) -> Result<()> {
        let port_file = self.folder.as_ref().ok_or("a peer has no port file")?.join("port");
        while begin.elapsed() < Duration::from_secs(60) {
            if let Ok(port) = std::fs::read_to_string(&port_file).unwrap_or_default().trim().parse() {
                self.port = port;
                self.ready = begin.elapsed();
                return Ok(());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Err("the airlane server did not tell its port".into())
    }

    fn told_on_stdout(kind: Kind, mut command: Command) -> Result<Self> {
        let begin = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let ready = Duration::ZERO;
        let mut peer = Self { kind, port: 0, ready, child, folder: None, arguments: Vec::new() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        peer.port = line.trim().parse().map_err(|_| format!("{} told no port", kind.name()))?;
        peer.ready = begin.elapsed();
        Ok(peer)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn cpu(&self) -> Result<CpuSeconds> {
        CpuSeconds::of(self.pid())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The process may be gone already; there is nothing to do about it here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

fn serve(folder: &Path, arguments: &Vec<String>) -> Result<Child> {
    let mut command = Command::new(beside("airlane")?);
    command.args(["serve", "--port", "0"]).arg("--port-file").arg(folder.join("port"));
    command.arg("--data-dir").arg(folder.join("data")).args(arguments);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

/// A Python that has pyarrow.
pub(crate) fn python() -> Command {
    Command::new(std::env::var_os("AIRLANE_PYTHON").unwrap_or_else(|| "python3".into()))
}

/// A binary built beside this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() { Ok(path) } else { Err(format!("build `{name}` first: {} is missing", path.display()).into()) }
}

fn unique() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
