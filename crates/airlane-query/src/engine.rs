//! What plans and computes, on threads of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use airlane_model::{Error, Result, codes};
use airlane_segment::MemoryBudget;
use arrow_schema::SchemaRef;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use crate::limits::{QueryLimits, STACK_BYTES};
use crate::memory::QueryPool;
use crate::name::CATALOG;
use crate::plan::Planned;
use crate::rows::Rows;
use crate::statement::{Inserted, Select};
use crate::tables::{Catalog, Pinned, Tables};
use crate::yielding::MakeWay;
use crate::{error, rows};

/// Plans and runs queries. Clones share its threads and its limits.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    /// Taken when the last clone goes, which may be where no runtime may be dropped.
    runtime: Option<Runtime>,
    /// What all sessions begin as: the functions, and settings that no statement changes.
    base: SessionState,
    environment: RuntimeEnv,
    budget: MemoryBudget,
    limits: QueryLimits,
    turns: Arc<Semaphore>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Engine {
    /// With its memory from a budget and its disk in a folder of its own, which is cleared; without one nothing goes to disk.
    ///
    /// # Errors
    /// `storage_failed` when the folder cannot be cleared of what an earlier server left, or no thread begun.
    pub fn open(folder: Option<&Path>, budget: MemoryBudget, limits: QueryLimits) -> Result<Self> {
        let spill = folder.map(cleared).transpose()?;
        let mode = spill.map_or(DiskManagerMode::Disabled, |folder| DiskManagerMode::Directories(vec![folder]));
        let disk = DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(limits.disk.as_u64());
        let environment = RuntimeEnvBuilder::new().with_disk_manager_builder(disk).build().map_err(begun)?;
        // The one store that is there by default reads files of this machine.
        let files = ObjectStoreUrl::local_filesystem();
        environment.deregister_object_store(files.as_ref()).map_err(begun)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(limits.threads.max(1))
            .thread_name("airlane-query")
            .thread_stack_size(STACK_BYTES.as_usize())
            .enable_time()
            .build()
            .map_err(|error| {
                Error::new(codes::STORAGE_FAILED, "the threads of queries cannot be started").source(error)
            })?;
        let base = SessionStateBuilder::new()
            .with_config(config(limits.threads))
            .with_runtime_env(Arc::new(environment.clone()))
            .with_default_features()
            .with_table_factories(std::collections::HashMap::new())
            .with_physical_optimizer_rule(Arc::new(MakeWay))
            .build();
        let turns = Arc::new(Semaphore::new(limits.at_once.max(1)));
        Ok(Self(Arc::new(Inner { runtime: Some(runtime), base, environment, budget, limits, turns })))
    }

    /// Plans a query over the tables that its caller may read.
    ///
    /// # Errors
    /// `sql_invalid` with the place, `statement_refused`; what [`Tables::open`] answers.
    pub async fn plan(&self, tables: Arc<dyn Tables>, select: Select) -> Result<Planned> {
        let pinned = Pinned::new(tables);
        let state = self.session(pinned.clone());
        let planning = async move {
            let logical = state.statement_to_plan(*select.0).await.map_err(error::of_planning)?;
            Planned::new(state, logical, pinned)
        };
        joined(self.handle().spawn(planning).await)
    }

    /// Plans the rows that a statement inserts into a table of a schema.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub async fn plan_insert(&self, tables: Arc<dyn Tables>, rows: Inserted, table: SchemaRef) -> Result<Planned> {
        let pinned = Pinned::new(tables);
        let state = self.session(pinned.clone());
        let planning = async move {
            let logical = state.statement_to_plan(*rows.0).await.map_err(error::of_planning)?;
            Planned::inserted(state, logical, pinned, table)
        };
        joined(self.handle().spawn(planning).await)
    }

    /// Runs a planned query. Nothing is computed before its turn, and no more than a few batches before they are taken;
    /// dropping the rows ends it.
    ///
    /// # Errors
    /// `sql_invalid` when parameters have no values.
    pub fn run(&self, planned: Planned) -> Result<Rows> {
        let missing = planned.parameters().len();
        if missing > 0 {
            let message = format!("the statement has {missing} parameters, and they have no values");
            return Err(Error::new(codes::SQL_INVALID, message).hint("bind a value for each"));
        }
        Ok(rows::run(self.handle(), self.0.turns.clone(), self.0.limits.time, planned))
    }

    fn handle(&self) -> &Handle {
        // It is taken only by the drop of the last clone.
        self.0.runtime.as_ref().map_or_else(|| unreachable!("an engine that is there has a runtime"), Runtime::handle)
    }

    fn session(&self, pinned: Arc<Pinned>) -> SessionState {
        let pool = QueryPool::new(self.0.limits.memory, &self.0.budget);
        let environment = RuntimeEnv { memory_pool: Arc::new(pool), ..self.0.environment.clone() };
        SessionStateBuilder::new_from_existing(self.0.base.clone())
            .with_runtime_env(Arc::new(environment))
            .with_catalog_list(Arc::new(Catalog(pinned)))
            .build()
    }
}

fn config(threads: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, airlane_model::name::NAMESPACE_DEFAULT)
        .with_information_schema(true)
        .with_target_partitions(threads.max(1));
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    // Readers of older formats know no views.
    options.sql_parser.map_string_types_to_utf8view = false;
    config
}

/// An empty folder.
fn cleared(folder: &Path) -> Result<PathBuf> {
    let failed = |error: std::io::Error| {
        Error::new(codes::STORAGE_FAILED, "the folder of queries cannot be cleared")
            .at(folder.display().to_string())
            .source(error)
            .hint("look at who may write there")
    };
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    std::fs::create_dir_all(folder).map_err(failed)?;
    Ok(folder.to_owned())
}

fn begun(error: datafusion::common::DataFusionError) -> Error {
    Error::new(codes::STORAGE_FAILED, "queries cannot be begun").source(error)
}

/// What a task answers, whose panic is the fault of this server alone.
pub(crate) fn joined<T>(ended: std::result::Result<Result<T>, JoinError>) -> Result<T> {
    ended.unwrap_or_else(|error| {
        let code = if error.is_cancelled() { codes::SHUTTING_DOWN } else { codes::INTERNAL };
        Err(Error::new(code, "a query broke").source(error))
    })
}
