//! What tests need of the operating system, installed where it is missing and may be.

use std::path::Path;
use std::process::{Command, Stdio};

/// A tool, how to tell that it is there, and the Debian package that has it.
struct Tool {
    probe: &'static [&'static str],
    package: &'static str,
    /// What cannot be tested without it.
    purpose: &'static str,
}

const TOOLS: [Tool; 10] = [
    Tool { probe: &["c++", "--version"], package: "g++", purpose: "fuzzing" },
    Tool { probe: &["chromium", "--version"], package: "chromium", purpose: "the example's page" },
    Tool {
        probe: &["curl", "--version"],
        package: "curl",
        purpose: "the lines that the demo prints, and the examples",
    },
    Tool { probe: &["faketime", "--version"], package: "faketime", purpose: "clocks that are wrong" },
    Tool { probe: &["git", "--version"], package: "git", purpose: "the benchmark" },
    Tool { probe: &["ip", "-V"], package: "iproute2", purpose: "links that go down" },
    Tool { probe: &["/usr/sbin/nginx", "-v"], package: "nginx-light", purpose: "the way through a proxy" },
    Tool { probe: &["strace", "--version"], package: "strace", purpose: "failing syncs" },
    Tool { probe: &["systemd-analyze", "--version"], package: "systemd", purpose: "the unit file" },
    Tool { probe: &["python3", "-c", "import ensurepip, venv"], package: "python3-venv", purpose: "stock clients" },
];

/// Installs what is missing, with `apt-get`, as the user who asks or with a `sudo` that asks for no password. What
/// cannot be installed is said, and what needs it is skipped later.
pub(crate) fn install() {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !succeeds(tool.probe)).collect();
    if missing.is_empty() {
        return;
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    println!("installing what is missing: {}", packages.join(", "));
    if Path::new("/usr/bin/apt-get").exists() {
        let as_root: &[&str] = if succeeds(&["test", "-w", "/var/lib/dpkg"]) { &[] } else { &["sudo", "-n"] };
        // Whether it worked is asked of the tools below.
        run(as_root, &["apt-get", "update", "-qq"]);
        run(as_root, &[&["apt-get", "install", "-qq", "-y", "--no-install-recommends"], &packages[..]].concat());
    }
    for tool in missing.iter().filter(|tool| !succeeds(tool.probe)) {
        println!("`{}` is missing, which {} needs: install the package {}", tool.probe[0], tool.purpose, tool.package);
    }
}

fn succeeds(words: &[&str]) -> bool {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn run(as_root: &[&str], words: &[&str]) {
    let words = [as_root, words].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).env("DEBIAN_FRONTEND", "noninteractive");
    if let Err(error) = command.status() {
        println!("`{}` cannot be run: {error}", words.join(" "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_whether_a_tool_is_there() {
        assert!(succeeds(&["true"]));
        assert!(!succeeds(&["false"]));
        assert!(!succeeds(&["airlane-has-no-such-tool", "--version"]));
    }
}
