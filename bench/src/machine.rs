//! The machine under the benchmark.

use std::fs;

use serde::Serialize;

/// What a reader of the results needs to know of where they come from.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cpus: usize,
    memory_gib: f64,
    kernel: String,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let field = |file: &str, key: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
            line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
        };
        let memory_kib: f64 =
            field("/proc/meminfo", "MemTotal").split_whitespace().next().unwrap_or("0").parse().unwrap_or(0.0);
        Self {
            cpu: field("/proc/cpuinfo", "model name"),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (memory_kib / 1024.0 / 1024.0 * 10.0).round() / 10.0,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        }
    }
}

/// Waits until no other benchmark runs on this machine, and keeps the next one waiting until the answer is dropped: two at
/// once would measure each other.
pub(crate) fn alone() -> crate::Result<fs::File> {
    let lock = fs::File::create(std::env::temp_dir().join("airlane-bench.lock"))?;
    if lock.try_lock().is_err() {
        println!("waiting for another benchmark to end");
        lock.lock()?;
    }
    Ok(lock)
}

/// Touches memory once and gives it back: the first touch of a virtual machine's memory is far slower than any later
/// one and would be charged to whoever comes first.
pub(crate) fn touch_memory(bytes: usize) {
    const PIECE: usize = 1 << 26;
    let pieces: Vec<Vec<u8>> = (0..bytes / PIECE).map(|_| vec![1_u8; PIECE]).collect();
    std::hint::black_box(&pieces);
}
