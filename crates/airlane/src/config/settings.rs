//! The list of settings. The comment of each is its manual: effect, unit, range, default.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use airlane_model::Result;

use super::value::LogFormat;
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
        /// `127.0.0.1` serves this machine only, `0.0.0.0` and `::` every network that the machine is in. Since there
        /// is no authentication yet, an address that other machines can reach needs `insecure` as well.
        /// Default: `127.0.0.1`.
        listen: IpAddr = |_| IpAddr::V4(Ipv4Addr::LOCALHOST), "IP";

        /// The TCP port for gRPC and HTTP.
        ///
        /// 0 takes a free one; `port_file` or the first line of output tells which. Range: 0 to 65535.
        /// Default: 8815.
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

        /// The folder where the server keeps its tables.
        ///
        /// It is made when it is missing, and belongs to one server at a time.
        /// Default: `$XDG_DATA_HOME/airlane`, else `~/.local/share/airlane`, else `/var/lib/airlane`.
        data_dir: PathBuf = data_dir_default, "DIR";

        /// Listen on an address that other machines can reach, without authentication.
        ///
        /// Whoever reaches the port can read, replace and drop every table. Default: off.
        insecure: bool = |_| false, "";

        /// How long running requests may take to end after a stop was asked for.
        ///
        /// The first Ctrl-C or SIGTERM begins it: no new connections, `/readyz` answers 503; what is still running
        /// after this time is cut off. A number and a unit: `ms`, `s`, `m` or `h`. Default: `10s`.
        drain_timeout: Duration = |_| Duration::from_secs(10), "TIME";

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
        /// `grpc://host:port` or `grpc+unix:///path/of/socket`. Default: `grpc://127.0.0.1:8815`.
        url: String = |_| format!("grpc://127.0.0.1:{}", airlane_client::PORT_DEFAULT), "URL";
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
