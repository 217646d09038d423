//! The tables of a query as DataFusion looks for them, each opened once and pinned.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use airlane_model::name::NAMESPACE_DEFAULT;
use airlane_model::{Result, TableInfo, codes};
use airlane_store::Snapshot;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, Session, TableProvider};
use datafusion::common::{DataFusionError, Result as DfResult, Statistics};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

use crate::error;
use crate::name::{CATALOG, TableRef};
use crate::scan::{SegmentScan, statistics};

/// What a query may read, as its caller may.
pub trait Tables: Send + Sync {
    /// The table in the version that is named, else in the one that there is.
    ///
    /// # Errors
    /// `table_not_found`, `version_not_found`, `table_recreated`, and why it cannot be read by a query.
    fn open(&self, table: &TableRef) -> Result<Snapshot>;

    /// What there is, in the order of the names.
    fn list(&self) -> Vec<TableInfo>;
}

/// The tables of one query. A table that is named twice is read in one version.
pub(crate) struct Pinned {
    tables: Arc<dyn Tables>,
    opened: Mutex<BTreeMap<TableRef, Snapshot>>,
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.opened.lock().keys()).finish()
    }
}

impl Pinned {
    pub(crate) fn new(tables: Arc<dyn Tables>) -> Arc<Self> {
        Arc::new(Self { tables, opened: Mutex::default() })
    }

    fn open(&self, name: TableRef) -> Result<Snapshot> {
        if let Some(opened) = self.opened.lock().get(&name) {
            return Ok(opened.clone());
        }
        let snapshot = self.tables.open(&name)?;
        // Two that look at once agree on the first.
        Ok(self.opened.lock().entry(name).or_insert(snapshot).clone())
    }

    /// A table that was opened.
    pub(crate) fn opened(&self, name: &TableRef) -> Option<Snapshot> {
        self.opened.lock().get(name).cloned()
    }

    /// All of them.
    pub(crate) fn all_opened(&self) -> Vec<(TableRef, Snapshot)> {
        self.opened.lock().iter().map(|(name, snapshot)| (name.clone(), snapshot.clone())).collect()
    }
}

/// The functions that stand where a table may, and read none.
const FUNCTIONS: [&str; 2] = ["generate_series", "range"];

/// The one catalog of a query.
#[derive(Debug)]
pub(crate) struct Catalog(pub(crate) Arc<Pinned>);

impl CatalogProviderList for Catalog {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::new(Namespaces(self.0.clone())) as Arc<dyn CatalogProvider>)
    }
}

#[derive(Debug)]
struct Namespaces(Arc<Pinned>);

impl CatalogProvider for Namespaces {
    fn schema_names(&self) -> Vec<String> {
        let mut names: BTreeSet<String> =
            self.0.tables.list().iter().map(|info| info.table.namespace().to_owned()).collect();
        names.insert(NAMESPACE_DEFAULT.to_owned());
        names.into_iter().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        // Whether there is one is not to be told from whether it may be read.
        Some(Arc::new(Namespace { name: name.to_owned(), pinned: self.0.clone() }))
    }
}

#[derive(Debug)]
struct Namespace {
    name: String,
    pinned: Arc<Pinned>,
}

#[async_trait::async_trait]
impl SchemaProvider for Namespace {
    fn table_names(&self) -> Vec<String> {
        let mut tables = self.pinned.tables.list();
        tables.retain(|info| info.table.namespace() == self.name);
        tables.iter().map(|info| info.table.in_namespace().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> DfResult<Option<Arc<dyn TableProvider>>> {
        let opened = TableRef::of(&self.name, name).and_then(|name| self.pinned.open(name));
        // The engine asks for what may be a function in the same way.
        if FUNCTIONS.contains(&name) && opened.as_ref().is_err_and(|error| error.code() == codes::TABLE_NOT_FOUND) {
            return Ok(None);
        }
        let snapshot = opened.map_err(error::carried)?;
        Ok(Some(Arc::new(SnapshotTable(snapshot))))
    }

    fn table_exist(&self, name: &str) -> bool {
        TableRef::of(&self.name, name).and_then(|name| self.pinned.open(name)).is_ok()
    }
}

/// One version of a table.
#[derive(Debug)]
struct SnapshotTable(Snapshot);

#[async_trait::async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema().arrow().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(statistics(self.0.info(), self.0.schema().arrow()))
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let partitions = session.config().target_partitions();
        let scan = SegmentScan::new(self.0.clone(), projection.cloned(), limit, partitions);
        Ok(Arc::new(scan.map_err(|error| DataFusionError::ArrowError(Box::new(error), None))?))
    }
}
