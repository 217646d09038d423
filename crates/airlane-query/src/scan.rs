//! A scan of a table's segments: batches whose arrays point into them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use airlane_model::TableInfo;
use airlane_segment::segment::projected;
use airlane_segment::{Segment, TableSchema};
use airlane_store::{SegmentRef, Snapshot};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::error::ArrowError;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::limit::LimitStream;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::stream;

use crate::error;

/// A partition of fewer rows costs more to begin than it saves.
const PARTITION_ROWS_MIN: u64 = 32 * 1024;

/// Reads some columns of a version, in parts of about as many rows each.
#[derive(Clone)]
pub(crate) struct SegmentScan {
    snapshot: Snapshot,
    /// The columns, where they are not all.
    projection: Option<Arc<[usize]>>,
    parts: Arc<[Range<u64>]>,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SegmentScan {
    /// # Errors
    /// For columns that there are not.
    pub(crate) fn new(
        snapshot: Snapshot,
        projection: Option<Vec<usize>>,
        fetch: Option<usize>,
        parts_max: usize,
    ) -> std::result::Result<Self, ArrowError> {
        let table = snapshot.schema().arrow();
        let schema = match &projection {
            Some(columns) => Arc::new(table.project(columns)?),
            None => table.clone(),
        };
        let wanted = fetch.map_or(u64::MAX, |fetch| fetch as u64).min(snapshot.info().rows);
        // The first rows are enough, most often, where not all are wanted.
        let parts_max = if wanted < snapshot.info().rows { 1 } else { parts_max };
        let parts: Arc<[_]> = parts(snapshot.info().rows, parts_max).into();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(parts.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            snapshot,
            projection: projection.map(Into::into),
            parts,
            fetch,
            properties: Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative)),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

/// Cuts rows into ranges.
fn parts(rows: u64, parts_max: usize) -> Vec<Range<u64>> {
    let count = (rows / PARTITION_ROWS_MIN).clamp(1, parts_max.max(1) as u64);
    let cut = |part: u64| (u128::from(rows) * u128::from(part) / u128::from(count)) as u64;
    (0..count).map(|part| cut(part)..cut(part + 1)).collect()
}

/// What the catalog knows of a table's columns.
pub(crate) fn statistics(info: &TableInfo, schema: &Schema) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = Precision::Exact(usize::try_from(info.rows).unwrap_or(usize::MAX));
    statistics.total_byte_size = Precision::Inexact(usize::try_from(info.bytes).unwrap_or(usize::MAX));
    statistics
}

impl fmt::Debug for SegmentScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentScan").field("table", &self.snapshot.info().table).finish_non_exhaustive()
    }
}

impl DisplayAs for SegmentScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.snapshot.info();
        write!(f, "SegmentScan: table={}@{}, parts={}", info.table, info.version, self.parts.len())?;
        if self.projection.is_some() {
            let schema = self.schema();
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            write!(f, ", columns=[{}]", names.join(", "))?;
        }
        if let Some(fetch) = self.fetch {
            write!(f, ", fetch={fetch}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for SegmentScan {
    fn name(&self) -> &'static str {
        "SegmentScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a scan has no children") }
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(rows) = self.parts.get(partition).cloned() else {
            return internal_err!("a scan of {} parts has no part {partition}", self.parts.len());
        };
        let state = Part { rows, scan: self.clone(), current: None, passed: 0, next: 0 };
        let batches = stream::try_unfold(state, Part::next);
        let batches = make_cooperative(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)));
        Ok(match self.fetch {
            None => batches,
            Some(fetch) => {
                let metrics = BaselineMetrics::new(&self.metrics, partition);
                Box::pin(LimitStream::new(batches, 0, Some(fetch), metrics))
            }
        })
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let of_table = statistics(self.snapshot.info(), self.snapshot.schema().arrow());
        let mut of_scan = Statistics::new_unknown(&self.schema());
        of_scan.num_rows = of_table.num_rows;
        if self.projection.is_none() {
            of_scan.total_byte_size = of_table.total_byte_size;
        }
        if let Some(part) = args.partition() {
            let rows = self.parts.get(part).map_or(0, |rows| rows.end - rows.start);
            of_scan.num_rows = Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX));
            of_scan.total_byte_size = Precision::Absent;
        }
        if self.fetch.is_some() {
            of_scan = of_scan.with_fetch(self.fetch, 0, 1)?;
        }
        Ok(Arc::new(of_scan))
    }

    fn with_fetch(&self, fetch: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self { fetch, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }
}

/// A part of a scan, as it is read.
struct Part {
    scan: SegmentScan,
    /// The rows that are still to be read.
    rows: Range<u64>,
    current: Option<Current>,
    /// The rows of the segments before `next`.
    passed: u64,
    next: usize,
}

struct Current {
    segment: Arc<Segment>,
    base: u64,
    batch: usize,
}

impl Part {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        while self.rows.start < self.rows.end {
            let Some(current) = &mut self.current else {
                let Some(next) = self.scan.snapshot.segments().get(self.next).cloned() else { return Ok(None) };
                let base = self.passed;
                self.passed += next.rows();
                self.next += 1;
                if self.rows.start < self.passed {
                    self.current = Some(Current { segment: open(next).await?, base, batch: 0 });
                }
                continue;
            };
            if current.batch >= current.segment.batch_count() {
                self.current = None;
                continue;
            }
            let of_batch = current.segment.batch_rows(current.batch);
            let end = current.base + of_batch.end;
            if end <= self.rows.start {
                current.batch += 1;
                continue;
            }
            let schema = self.scan.snapshot.schema();
            let batch = read(&current.segment, current.batch, schema, self.scan.projection.as_deref());
            let batch = batch.map_err(error::carried)?;
            let (from, to) = (self.rows.start, end.min(self.rows.end));
            let offset = from - current.base - of_batch.start;
            current.batch += 1;
            self.rows.start = to;
            return Ok(Some((batch.slice(offset as usize, (to - from) as usize), self)));
        }
        Ok(None)
    }
}

fn read(
    segment: &Segment,
    batch: usize,
    schema: &TableSchema,
    columns: Option<&[usize]>,
) -> airlane_model::Result<RecordBatch> {
    let batch = segment.batch_as(batch, schema)?;
    match columns {
        Some(columns) => projected(&batch, columns),
        None => Ok(batch),
    }
}

/// A segment that was not read since the start is read from its file, which takes its time.
async fn open(segment: SegmentRef) -> Result<Arc<Segment>> {
    if segment.is_open() {
        return segment.open().map_err(error::carried);
    }
    let opened = tokio::task::spawn_blocking(move || segment.open()).await;
    let opened = opened.map_err(|error| datafusion::common::DataFusionError::External(Box::new(error)))?;
    opened.map_err(error::carried)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_rows_in_order_and_are_about_as_long() {
        for (rows, parts_max, count) in [
            (0, 4, 1),
            (1, 4, 1),
            (PARTITION_ROWS_MIN * 2 - 1, 4, 1),
            (PARTITION_ROWS_MIN * 3 + 1, 4, 3),
            (10_000_000, 4, 4),
            (10_000_001, 7, 7),
            (u64::MAX, 3, 3),
            (5, 0, 1),
        ] {
            let parts = parts(rows, parts_max);
            assert_eq!((parts.len(), parts[0].start, parts[parts.len() - 1].end), (count, 0, rows));
            let lengths = parts.iter().map(|part| part.end - part.start);
            assert!(lengths.clone().max().zip(lengths.min()).is_some_and(|(most, least)| most - least <= 1));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
