//! Runs the files of `cases/put`: requests that bring something bad, and what they are answered.
//!
//! ```text
//! server: quota                        the server of the file, when it is not `plain`
//! # a comment
//! > PUT /v1/tables/{table}             a request, whose headers follow; `{table}` is a table that is absent, then there
//! > content-type: text/csv
//! + text a,b\n1,2\n                    its body, piece by piece
//! | 400 file_invalid: …                its answer, with place and hint on lines of their own; or `taken`, and what became of it
//! ```
//!
//! Pieces of a body, which are made while they are sent:
//!
//! | piece | what it is |
//! | --- | --- |
//! | `text T` | a text with the escapes `\n`, `\r`, `\t`, `\\` and `\xFF` |
//! | `repeat N T` | the same, so many times |
//! | `gzip M N T` | M times a packed line, which is the text N times |
//! | `columns N` | a CSV file of so many columns and one row |
//! | `parquet N M` | a Parquet file without its first N and its last M bytes |
//! | `length N` | the `content-length` is that, and not what the pieces have; with `none` there is none |
//! | `cut`, `stall` | behind the last piece the client sends no more, and says so, or does not |
//! | `within N` | the answer comes before so many bytes were taken |
//!
//! After each case that is refused no table and no contract is another one than before, and the server is well. With `UPDATE_EXPECT=1` the
//! files are rewritten with what is answered now.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use airlane::server::Patience;
use airlane_testkit::{ServerProcess, workspace};
use flate2::Compression;
use flate2::write::GzEncoder;
use regex::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::*;
use super::rest::{Answer, ask};
use super::rights::{eventually_async, rights_file, split_head, token_of};
use super::scarce::Small;
use crate::cli::{binary, difference};

/// What the body of a request is written by at once.
const CHUNK_BYTES: usize = 64 << 10;
/// What a server of these cases may hold, so that whatever is not bounded is seen.
const MEMORY: &str = "64MiB";
/// The table that good rows go to.
const GOOD: &str = "/v1/tables/eu/good";
const CSV: &str = "content-type: text/csv\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a17_bad_input_is_refused_as_it_is_written_and_leaves_everything_as_it_was() {
    let folder = workspace().join("cases/put");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("cases/put")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "case"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 5, "only {} files in {}", paths.len(), folder.display());
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut failures = String::new();
    for path in paths {
        let written = std::fs::read_to_string(&path).expect("cases");
        let Some(answered) = run(&path, &written).await else { continue };
        match update {
            true => std::fs::write(&path, answered).expect("written"),
            false if answered != written => {
                let _ = writeln!(failures, "{}:\n{}", path.display(), difference(&written, &answered));
            }
            false => {}
        }
    }
    assert!(failures.is_empty(), "{failures}\nUPDATE_EXPECT=1 accepts what is answered now");
}

/// The file with the answers of this run; nothing where its server cannot be had.
async fn run(path: &Path, written: &str) -> Option<String> {
    let kind = written.lines().find_map(|line| line.strip_prefix("server: ")).unwrap_or("plain");
    let server = Server::start(kind).await?;
    let mut answered = String::new();
    let mut case = Case::default();
    let mut cases = 0;
    for line in written.lines().chain([""]) {
        match line.split_once(' ') {
            Some((">", line)) => case.request.push(line.to_owned()),
            Some(("+", line)) => case.pieces.push(Piece::parse(line).unwrap_or_else(|| panic!("no piece: {line}"))),
            Some(("|", _)) => continue,
            _ if !case.request.is_empty() => {
                answered.push_str(&server.answers(&std::mem::take(&mut case), path).await);
                cases += 1;
            }
            _ => {}
        }
        let _ = writeln!(answered, "{line}");
    }
    assert!(cases > 0, "{} has no case", path.display());
    // The last line was added.
    answered.pop();
    Some(answered)
}

/// A request that brings something bad.
#[derive(Default)]
struct Case {
    request: Vec<String>,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Bytes { bytes: Vec<u8>, count: u64 },
    Parquet { first: usize, last: usize },
    Length(Option<u64>),
    Within(u64),
    Cut,
    Stall,
}

impl Piece {
    fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "text" => Self::Bytes { bytes: unescaped(rest)?, count: 1 },
            "repeat" => {
                let (count, text) = rest.split_once(' ')?;
                Self::Bytes { bytes: unescaped(text)?, count: count.parse().ok()? }
            }
            "gzip" => {
                let (count, rest) = rest.split_once(' ')?;
                let (times, text) = rest.split_once(' ')?;
                let mut packed = GzEncoder::new(Vec::new(), Compression::best());
                packed.write_all(&[unescaped(text)?.repeat(times.parse().ok()?), b"\n".to_vec()].concat()).ok()?;
                Self::Bytes { bytes: packed.finish().ok()?, count: count.parse().ok()? }
            }
            "columns" => {
                let names: Vec<String> = (0..rest.parse::<u64>().ok()?).map(|column| format!("c{column}")).collect();
                let row = vec!["1"; names.len()];
                Self::Bytes { bytes: format!("{}\n{}\n", names.join(","), row.join(",")).into_bytes(), count: 1 }
            }
            "parquet" => {
                let (first, last) = rest.split_once(' ')?;
                Self::Parquet { first: first.parse().ok()?, last: last.parse().ok()? }
            }
            "length" if rest == "none" => Self::Length(None),
            "length" => Self::Length(Some(rest.parse().ok()?)),
            "within" => Self::Within(rest.parse().ok()?),
            "cut" => Self::Cut,
            "stall" => Self::Stall,
            _ => return None,
        })
    }
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (escape, others) = rest.split_first()?;
        rest = others;
        bytes.push(match escape {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'\\' => b'\\',
            b'x' => {
                let (digits, others) = rest.split_at_checked(2)?;
                rest = others;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}

/// The server of a file.
enum Server {
    Process { server: ServerProcess, headers: String, _folder: tempfile::TempDir },
    SmallDisk(Small),
    Here(TestServer),
}

impl Server {
    async fn start(kind: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let start =
            |arguments: &[&Path]| ServerProcess::start_in(&[("AIRLANE_MEMORY", MEMORY)], binary(), &data, arguments);
        Some(match kind {
            "plain" => Self::Process { server: start(&[]), headers: String::new(), _folder: folder },
            "quota" => {
                let rights =
                    "[rights.all]\n\"*\" = [\"read\", \"write\", \"admin\"]\n[quotas.namespaces.eu]\nbytes = 1000000\n";
                let path = folder.path().join("rights.toml");
                std::fs::write(&path, rights_file(&["all"], rights)).expect("written");
                let server = start(&[Path::new("--rights-file"), &path]);
                let headers = format!("authorization: Bearer {}\r\n", token_of("all"));
                Self::Process { server, headers, _folder: folder }
            }
            "full-disk" => Self::SmallDisk(Small::start("a17_bad_input: full-disk.case").await?),
            "slow" => {
                let short = std::time::Duration::from_millis(50);
                let patience = Patience { in_message: short, between_messages: short, ..Patience::default() };
                Self::Here(TestServer::start_with(|_, options| options.patience = patience).await)
            }
            _ => panic!("there is no server `{kind}`"),
        })
    }

    fn address(&self) -> String {
        match self {
            Self::Process { server, .. } => format!("127.0.0.1:{}", server.port()),
            Self::SmallDisk(small) => small.address(),
            Self::Here(server) => server.address(),
        }
    }

    fn headers(&self) -> &str {
        match self {
            Self::Process { headers, .. } => headers,
            Self::SmallDisk(_) | Self::Here(_) => "",
        }
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        ask(&self.address(), method, path, &format!("{}{headers}", self.headers()), body).await
    }

    /// All that must not change.
    async fn state(&self) -> String {
        let tables = self.ask("GET", "/v1/tables", "", b"").await;
        let contracts = self.ask("GET", "/v1/contracts", "", b"").await;
        format!("{}\n{}", tables.text(), contracts.text())
    }

    /// The answer to a case, which is the same whether the table is there or not.
    async fn answers(&self, case: &Case, path: &Path) -> String {
        let name = format!("{}: {}", path.display(), case.request[0]);
        let absent = self.answer(case, &name).await;
        let put = self.ask("PUT", "/v1/tables/eu/t", CSV, b"a,b\n1,2\n").await;
        assert!(put.status < 300, "{name}: {}", put.text());
        let there = self.answer(case, &name).await;
        assert_eq!(self.ask("DELETE", "/v1/tables/eu/t", "", b"").await.status, 200, "{name}");
        assert_eq!(absent, there, "{name}: with a table that is there");
        absent
    }

    async fn answer(&self, case: &Case, name: &str) -> String {
        let parquet = self.parquet().await;
        let before = self.state().await;
        let answer = self.send(case, &parquet, name).await;
        let text = match answer {
            None => "| no answer\n".to_owned(),
            Some(answer) => told(&answer),
        };
        if !text.starts_with("| taken") {
            assert_eq!(self.state().await, before, "{name}: something is another one than before");
        }
        self.assert_well(name).await;
        text
    }

    /// It is ready, takes a good put, gives it back and holds nothing of the bad one.
    async fn assert_well(&self, name: &str) {
        assert_eq!(self.ask("GET", "/readyz", "", b"").await.status, 200, "{name}");
        let put = self.ask("PUT", GOOD, CSV, b"a,b\n1,x\n").await;
        assert_eq!(put.status, 201, "{name}: {}", put.text());
        assert_eq!(self.ask("GET", &format!("{GOOD}?format=csv"), "", b"").await.text(), "a,b\n1,x\n", "{name}");
        assert_eq!(self.ask("DELETE", GOOD, "", b"").await.status, 200, "{name}");
        eventually_async("the server holds nothing of the put", async || {
            let metrics = self.ask("GET", "/metrics", "", b"").await;
            metrics.text().contains("airlane_memory_bytes{use=\"puts\"} 0\n")
        })
        .await;
    }

    async fn parquet(&self) -> Vec<u8> {
        assert_eq!(self.ask("PUT", GOOD, CSV, b"a,b\n1,x\n2,y\n").await.status, 201);
        let file = self.ask("GET", &format!("{GOOD}?format=parquet"), "", b"").await;
        assert_eq!((file.status, self.ask("DELETE", GOOD, "", b"").await.status), (200, 200));
        file.body
    }

    /// Sends until there is an answer.
    async fn send(&self, case: &Case, parquet: &[u8], name: &str) -> Option<Answer> {
        let mut parts: Vec<(&[u8], u64)> = Vec::new();
        let (mut length, mut within) = (None, u64::MAX);
        for piece in &case.pieces {
            match piece {
                Piece::Bytes { bytes, count } => parts.push((bytes, *count)),
                Piece::Parquet { first, last } => parts.push((&parquet[*first..parquet.len() - last], 1)),
                Piece::Length(said) => length = Some(*said),
                Piece::Within(bytes) => within = *bytes,
                Piece::Cut | Piece::Stall => {}
            }
        }
        let whole = parts.iter().map(|(bytes, count)| bytes.len() as u64 * count).sum();
        let mut head =
            format!("{} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{}", case.request[0], self.headers());
        head = head.replace("{table}", "eu/t");
        case.request[1..].iter().for_each(|header| head += &format!("{header}\r\n"));
        if let Some(length) = length.unwrap_or(Some(whole)) {
            head += &format!("content-length: {length}\r\n");
        }
        let tcp = TcpStream::connect(self.address()).await.expect("a connection");
        let (mut reads, mut writes) = tcp.into_split();
        let is_cut = case.pieces.iter().any(|piece| matches!(piece, Piece::Cut));
        let mut taken = 0;
        let sending = async {
            let sent = async {
                writes.write_all(format!("{head}\r\n").as_bytes()).await?;
                for (bytes, count) in parts {
                    let times = (CHUNK_BYTES / bytes.len().max(1)).max(1) as u64;
                    let chunk = bytes.repeat(times.min(count) as usize);
                    let mut left = bytes.len() as u64 * count;
                    while left > 0 {
                        let now = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                        writes.write_all(&chunk[..now]).await?;
                        (left, taken) = (left - now as u64, taken + now as u64);
                    }
                }
                if is_cut { writes.shutdown().await } else { Ok(()) }
            };
            // A server that has answered may close before it has taken all.
            let _: std::io::Result<()> = sent.await;
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        tokio::select! {
            () = sending => {}
            _ = reads.read_to_end(&mut answer) => {}
        }
        assert!(taken <= within, "{name}: {taken} bytes were taken before it was refused");
        (!answer.is_empty()).then(|| {
            let (head, body) = split_head(answer);
            Answer::of(head, body)
        })
    }
}

fn told(answer: &Answer) -> String {
    let Ok(problem) = serde_json::from_slice::<serde_json::Value>(&answer.body) else {
        return format!("| {}\n", answer.status);
    };
    if answer.status < 400 {
        let fields = problem["fields"].as_array().into_iter().flatten();
        let fields: Vec<String> = fields.map(|field| format!("{} {}", field["name"], field["type"])).collect();
        return format!("| taken: {} rows, {}\n", problem["rows"], fields.join(", "));
    }
    // How much there is already is another number with a table that is there; how much came depends on the network.
    let size = Regex::new(r"\b(\d+ bytes|\d+\.\d [KMG]iB)").expect("a pattern");
    let text = |key: &str| {
        let text = problem[key].as_str().unwrap_or_default().replace('\n', "\\n");
        size.replace_all(&text, "[SIZE]").into_owned()
    };
    let mut told = format!("| {} {}: {}\n", answer.status, text("code"), text("detail"));
    for (key, word) in [("place", "at"), ("hint", "hint")] {
        if problem[key].is_string() {
            let _ = writeln!(told, "| {word}: {}", text(key));
        }
    }
    told
}
