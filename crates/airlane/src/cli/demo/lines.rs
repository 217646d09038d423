//! The words around the demonstration, and lines to paste.

use std::net::SocketAddr;
use std::path::Path;

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
    text.push_str(&format!(
        "\nRead the flights by their ticket, flights@1, from another terminal:\n\n  \
         # Python, with pyarrow\n  \
         python3 -c \"import pyarrow.flight as f; print(f.connect('grpc://{address}').do_get(f.Ticket('flights@1')).read_all())\"\n\n  \
         # the command line\n  \
         {airlane} get flights@1 --url grpc://{address}\n  \
         {airlane} get flights@1 -o flights.parquet --url grpc://{address}\n  \
         {airlane} ls --url grpc://{address}\n\n  \
         # HTTP\n  \
         curl http://{address}/readyz\n  \
         curl http://{address}/metrics\n\n\
         Ctrl-C ends the demonstration and removes its tables.\n"
    ));
    text
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
