//! The list of settings. The comment of each is its manual: effect, unit, range, default.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use airlane::server::{LocalSocket, Origins, ServerOptions};
use airlane_format::child::{MEMORY_DEFAULT, TIME_DEFAULT};
use airlane_model::{Result, RetentionDefaults, Secret};

use super::value::{ClientAuth, Count, HostNames, LogFormat, OrNone, Size, TlsMode};
use super::{Environment, Resolved, Setting, Sources};

macro_rules! settings {
    (
        $(#[$meta:meta])*
        $struct:ident {
            $( $(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr, $value_name:literal; )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub(crate) struct $struct {
            $( $(#[doc = $doc])+ pub(crate) $key: $type, )+
        }

        impl $struct {
            /// The settings of this group, in the order of the reference.
            pub(crate) const TABLE: &'static [Setting] = &[
                $( Setting { key: stringify!($key), value_name: $value_name, doc: &[$($doc),+] }, )+
            ];

            /// Takes each value from the first source that has it, and tells where it came from.
            ///
            /// # Errors
            /// `config_invalid`, with the place of the value.
            pub(crate) fn resolve(sources: &Sources) -> Result<(Self, Vec<Resolved>)> {
                let mut all = Vec::with_capacity(Self::TABLE.len());
                let mut table = Self::TABLE.iter();
                $(
                    let Some(setting) = table.next() else { unreachable!("the table has an entry for each field") };
                    let (value, resolved) = sources.resolve::<$type>(setting, $default)?;
                    all.push(resolved);
                    let $key = value;
                )+
                Ok((Self { $( $key ),+ }, all))
            }
        }
    };
}

settings! {
    /// What `airlane serve` goes by.
    ServerSettings {
        /// The IP address to listen on.
        ///
        /// `127.0.0.1` serves this machine only, `0.0.0.0` and `::` every network that the machine is in. An address that
        /// other machines can reach needs a `rights_file`, or `insecure`.
        /// Default: `127.0.0.1`.
        listen: IpAddr = |_| IpAddr::V4(Ipv4Addr::LOCALHOST), "IP";

        /// The TCP port for gRPC and HTTP.
        ///
        /// 0 takes a free one; `port_file` tells which, and the line `listening` that the server prints.
        /// Range: 0 to 65535. Default: 8815.
        port: u16 = |_| airlane_client::PORT_DEFAULT, "PORT";

        /// A file to write the port to once the server listens.
        ///
        /// It appears in one step, holding the number and a line end, so that a script can wait for it.
        /// Default: none.
        port_file: Option<PathBuf> = |_| None, "FILE";

        /// A Unix socket to listen on as well.
        ///
        /// It serves what the port serves, to processes that may write to the socket; its file is removed at the end.
        /// Default: none.
        unix_socket: Option<PathBuf> = |_| None, "PATH";

        /// The Unix socket by which processes of this machine hand each other tables without copying.
        ///
        /// `auto` is where clients look: `$XDG_RUNTIME_DIR/airlane/local.sock`, else `/tmp/airlane-UID/local.sock`, unless another
        /// server is there already. `off` is none. The socket is for the user of the server, in a folder where nobody else can write.
        /// Default: `auto`.
        local_socket: LocalSocket = |_| LocalSocket::Auto, "auto|off|PATH";

        /// A file that tells a local port and a token, for processes that cannot use `local_socket`.
        ///
        /// The port is a free one of the loopback. The token lets in one connection; the file then holds the next. Beside it lies a
        /// folder of the same name and `.d`, in which tables are passed as files. Nobody else can read either.
        /// Default: none.
        local_tcp: Option<PathBuf> = |_| None, "FILE";

        /// Whether to trust what processes of the server's own user hand over, if they ask for it.
        ///
        /// Their segments are not validated, and may have writable mappings left. Who can be asked to put wrong data can then
        /// have other readers read it.
        /// Default: off.
        local_trust: bool = |_| false, "";

        /// The memory that a caller may hold by tables it has mapped through the local door.
        ///
        /// Tables that are files do not count. A reader that would hold more is refused with `quota_exceeded`, and can read
        /// streams.
        /// Default: half of `memory`.
        local_bytes_max: Option<Size<{ 16 << 20 }, { 1 << 50 }>> = |_| None, "BYTES";

        /// The folder where the server keeps its tables.
        ///
        /// It is made when it is missing, and belongs to one server at a time.
        /// Default: `$XDG_DATA_HOME/airlane`, else `~/.local/share/airlane`, else `/var/lib/airlane`.
        data_dir: PathBuf = data_dir_default, "DIR";

        /// The memory that tables, puts and reads may take.
        ///
        /// Counted are tables in memory, also old versions as long as somebody reads them, puts that are under way, and
        /// messages that are made for readers or kept for the next; not files that are mapped. When it is nearly used up, ephemeral tables go to the
        /// data folder, the least recently used first, and are read from there; when nothing more can go, puts are refused with
        /// `memory_full` and reads go on. The server itself needs some tens of MiB more.
        /// Range: 16 MiB to 1 PiB. Default: half of what the machine or its control group has.
        memory: Option<Size<{ 16 << 20 }, { 1 << 50 }>> = |_| None, "SIZE";

        /// How much of ephemeral tables may be on disk at once while memory is short.
        ///
        /// `0B` keeps them off the disk. Whatever it is, a twentieth of the disk, or 1 GiB of a large one, stays free.
        /// Range: 0 to 1 PiB. Default: as much as the disk has room for.
        spill_bytes_max: Option<Size<0, { 1 << 50 }>> = |_| None, "SIZE";

        /// How much memory compressed messages may take that are kept for the next reader.
        ///
        /// They are part of `memory`, take only what nothing else needs, and go with their tables. `0B` keeps none: each
        /// compressed read compresses anew. Range: 0 to 1 PiB. Default: an eighth of `memory`.
        frames_bytes_max: Option<Size<0, { 1 << 50 }>> = |_| None, "SIZE";

        /// How long new tables are kept, by their names.
        ///
        /// Lists of rules with `;` between them: a name, or a beginning of names and `*`, and then rules, such as
        /// `scratch/* ttl=1h idle=10m; eu/prices versions=3`. The pattern that fits best decides alone. A put that brings rules
        /// of its own has them as well, and instead where they are the same ones; tables that are there stay as they are. The
        /// guide on retention tells what the rules are. Default: none.
        retention: RetentionDefaults = |_| RetentionDefaults::default(), "RULES";

        /// The file that says who is known and what each may do.
        ///
        /// With it every request needs credentials, a token or a user and a password, and sees what its caller has rights
        /// for; without it everybody who reaches the server may do everything. It is read again when it changes, and on
        /// SIGHUP; one that cannot be taken leaves the rules as they were. The guide on access shows its form.
        /// Default: none.
        rights_file: Option<PathBuf> = |_| None, "FILE";

        /// The certificate of the server, in PEM, with those that lead to an authority after it.
        ///
        /// With it and `tls_key` the TCP port speaks TLS and nothing else, gRPC and HTTP alike; the Unix socket stays as it
        /// is. Both files are read again when they change, and on SIGHUP, for the connections to come.
        /// Default: none.
        tls_certificate: Option<PathBuf> = |_| None, "FILE";

        /// The private key of the certificate, in PEM.
        ///
        /// Default: none.
        tls_key: Option<PathBuf> = |_| None, "FILE";

        /// `auto`: speak TLS with a certificate of an authority of the server's own.
        ///
        /// The authority is made in the data folder at the first start and kept; the certificate of the server is made anew
        /// each day, without a restart. Clients trust the file `tls/authority.pem` of the data folder, which `--tls-ca` takes.
        /// Not beside `tls_certificate`. Default: none.
        tls: Option<TlsMode> = |_| None, "MODE";

        /// DNS names and addresses that the certificate of `tls = "auto"` is for, with commas between them.
        ///
        /// Beside `localhost`, the name of the machine and the addresses that the server listens at. Default: none.
        tls_names: HostNames = |_| HostNames::default(), "NAMES";

        /// The authorities that sign certificates of clients, in PEM.
        ///
        /// A client that shows such a certificate over TLS is the caller whose URI or DNS name the rights file has. The file
        /// is read again when it changes, and on SIGHUP, for the connections to come. Default: none.
        tls_client_ca: Option<PathBuf> = |_| None, "FILE";

        /// Whether clients are asked for a certificate: `off`, `optional` or `required`.
        ///
        /// `optional` lets clients without one send a token or a password instead; with `required` nobody connects to the
        /// port without one, probes included. Default: `optional` with `tls_client_ca`, else `off`.
        tls_client_auth: Option<ClientAuth> = |_| None, "WHEN";

        /// The lists of revoked certificates of those authorities, in PEM.
        ///
        /// One of every authority that a certificate leads to. While the file cannot be used or a list is out of date, no
        /// certificate of a client is taken. It is read again as `tls_client_ca` is. Default: none, nothing is revoked.
        tls_client_crl: Option<PathBuf> = |_| None, "FILE";

        /// Listen on an address that other machines can reach, without protection.
        ///
        /// Without a `rights_file`, whoever reaches the port can read, replace and drop every table. With one and without
        /// TLS, passwords are taken from other machines too, although the network can read them. Default: off.
        insecure: bool = |_| false, "";

        /// How long running requests may take to end after a stop was asked for.
        ///
        /// The first Ctrl-C or SIGTERM begins it: `/readyz` says 503, new requests are refused with `shutting_down`, and what
        /// still runs after this time is cut off; of a put that is cut off nothing is kept. A second signal ends at once.
        /// A number and a unit: `ms`, `s`, `m` or `h`. Default: `10s`.
        drain_timeout: Duration = |_| Duration::from_secs(10), "TIME";

        /// The largest body of one message of a put.
        ///
        /// A stock client sends a record batch as one message. A put is charged for the bytes that arrive, never for
        /// what a message claims, so the limit may be large; a message that was compressed by gRPC may have 64 MiB at
        /// most. A number and a unit: `KiB`, `MiB`, `GiB`, `kB`, `MB` or `GB`. Range: 1 MiB to 4 GiB. Default: `1GiB`.
        body_bytes_max: Size<{ 1 << 20 }, { 4 << 30 }> = |_| Size(ServerOptions::default().body_bytes_max), "SIZE";

        /// The largest header of a gRPC call, name and value together.
        ///
        /// A call with a larger one is answered `limit_exceeded`. Raise it for long tokens, together with
        /// `header_list_bytes_max`, which holds for all headers of a call. Range: 1 KiB to 1 MiB. Default: `8KiB`.
        header_bytes_max: Size<{ 1 << 10 }, { 1 << 20 }> = |_| Size(ServerOptions::default().header_bytes_max), "SIZE";

        /// The headers that one request over HTTP/2 may have in all.
        ///
        /// They are counted as the protocol does it: 32 bytes more than name and value for each. A request that
        /// reaches the limit is answered with HTTP status 431 before anything looks at it, which gRPC clients show as
        /// an error of the transport; four times as much ends the connection. Range: 1 KiB to 1 MiB. Default: `16KiB`.
        header_list_bytes_max: Size<{ 1 << 10 }, { 1 << 20 }> =
            |_| Size(ServerOptions::default().header_list_bytes_max), "SIZE";

        /// The origins whose pages may read answers in browsers, with commas between them.
        ///
        /// Pages of the server's own origin always may; those of others may where this names them as browsers send them, such as
        /// `https://app.example.org`, over HTTP and gRPC-web alike. `*` is every origin, and then browsers send no cookies,
        /// certificates or passwords of their own; a page may still send a token. Who may do what is for the rights file to say.
        /// Default: none.
        http_origins: Origins = |_| Origins::None, "ORIGINS";

        /// How many connections there may be, of all clients.
        ///
        /// One above it is closed at once. Each takes a descriptor: allow the process (`ulimit -n`, `LimitNOFILE`) some hundreds
        /// more than this. Range: 16 to 1000000. Default: 10000.
        connections_max: Count<16, 1_000_000> = |_| Count(ServerOptions::default().connections.all), "COUNT";

        /// How many of them may come from one address.
        ///
        /// Loopback and the Unix socket are not counted, since a proxy on this machine is one address for all of its clients; a
        /// network of IPv6 (/64) counts as one address. Raise it for a proxy on another machine that has more connections
        /// than this. Range: 1 to 1000000. Default: 1000.
        connections_per_address_max: Count<1, 1_000_000> =
            |_| Count(ServerOptions::default().connections.per_address), "COUNT";

        /// How old a connection gets before it takes no more requests.
        ///
        /// Its client is told so (GOAWAY) and connects again for the next one; what runs may end, however long that takes. Ages
        /// differ by a tenth either way, so that clients do not come back all at once. `none` lets connections last.
        /// A number and a unit: `s`, `m` or `h`. Range: 1 s or more. Default: `1h`.
        connection_age: OrNone<1> = |_| OrNone(ServerOptions::default().connection_age), "TIME";

        /// How many streams of data, reads and puts, there may be at once.
        ///
        /// One more is refused with `streams_full`, whoever asks; the rights file has quotas for callers and namespaces. While nine
        /// tenths of them are open, readers that stop are ended after 30 seconds.
        /// Range: 16 to 1000000. Default: 1000.
        streams_max: Count<16, 1_000_000> = |_| Count(ServerOptions::default().streams_max), "COUNT";

        /// How long a reader may take nothing of what is sent to it.
        ///
        /// Then its stream is reset, and the version that it kept is let go; a counted read is given back. 16 KiB count as
        /// something. While memory or streams are short it is 30 seconds at most. `none` lets readers pause as long as they
        /// like while nothing is short. Range: 1 s or more. Default: `10m`.
        read_stall_max: OrNone<1> = |_| OrNone(Some(ServerOptions::default().readers.calm)), "TIME";

        /// What an upload over HTTP that is packed with gzip or zstd may unpack to.
        ///
        /// Beyond 64 MiB it may also not become 500 times as large as it is packed. A Parquet or Arrow file may be as large, packed or
        /// not: it lies in the data folder, without a name, while it is read. Range: 1 MiB to 1 PiB. Default: `64GiB`.
        upload_expanded_bytes_max: Size<{ 1 << 20 }, { 1 << 50 }> =
            |_| Size(ServerOptions::default().upload_expanded_bytes_max), "SIZE";

        /// How much memory reading one uploaded Parquet file may take.
        ///
        /// Each is parsed by a process of its own, four at a time, whose memory is not part of `memory`; a file that needs more is
        /// refused with `limit_exceeded`. Raise it for large row groups and pages. Range: 32 MiB to 1 TiB. Default: `512MiB`.
        parquet_memory_max: Size<{ 32 << 20 }, { 1 << 40 }> = |_| Size(MEMORY_DEFAULT), "SIZE";

        /// How much processor time reading one uploaded Parquet file may take.
        ///
        /// A file that needs more is refused with `limit_exceeded`. A number and a unit: `s`, `m` or `h`; whole seconds count, and
        /// one at least. Default: `5m`.
        parquet_time_max: Duration = |_| TIME_DEFAULT, "TIME";

        /// The memory that one query may take.
        ///
        /// Sorts, joins and groups go to disk before they take more; a query that cannot is refused with
        /// `query_memory_full`. It is part of `memory`. Range: 1 MiB to 1 PiB. Default: a quarter of `memory`.
        query_memory: Option<Size<{ 1 << 20 }, { 1 << 50 }>> = |_| None, "SIZE";

        /// The disk that all queries may take at once, in the data folder.
        ///
        /// Range: 0 to 1 PiB. Default: `16GiB`.
        query_disk: Size<0, { 1 << 50 }> = |_| Size(ServerOptions::default().queries.disk), "SIZE";

        /// How long a query may run, from its turn to its last row.
        ///
        /// Then it ends with `query_time_exceeded`. A reader that takes nothing counts too.
        /// Range: 1 s or more. Default: `10m`.
        query_time: OrNone<1> = |_| OrNone(Some(ServerOptions::default().queries.time)), "TIME";

        /// How many queries run at a time.
        ///
        /// Others wait for their turn. Range: 1 to 10000. Default: two for each processor.
        queries_at_once: Count<1, 10_000> = |_| Count(ServerOptions::default().queries.at_once), "COUNT";

        /// Which events are logged, to stderr.
        ///
        /// A level (`error`, `warn`, `info`, `debug`, `trace`) or a list of levels for parts of the program, such as
        /// `info,airlane_store=debug`. Default: `info`.
        log: String = |_| "info".to_owned(), "FILTER";

        /// How log lines are written: `text` for people, `json` for programs, one object per line.
        ///
        /// Default: `text`.
        log_format: LogFormat = |_| LogFormat::Text, "FORMAT";
    }
}

settings! {
    /// What the commands that talk to a server go by.
    ClientSettings {
        /// The address of the server.
        ///
        /// `grpc://host:port`, `grpc+tls://host:port` or `grpc+unix:///path/of/socket`. Default: `grpc://127.0.0.1:8815`.
        url: String = |_| format!("grpc://127.0.0.1:{}", airlane_client::PORT_DEFAULT), "URL";

        /// The token to show to the server.
        ///
        /// For scripts use the variable: every process of a machine sees the flags of others. Default: none.
        token: Option<Secret> = |_| None, "TOKEN";

        /// The user to be known as, whose password stands in the variable `AIRLANE_PASSWORD`.
        ///
        /// Not beside a token. Default: none.
        user: Option<String> = |_| None, "NAME";

        /// The authorities that servers are trusted by over TLS, in PEM.
        ///
        /// For `grpc+tls://` addresses. Default: those of the system.
        tls_ca: Option<PathBuf> = |_| None, "FILE";

        /// The certificate to be known by, in PEM, with those that lead to an authority after it.
        ///
        /// For `grpc+tls://` addresses of servers that ask for one. A token or a user beside it decides instead.
        /// Default: none.
        tls_client_certificate: Option<PathBuf> = |_| None, "FILE";

        /// The private key of that certificate, in PEM.
        ///
        /// Default: none.
        tls_client_key: Option<PathBuf> = |_| None, "FILE";
    }
}

impl ServerSettings {
    /// Whether the TCP port speaks TLS.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.tls_certificate.is_some() || self.tls.is_some()
    }
}

fn data_dir_default(environment: &Environment) -> PathBuf {
    if let Some(data) = environment.get("XDG_DATA_HOME") {
        return PathBuf::from(data).join("airlane");
    }
    match environment.get("HOME") {
        Some(home) => PathBuf::from(home).join(".local/share/airlane"),
        None => PathBuf::from("/var/lib/airlane"),
    }
}
