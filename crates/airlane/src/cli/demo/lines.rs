//! The words around the demonstration, and lines to paste.

use std::net::SocketAddr;
use std::path::Path;

/// What the lines read: the first version of the flights.
const TICKET: &str = "flights@1";

/// Where the server is and what will happen.
pub(super) fn heading(url: &str, folder: &Path) -> String {
    format!(
        "Airlane {} at {url}, keeping tables in {}\n\
         All 336,776 flights that left New York in 2013, with weather, planes, airports and airlines:\n\n",
        env!("CARGO_PKG_VERSION"),
        folder.display(),
    )
}

/// Lines that read the same tables from elsewhere.
pub(super) fn try_it(address: SocketAddr, once: bool) -> String {
    let mut text = String::from(
        "\nEvery put was on disk before it was answered; every get came over TCP and was compared value by value.\n",
    );
    if once {
        return text;
    }
    let airlane = program();
    let curl = curl(address, TICKET);
    text.push_str(&format!(
        "\nRead the flights by their ticket, {TICKET}, from another terminal:\n\n  \
         # Python, with pyarrow\n  \
         python3 -c \"import pyarrow.flight as f; print(f.connect('grpc://{address}').do_get(f.Ticket('{TICKET}')).read_all())\"\n\n  \
         # the command line\n  \
         {airlane} get {TICKET} --url grpc://{address}\n  \
         {airlane} get {TICKET} -o flights.parquet --url grpc://{address}\n  \
         {airlane} ls --url grpc://{address}\n\n  \
         # curl: the messages of gRPC as they come, and what the server counted\n  \
         {curl}\n  \
         curl http://{address}/metrics\n\n\
         Ctrl-C ends the demonstration and removes its tables.\n"
    ));
    text
}

/// A call of `DoGet` by hand: a `Ticket` with its bytes as field 1, behind the prefix of a gRPC message.
fn curl(address: SocketAddr, ticket: &str) -> String {
    // Both lengths are one byte, as those of the tickets of a demonstration are.
    let length = ticket.len() as u8;
    let request = [&[0, 0, 0, 0, length + 2, 0x0A, length], ticket.as_bytes()].concat();
    let request: String = request.iter().map(|byte| printf_escape(*byte)).collect();
    format!(
        "printf '{request}' | curl -sS --http2-prior-knowledge -H 'content-type: application/grpc' -H 'te: trailers' \
         --data-binary @- -o flights.grpc -w '%{{size_download}} bytes\\n' \
         http://{address}/arrow.flight.protocol.FlightService/DoGet"
    )
}

/// A byte as `printf` of every shell takes it inside single quotes.
fn printf_escape(byte: u8) -> String {
    match byte {
        b if b.is_ascii_alphanumeric() || matches!(b, b'@' | b'/' | b'-' | b'_' | b'.') => char::from(b).to_string(),
        b => format!("\\{b:03o}"),
    }
}

/// How a shell calls this program: by name where that finds it, else by path.
fn program() -> String {
    const NAME: &str = "airlane";
    let Ok(path) = std::env::current_exe() else { return NAME.to_owned() };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(NAME)).find(|path| path.is_file());
    if found.is_some_and(|found| found.canonicalize().ok() == path.canonicalize().ok()) {
        return NAME.to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let shown = path.strip_prefix(&here).unwrap_or(&path).display().to_string();
    match shown.contains(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '/' | '.' | '-' | '_')) {
        true => format!("'{}'", shown.replace('\'', r"'\''")),
        false => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_curl_sends_the_ticket() {
        let line = curl(([127, 0, 0, 1], 8815).into(), "a/b@1?c=%d");
        assert!(line.starts_with(r"printf '\000\000\000\000\014\012\012a/b@1\077c\075\045d' | curl "), "{line}");
        assert!(line.ends_with(" http://127.0.0.1:8815/arrow.flight.protocol.FlightService/DoGet"), "{line}");
    }
}
