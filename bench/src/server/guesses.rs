//! Wrong passwords, of a user there is and of one there is not: the time must not tell which.

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::runtime::Runtime;

use super::{Effort, TABLE};
use crate::Result;
use crate::client::raw;
use crate::peer::{Kind, Peer, beside};
use crate::report::{Report, median};

/// Failures of one user that are not throttled; each server takes these of each of the two.
const FREE: usize = 5;

pub(super) fn measure(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..effort.or_little(20, 1) {
        let peer = guarded()?;
        runtime.block_on(async {
            let connection = raw::Connection::open(peer.port).await?;
            // The first guess of a process pays for what is made once.
            guess(&connection, "warm").await?;
            for turn in 0..FREE {
                // Each goes first as often as the other.
                if turn % 2 == 0 {
                    known.push(guess(&connection, "ada").await?);
                    unknown.push(guess(&connection, "bob").await?);
                } else {
                    unknown.push(guess(&connection, "bob").await?);
                    known.push(guess(&connection, "ada").await?);
                }
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        })?;
    }
    let (with, without) = (median(&known), median(&unknown));
    let difference = 100.0 * (with / without - 1.0).abs();
    let measured = format!("{difference:.1} % ({with:.2} against {without:.2} ms)");
    report.figure("wrong password, a user there is against one there is not: p50", "< 5 %", measured, difference < 5.0);
    report.samples("wrong password of a user there is", Kind::Airlane.name(), "ms", known);
    report.samples("wrong password of a user there is not", Kind::Airlane.name(), "ms", unknown);
    Ok(())
}

/// Milliseconds until a guess is refused.
async fn guess(connection: &raw::Connection, user: &str) -> Result<f64> {
    let basic = format!("Basic {}", STANDARD.encode(format!("{user}:wrong")));
    let mut connection = connection.clone().with_authorization(&basic)?;
    let begin = Instant::now();
    match connection.call("DoGet", raw::get_request(TABLE)).await {
        Err(_) => Ok(begin.elapsed().as_secs_f64() * 1e3),
        Ok(_) => Err("a wrong password was taken".into()),
    }
}

fn guarded() -> Result<Peer> {
    let made = std::process::Command::new(beside("airlane")?).args(["user", "ada", "--generate", "--json"]).output()?;
    let made: serde_json::Value = serde_json::from_slice(&made.stdout)?;
    let section = made["section"].as_str().ok_or("`airlane user` made none")?;
    let rights = beside("airlane")?.with_file_name(format!("airlane-bench-{}-guesses.toml", std::process::id()));
    std::fs::write(&rights, format!("{section}\n[rights.ada]\n\"*\" = [\"read\"]\n"))?;
    let peer = Peer::airlane(&["--rights-file", &rights.display().to_string()]);
    std::fs::remove_file(&rights)?;
    peer
}
