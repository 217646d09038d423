//! The memory that a server may take when nobody says how much: half of what its machine or its control group has.

use std::fs;
use std::path::{Path, PathBuf};

use airlane_model::ByteSize;

/// What is taken for granted where the machine does not tell.
const UNKNOWN: ByteSize = ByteSize::gib(4);

/// Half of the memory of this machine, or of the control group that this process is in.
pub(super) fn default_limit() -> ByteSize {
    let all = available(Path::new("/proc"), Path::new("/sys/fs/cgroup"));
    ByteSize::bytes(all.unwrap_or(UNKNOWN.as_u64()) / 2)
}

/// The memory of the machine, or the least limit of the control groups around this process. Sources: proc(5), and the
/// kernel's documents of cgroup v2 (`memory.max`) and v1 (`memory.limit_in_bytes`).
fn available(proc: &Path, cgroups: &Path) -> Option<u64> {
    let machine = fs::read_to_string(proc.join("meminfo")).ok().and_then(|text| total_of(&text));
    let own = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let groups = own.lines().flat_map(|line| limits_of(line, cgroups)).min();
    machine.into_iter().chain(groups).min()
}

fn total_of(meminfo: &str) -> Option<u64> {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The limits of a control group and of those it is in; `line` is `number:controllers:path`.
fn limits_of(line: &str, cgroups: &Path) -> Vec<u64> {
    let mut parts = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        return Vec::new();
    };
    let (root, file): (PathBuf, _) = if controllers.is_empty() {
        (cgroups.to_owned(), "memory.max")
    } else if controllers.split(',').any(|controller| controller == "memory") {
        (cgroups.join("memory"), "memory.limit_in_bytes")
    } else {
        return Vec::new();
    };
    let group = root.join(path.trim_start_matches('/'));
    // In a container the path may be one of the host, which is not there; the root is the container's own then.
    let groups = group.ancestors().take_while(|group| group.starts_with(&root));
    // `max` is no number: there is no limit.
    groups.filter_map(|group| fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> Option<u64> {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        available(&folder.path().join("proc"), &folder.path().join("cg"))
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       24576 kB\nMemFree:  1 kB\n");
    const OWN: &str = "proc/self/cgroup";

    #[test]
    fn the_least_limit_counts() {
        assert_eq!(machine(&[]), None);
        assert_eq!(machine(&[MEMINFO]), Some(24 << 20));
        assert_eq!(machine(&[("proc/meminfo", "MemTotal: many")]), None);
        let all = [MEMINFO, (OWN, "0::/a/b\n"), ("cg/a/b/memory.max", "max\n"), ("cg/a/memory.max", "1048576\n")];
        assert_eq!(machine(&all), Some(1 << 20), "the group above has a limit");
        let outside = [MEMINFO, (OWN, "0::/of/the/host\n"), ("cg/memory.max", "4096\n")];
        assert_eq!(machine(&outside), Some(4096), "a container's own root");
        let old = [
            MEMINFO,
            (OWN, "5:cpu,memory:/x\n4:cpuset:/y\nnonsense\n"),
            ("cg/memory/x/memory.limit_in_bytes", "8192\n"),
            ("cg/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(machine(&old), Some(8192));
        assert_eq!(machine(&[(OWN, "0::/\n"), ("cg/memory.max", "777\n")]), Some(777), "the machine does not tell");
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(default_limit() >= ByteSize::mib(16), "{}", default_limit());
    }
}
