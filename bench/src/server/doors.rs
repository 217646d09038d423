//! Small gets at three doors: one that asks for nothing, one with tokens and rights, one with TLS.

use tokio::runtime::Runtime;

use super::{CALLS_IN_FLIGHT, Effort, ROWS, TABLE};
use crate::Result;
use crate::client::raw;
use crate::peer::{Peer, beside};
use crate::report::{Report, median};
use crate::table::Shape;

struct Door {
    name: &'static str,
    peer: Peer,
    token: Option<String>,
    authority: Option<Vec<u8>>,
}

impl Door {
    async fn connect(&self) -> Result<raw::Connection> {
        let connection = match &self.authority {
            Some(authority) => raw::Connection::open_tls(self.peer.port, authority).await?,
            None => raw::Connection::open(self.peer.port).await?,
        };
        match &self.token {
            Some(token) => connection.with_token(token),
            None => Ok(connection),
        }
    }
}

pub(super) fn measure(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let measure = "get of a 10-row table, one connection, 32 calls in flight";
    let open = Door { name: "airlane", peer: Peer::airlane(&[])?, token: None, authority: None };
    let doors = [open, guarded()?, encrypted()?];
    let batch = Shape::Mixed.batch(ROWS)?;
    for door in &doors {
        runtime.block_on(async { door.connect().await?.put(TABLE, batch.clone()).await })?;
    }
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for turn in 0..effort.turns {
        for step in 0..doors.len() {
            let index = (turn + step) % doors.len();
            let rate = runtime.block_on(async {
                let connection = doors[index].connect().await?;
                raw::calls_per_second(connection, raw::get_request(TABLE), CALLS_IN_FLIGHT, effort.calls).await
            });
            rates[index].push(rate?);
        }
    }
    let open = median(&rates[0]);
    for (index, what, asked) in [(1, "a token and rights cost", 10.0), (2, "TLS costs", 35.0)] {
        let rate = median(&rates[index]);
        let cost = 100.0 * (1.0 - rate / open);
        let measured = format!("{cost:.1} % ({rate:.0}/s against {open:.0}/s)");
        report.figure(&format!("what {what} a {measure}"), &format!("≤ {asked} %"), measured, cost <= asked);
    }
    for (door, rates) in doors.iter().zip(rates) {
        report.samples(measure, door.name, "calls/s", rates);
    }
    Ok(())
}

fn guarded() -> Result<Door> {
    let made = std::process::Command::new(beside("airlane")?).args(["token", "bench", "--json"]).output()?;
    let made: serde_json::Value = serde_json::from_slice(&made.stdout)?;
    let (Some(token), Some(section)) = (made["token"].as_str(), made["section"].as_str()) else {
        return Err("`airlane token` made none".into());
    };
    let rights = beside("airlane")?.with_file_name(format!("airlane-bench-{}-rights.toml", std::process::id()));
    std::fs::write(&rights, format!("{section}\n[rights.bench]\n\"*\" = [\"read\", \"write\"]\n"))?;
    let peer = Peer::airlane(&["--rights-file", &rights.display().to_string()]);
    std::fs::remove_file(&rights)?;
    Ok(Door { name: "airlane, with a token and rights", peer: peer?, token: Some(token.to_owned()), authority: None })
}

fn encrypted() -> Result<Door> {
    let peer = Peer::airlane(&["--tls", "auto"])?;
    let authority = std::fs::read(peer.data_dir()?.join("tls/authority.pem"))?;
    Ok(Door { name: "airlane, with TLS", peer, token: None, authority: Some(authority) })
}
