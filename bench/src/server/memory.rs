//! A working set of three budgets, in a control group of the budget and 2 GiB.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::Runtime;

use super::{Effort, load};
use crate::Result;
use crate::client::stock;
use crate::peer::{Kind, Peer};
use crate::report::Report;
use crate::table::{BATCH_ROWS, Shape};

const GIB: u64 = 1 << 30;
const READERS: usize = 4;
const WRITERS: usize = 2;
/// Batches of a table: 4 MiB each.
const BATCHES: usize = 8;

/// What clients did.
#[derive(Debug, Default)]
struct Done {
    read_bytes: AtomicU64,
    puts: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

pub(super) fn measure(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let budget = effort.or_little(GIB, 64 << 20);
    let tables = (3 * budget / (BATCHES as u64 * (4 << 20))) as usize;
    let ample = Peer::airlane(&["--memory", &format!("{}MiB", (4 * budget) >> 20)])?;
    let (in_memory, _) = run(effort, runtime, &ample, tables, effort.or_little(60, 1))?;
    drop(ample);
    let short = Peer::airlane(&["--memory", &format!("{}MiB", budget >> 20)])?;
    let group = Group::of(&short, budget + 2 * GIB);
    let (rate, done) = run(effort, runtime, &short, tables, effort.minutes * 60)?;
    let is_alive = runtime.block_on(stock::connect(short.port)).is_ok();
    let kills = group.as_ref().map_or(0, Group::kills) + u64::from(!is_alive);
    let where_ = if group.is_ok() { "in a control group of the budget + 2 GiB" } else { "in no control group" };
    let (puts, refused) = (done.puts.load(Ordering::Relaxed), done.refused.load(Ordering::Relaxed));
    let failed = done.failed.load(Ordering::Relaxed);
    let measured = format!("{kills} kills, {failed} other failures; {puts} puts kept, {refused} refused");
    let measure = format!("a working set of three budgets, {} min, {where_}", effort.minutes);
    report.figure(&measure, "0 kills, only spills and refusals", measured, kills + failed == 0 && group.is_ok());
    let share = rate / in_memory;
    let measured = format!("{share:.2} ({rate:.2} against {in_memory:.2} GB/s)");
    report.figure("reads from it against reads with memory for all", "≥ 0.5", measured, share >= 0.5);
    report.samples("reads, memory for all", Kind::Airlane.name(), "GB/s", vec![in_memory]);
    report.samples("reads, memory for a third", Kind::Airlane.name(), "GB/s", vec![rate]);
    if let Err(error) = group {
        println!("no control group could be made: {error}");
    }
    Ok(())
}

/// Puts all tables, then replaces and reads them for so many seconds. The GB/s that readers got.
fn run(effort: &Effort, runtime: &Runtime, peer: &Peer, tables: usize, seconds: u64) -> Result<(f64, Arc<Done>)> {
    let batch = Arc::new(Shape::Floats.batch(effort.or_little(BATCH_ROWS, 4_096))?);
    let done = Arc::new(Done::default());
    let (port, stop) = (peer.port, Arc::new(AtomicBool::new(false)));
    runtime.block_on(async {
        let mut client = stock::connect(port).await?;
        for table in 0..tables {
            let command = json!({"durability": "ephemeral"});
            load::put(&mut client, &format!("t{table}"), &batch, BATCHES, command).await?;
        }
        let begin = Instant::now();
        let mut tasks = Vec::new();
        for number in 0..READERS + WRITERS {
            let (batch, done, stop) = (batch.clone(), done.clone(), stop.clone());
            tasks.push(tokio::spawn(async move {
                let mut client = stock::connect(port).await?;
                // Steps that have no common divisor with the number of tables, so that each comes to all of them.
                let (mut table, step) = (number * 7, 2 * number + 1);
                while !stop.load(Ordering::Relaxed) {
                    table = (table + step) % tables;
                    let name = format!("t{table}");
                    if number < READERS {
                        done.read_bytes.fetch_add(load::get(&mut client, &name).await?, Ordering::Relaxed);
                        continue;
                    }
                    match load::put(&mut client, &name, &batch, BATCHES, json!({"durability": "ephemeral"})).await {
                        Ok(()) => done.puts.fetch_add(1, Ordering::Relaxed),
                        Err(error) if error.to_string().contains("memory budget") => {
                            done.refused.fetch_add(1, Ordering::Relaxed)
                        }
                        Err(error) => {
                            println!("a put failed: {error}");
                            done.failed.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            }));
        }
        tokio::time::sleep(Duration::from_secs(seconds.max(1))).await;
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            if let Err(error) = task.await? {
                println!("a reader failed: {error}");
                done.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        let rate = done.read_bytes.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64() / 1e9;
        Ok((rate, done))
    })
}

/// A control group that a server is in.
#[derive(Debug)]
struct Group {
    folder: PathBuf,
    is_v1: bool,
}

impl Group {
    /// Puts a server into a group of its own with so much memory. Takes an administrator.
    fn of(peer: &Peer, limit: u64) -> Result<Self> {
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let is_v1 = v1.is_dir();
        let root = if is_v1 { v1 } else { Path::new("/sys/fs/cgroup") };
        let folder = root.join(format!("airlane-bench-{}", std::process::id()));
        std::fs::create_dir(&folder)?;
        let group = Self { folder, is_v1 };
        let file = if is_v1 { "memory.limit_in_bytes" } else { "memory.max" };
        std::fs::write(group.folder.join(file), limit.to_string())?;
        std::fs::write(group.folder.join("cgroup.procs"), peer.pid().to_string())?;
        Ok(group)
    }

    /// How often the kernel killed for lack of memory.
    fn kills(&self) -> u64 {
        let file = if self.is_v1 { "memory.oom_control" } else { "memory.events" };
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group goes when its last process has; the server may still be ending.
        for _ in 0..50 {
            if std::fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
