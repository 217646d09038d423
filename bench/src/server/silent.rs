//! Sockets that connect and say nothing.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::{CALLS_IN_FLIGHT, Effort, ROWS, TABLE};
use crate::Result;
use crate::client::raw;
use crate::peer::{Kind, Peer};
use crate::report::{Report, median};
use crate::table::Shape;

/// After this long a socket that is still open counts as one that stays.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn measure(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let peer = Peer::airlane(&[])?;
    let batch = Shape::Mixed.batch(ROWS)?;
    runtime.block_on(async { raw::Connection::open(peer.port).await?.put(TABLE, batch).await })?;
    let before = runtime.block_on(rates(effort, peer.port))?;
    let (beside, closed) = runtime.block_on(async {
        let begin = Instant::now();
        let mut sockets = Vec::new();
        for _ in 0..effort.or_little(5_000, 20) {
            let mut socket = TcpStream::connect(("127.0.0.1", peer.port)).await?;
            sockets.push(tokio::spawn(async move {
                // Closed, or reset: either way it is gone.
                let ended = tokio::time::timeout(PATIENCE, socket.read(&mut [0; 64])).await;
                ended.is_ok().then(|| begin.elapsed())
            }));
        }
        let beside = rates(effort, peer.port).await?;
        let mut closed = Vec::new();
        for socket in sockets {
            closed.push(socket.await?.unwrap_or(PATIENCE * 2));
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((beside, closed))
    })?;
    let last = closed.iter().max().copied().unwrap_or_default().as_secs_f64();
    report.figure("5,000 silent sockets: the last is closed after", "≤ 35 s", format!("{last:.1} s"), last <= 35.0);
    let share = median(&beside) / median(&before);
    let measured = format!("{share:.2} ({:.0}/s against {:.0}/s)", median(&beside), median(&before));
    report.figure("small gets beside them against before", "≥ 0.8", measured, share >= 0.8);
    report.samples("small gets before the silent sockets", Kind::Airlane.name(), "calls/s", before);
    report.samples("small gets beside 5,000 silent sockets", Kind::Airlane.name(), "calls/s", beside);
    Ok(())
}

async fn rates(effort: &Effort, port: u16) -> Result<Vec<f64>> {
    let mut rates = Vec::new();
    for _ in 0..effort.turns.min(5) {
        let connection = raw::Connection::open(port).await?;
        rates.push(raw::calls_per_second(connection, raw::get_request(TABLE), CALLS_IN_FLIGHT, effort.calls).await?);
    }
    Ok(rates)
}
