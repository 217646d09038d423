//! `airlane top`.

use std::fmt::Write;
use std::io::{self, IsTerminal};

use airlane_model::figures::{ServerFigures, TableFigures};
use airlane_model::{Result, TimeSpan};

use super::Globals;
use crate::output::table::{Align, Table};
use crate::output::{self, human};

/// Clears the screen and goes to its first line.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Show how the server does, again and again
///
/// Requests that run, rates, memory, and the tables that are largest and most read of those that you may read. It takes the
/// right `admin` for all namespaces. On a terminal the screen is drawn anew; elsewhere one view follows the other. Ctrl-C
/// ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane top
  airlane top --once
  airlane top --once --json                    for scripts
  airlane top --json --interval 10s            a line of JSON every ten seconds")]
pub(crate) struct Top {
    /// Show one view, and end
    #[arg(long)]
    once: bool,

    /// How long to wait between two views: 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", default_value = "2s")]
    interval: TimeSpan,
}

impl Top {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let client = globals.connect().await?;
        let is_screen = io::stdout().is_terminal() && !self.once;
        let mut before = None;
        loop {
            let now = client.status().await?;
            if globals.json && self.once {
                output::json(&now)?;
            } else if globals.json {
                output::json_line(&now)?;
            } else {
                let view = view(&client.address().to_string(), &now, before.as_ref());
                output::text(&if is_screen { format!("{CLEAR}{view}") } else { format!("{view}\n") })?;
            }
            if self.once {
                return Ok(());
            }
            before = Some(now);
            tokio::time::sleep(self.interval.as_duration()).await;
        }
    }
}

fn view(address: &str, now: &ServerFigures, before: Option<&ServerFigures>) -> String {
    let uptime = std::time::Duration::try_from_secs_f64(now.uptime_seconds).unwrap_or_default();
    let state =
        if now.reasons.is_empty() { "ready".to_owned() } else { format!("not ready: {}", now.reasons.join("; ")) };
    let mut text = format!("airlane {} at {address}, up {}, {state}\n", now.version, human::duration(uptime));
    let _ = writeln!(
        text,
        "{}, {}, {}; resident {}, {}",
        human::counted(now.tables, "table"),
        human::counted(now.segments, "segment"),
        human::bytes(now.table_bytes),
        human::bytes(now.memory_bytes),
        human::counted(now.descriptors, "descriptor")
    );
    let _ = writeln!(text, "{}", budget(now));
    let _ = writeln!(text, "{}", rates(now, before));
    // The view itself is one of the requests that run.
    let open = now.open.iter().map(|(rpc, count)| format!("{rpc} {count}")).collect::<Vec<_>>().join(", ");
    let _ = writeln!(text, "running: {open}");
    for (title, tables) in [("largest", &now.largest), ("most read", &now.most_read)] {
        if !tables.is_empty() {
            let _ = write!(text, "\n{title}\n{}", shown(tables));
        }
    }
    text
}

fn budget(now: &ServerFigures) -> String {
    let used = now.budget_used.iter().filter(|(_, bytes)| **bytes > 0);
    let uses: Vec<_> = used.map(|(usage, bytes)| format!("{usage} {}", human::bytes(*bytes))).collect();
    let uses = if uses.is_empty() { "nothing".to_owned() } else { uses.join(", ") };
    let mut text = format!("memory budget {}: {uses}", human::bytes(now.budget_bytes));
    if now.spilled_bytes > 0 {
        let _ = write!(text, "; {} of tables on disk for lack of it", human::bytes(now.spilled_bytes));
    }
    text
}

/// Since the view before; without one since the start.
fn rates(now: &ServerFigures, before: Option<&ServerFigures>) -> String {
    let zero = ServerFigures::default();
    // A server that began anew counts from 0.
    let before = before.filter(|before| before.uptime_seconds < now.uptime_seconds && before.requests <= now.requests);
    let since = if before.is_some() { "" } else { " since the start" };
    let before = before.unwrap_or(&zero);
    let seconds = (now.uptime_seconds - before.uptime_seconds).max(0.001);
    let rate = |of: fn(&ServerFigures) -> u64| per_second(of(now).saturating_sub(of(before)), seconds);
    let cpu = (now.cpu_seconds - before.cpu_seconds).max(0.0) / seconds * 100.0;
    format!(
        "per second{since}: {} requests, {} failed; in {} rows, {}; out {} rows, {}; processor {cpu:.0} %",
        human::count(rate(|figures| figures.requests)),
        human::count(rate(|figures| figures.requests_failed)),
        human::count(rate(|figures| figures.rows_in)),
        human::bytes(rate(|figures| figures.bytes_in)),
        human::count(rate(|figures| figures.rows_out)),
        human::bytes(rate(|figures| figures.bytes_out)),
    )
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is shown rounded, and is not negative"
)]
fn per_second(count: u64, seconds: f64) -> u64 {
    (count as f64 / seconds).round() as u64
}

fn shown(tables: &[TableFigures]) -> String {
    let mut shown = Table::new([
        ("table", Align::Left),
        ("version", Align::Right),
        ("rows", Align::Right),
        ("bytes", Align::Right),
        ("durability", Align::Left),
        ("reads", Align::Right),
        ("running", Align::Right),
    ]);
    // What fits two lists on a screen.
    for TableFigures { info, reads, reads_open } in tables.iter().take(8) {
        shown.push([
            info.table.to_string(),
            info.version.to_string(),
            human::count(info.rows),
            human::bytes(info.bytes),
            info.durability.to_string(),
            human::count(*reads),
            human::count(*reads_open),
        ]);
    }
    shown.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(uptime_seconds: f64, requests: u64) -> ServerFigures {
        ServerFigures {
            uptime_seconds,
            requests,
            rows_out: requests * 10,
            cpu_seconds: 1.0,
            ..ServerFigures::default()
        }
    }

    #[test]
    fn rates_are_of_the_time_between_two_views() {
        let text = rates(&figures(12.0, 300), Some(&figures(10.0, 100)));
        assert!(text.starts_with("per second: 100 requests, 0 failed;") && text.contains("out 1,000 rows"), "{text}");
        let text = rates(&figures(10.0, 100), None);
        assert!(
            text.starts_with("per second since the start: 10 requests") && text.ends_with("processor 10 %"),
            "{text}"
        );
        let text = rates(&figures(1.0, 5), Some(&figures(100.0, 1_000)));
        assert!(text.starts_with("per second since the start: 5 requests"), "begun anew: {text}");
        assert!(rates(&figures(0.0, 0), None).contains(" 0 requests"), "a server that has just begun");
    }

    #[test]
    fn a_view_says_why_the_server_is_not_ready() {
        let now = ServerFigures { reasons: vec!["the server is stopping".into()], ..figures(1.0, 1) };
        assert!(view("x", &now, None).starts_with("airlane  at x, up 1"), "{}", view("x", &now, None));
        assert!(view("x", &now, None).contains("not ready: the server is stopping"));
    }
}
