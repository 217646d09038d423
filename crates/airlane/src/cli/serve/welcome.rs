//! What a server says when it has started.

use std::net::SocketAddr;
use std::time::Duration;

use airlane::server::{Handle, authority_file};
use airlane_store::Recovery;

use crate::config::ServerSettings;
use crate::config::file::ConfigFile;
use crate::config::value::{LogFormat, TlsMode};
use crate::output::human;
use crate::telemetry;

/// Tells where the server listens, what its data folder holds, and how to connect: as lines for people, or as one
/// event in a log that programs read.
pub(super) fn print(
    settings: &ServerSettings,
    handle: &Handle,
    address: SocketAddr,
    file: Option<&ConfigFile>,
    time: Duration,
) {
    telemetry::flush();
    let recovered = recovered(handle.recovery());
    if settings.log_format == LogFormat::Json {
        let (data_dir, version) = (settings.data_dir.display(), env!("CARGO_PKG_VERSION"));
        tracing::info!(%address, %data_dir, recovered, version, "listening");
        return;
    }
    let tls = settings.speaks_tls();
    let (grpc, http) = if tls { ("grpc+tls", "https") } else { ("grpc", "http") };
    let mut listening = format!("{grpc}://{address}  {http}://{address}");
    if let Some(path) = &settings.unix_socket {
        listening.push_str(&format!("  grpc+unix://{}", path.display()));
    }
    eprintln!("airlane {} is up after {}", env!("CARGO_PKG_VERSION"), human::duration(time));
    eprintln!("  listening  {listening}");
    if let Some(path) = handle.local_socket() {
        eprintln!("  local      {}", path.display());
    }
    eprintln!("  data       {}: {recovered}", settings.data_dir.display());
    for (table, reason) in &handle.recovery().damaged {
        eprintln!("  damaged    {table}: {reason}");
    }
    if let Some(file) = file {
        eprintln!("  settings   {}", file.path.display());
    }
    match &settings.rights_file {
        Some(path) => eprintln!("  rights     {}", path.display()),
        None if settings.listen.is_loopback() => {}
        None => eprintln!("  warning    whoever reaches {address} can read, replace and drop every table"),
    }
    if settings.rights_file.is_some() && !tls && settings.insecure && !settings.listen.is_loopback() {
        eprintln!("  warning    the network can read the passwords that come from other machines");
    }
    match settings.tls {
        None => {
            eprintln!("  shell      airlane put NAME FILE --url {grpc}://{address}");
            eprintln!("  python     pyarrow.flight.connect(\"{grpc}://{address}\")");
        }
        Some(TlsMode::Auto) => {
            let path = authority_file(&settings.data_dir);
            let path = path.display();
            eprintln!("  authority  {path}: clients trust this file, which is no secret; copy it to other machines");
            eprintln!("  shell      airlane put NAME FILE --url {grpc}://{address} --tls-ca {path}");
            let trust = format!("tls_root_certs=open(\"{path}\", \"rb\").read()");
            eprintln!("  python     pyarrow.flight.connect(\"{grpc}://{address}\", {trust})");
        }
    }
}

fn recovered(recovery: &Recovery) -> String {
    let Recovery { tables, segments, orphans_removed, orphans_kept, damaged } = recovery;
    let mut text = match tables {
        0 => "no tables yet".to_owned(),
        _ => format!("{} in {}", human::counted(*tables, "table"), human::counted(*segments, "segment")),
    };
    if *orphans_removed > 0 {
        text.push_str(&format!("; {} of unfinished puts removed", human::counted(*orphans_removed, "file")));
    }
    if *orphans_kept > 0 {
        text.push_str(&format!("; {} of no table kept", human::counted(*orphans_kept, "file")));
    }
    if !damaged.is_empty() {
        text.push_str(&format!("; {} damaged", human::counted(damaged.len() as u64, "table")));
    }
    text
}
