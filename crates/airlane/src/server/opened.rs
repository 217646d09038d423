//! A store with its doors and the gate before them, before anybody listens.

use std::path::PathBuf;
use std::sync::Arc;

use airlane_exchange::Exchange;
use airlane_flight::{FlightDoor, FlightOptions};
use airlane_format::{ExpansionLimits, ParquetParsing, ReadOptions, Spooling};
use airlane_gate::{Drain, Gate, GateOptions, Reload, RightsFile, Rules, Streams};
use airlane_http::{HttpState, Uploads};
use airlane_model::{Chance, Clock, Result, TableId};
use airlane_store::{Recovery, Store, StoreOptions};
use tokio::task::JoinHandle;

use super::figures::Figures;
use super::metrics;
use super::options::ServerOptions;
use super::route::{Doors, GatedDoors};
use super::status::ServerStatus;

/// The endpoints of one FlightInfo: what a client may reasonably read at once.
const ENDPOINTS_MAX: usize = 8;

pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) recovery: Recovery,
    pub(super) exchange: Exchange,
    pub(super) status: Arc<ServerStatus>,
    pub(super) gate: Gate,
    pub(super) doors: GatedDoors,
    pub(super) flight: FlightDoor,
    pub(super) drain: Drain,
    pub(super) streams: Streams,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) chance: Arc<dyn Chance>,
    /// What keeps the rules of the gate as the rights file has them.
    pub(super) watching: Option<JoinHandle<()>>,
}

impl Opened {
    /// Opens the store and builds the doors over it.
    ///
    /// # Errors
    /// As [`run_over`](super::run_over).
    pub(super) fn open(store: StoreOptions, options: &ServerOptions, reload: &Reload) -> Result<Self> {
        airlane_http::metrics::install();
        metrics::describe();
        let flight_options = FlightOptions {
            body_bytes_max: store.limits.body_bytes_max,
            header_bytes_max: options.header_bytes_max,
            endpoints_max: ENDPOINTS_MAX,
            quiet_max: options.quiet_max,
            patience: options.patience,
        };
        let reading = reading(options, &store);
        let (gate, rights) = gate(options, &store)?;
        let (data_dir, clock, chance) = (store.folder.clone(), store.clock.clone(), store.chance.clone());
        let (store, recovery) = Store::open(store)?;
        let limits = options.queries.limits(store.memory_budget().limit());
        let exchange = Exchange::with_queries(store.clone(), limits)?;
        let status = Arc::new(ServerStatus::new(store.clone(), data_dir.clone()));
        if let Some(reason) = options.not_ready.clone() {
            status.wait_for("program", reason);
        }
        let refresh_metrics: Arc<dyn Fn() + Send + Sync> = {
            let (store, exchange) = (store.clone(), exchange.clone());
            Arc::new(move || metrics::refresh(&store, &exchange))
        };
        let figures = Arc::new(Figures::new(store.clone(), exchange.clone(), status.clone()));
        let doors = Doors {
            flight: FlightDoor::new(exchange.clone(), &flight_options, figures.clone())?,
            http: airlane_http::router(HttpState {
                exchange: exchange.clone(),
                uploads: Uploads::default(),
                reading,
                life: TableId::random(chance.as_ref()).to_string(),
                patience: options.patience,
                figures,
                readiness: status.clone(),
                refresh_metrics,
            }),
        };
        let flight = doors.flight.clone();
        let (drain, streams) = (Drain::default(), Streams::new(options.streams_max));
        let doors = doors.behind(gate.clone(), drain.clone(), streams.clone(), options.observer.clone());
        let doors = doors.open_to(&options.http_origins);
        let watching =
            rights.map(|file| tokio::spawn(file.watch(gate.clone(), options.rights_interval, reload.clone())));
        Ok(Self {
            store,
            recovery,
            exchange,
            status,
            gate,
            doors,
            flight,
            drain,
            streams,
            data_dir,
            clock,
            chance,
            watching,
        })
    }
}

/// How files of strangers are read.
fn reading(options: &ServerOptions, store: &StoreOptions) -> ReadOptions {
    ReadOptions {
        expansion: ExpansionLimits { bytes_max: options.upload_expanded_bytes_max, ..ExpansionLimits::default() },
        arrow: store.limits.clone(),
        spooling: Spooling { folder: store.folder.clone(), bytes_max: options.upload_expanded_bytes_max },
        parquet: options.parquet_parser.clone().map_or(ParquetParsing::Nowhere, ParquetParsing::InChild),
        ..ReadOptions::default()
    }
}

/// The gate, and the file that its rules are from.
fn gate(options: &ServerOptions, store: &StoreOptions) -> Result<(Gate, Option<RightsFile>)> {
    let (file, rules) = match options.rights_file.clone() {
        Some(path) => {
            let (file, rules) = RightsFile::open(path)?;
            (Some(file), rules)
        }
        None if options.is_closed => (None, Rules::default()),
        None => return Ok((Gate::open(), None)),
    };
    let passwords_in_clear = options.passwords_in_clear;
    // The store looks after bytes and tables, the gate after streams and puts.
    let (quotas, clock) = (store.quotas.clone(), store.clock.clone());
    let gate = Gate::guarded(rules, &GateOptions { passwords_in_clear, clock, quotas, ..GateOptions::default() });
    Ok((gate, file))
}
