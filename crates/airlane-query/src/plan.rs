//! A planned query: what it reads, what it gives, and that nothing in it reaches out.

use std::sync::Arc;

use airlane_model::{Error, Result, codes};
use airlane_store::Snapshot;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, FieldRef, SchemaRef};
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, ParamValues, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, LogicalPlanBuilder, WriteOp, cast};

use crate::name::TableRef;
use crate::tables::Pinned;
use crate::{bounded, error};

/// A query that can be run.
#[derive(Clone)]
pub struct Planned {
    pub(crate) state: SessionState,
    pub(crate) logical: LogicalPlan,
    pinned: Arc<Pinned>,
    schema: SchemaRef,
    /// The table that it gives as it lies, where that is all that it does.
    whole: Option<TableRef>,
    /// The first parameter has number 1.
    parameters: Vec<FieldRef>,
}

impl std::fmt::Debug for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planned").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Planned {
    /// # Errors
    /// `statement_refused` for a plan that holds more than what reads tables and computes; `sql_invalid`.
    pub(crate) fn new(state: SessionState, logical: LogicalPlan, pinned: Arc<Pinned>) -> Result<Self> {
        check(&logical)?;
        let parameters = parameters(&logical)?;
        let whole = whole(&logical);
        let logical = hydrated(logical)?;
        let schema = Arc::new(logical.schema().as_arrow().clone());
        Ok(Self { state, logical, pinned, schema, whole, parameters })
    }

    /// The rows that a statement inserts, under the schema of their table.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn inserted(
        state: SessionState,
        logical: LogicalPlan,
        pinned: Arc<Pinned>,
        table: SchemaRef,
    ) -> Result<Self> {
        let LogicalPlan::Dml(DmlStatement { op: WriteOp::Insert(_), input, .. }) = logical else {
            return Err(Error::new(codes::INTERNAL, "an INSERT was planned as something else"));
        };
        let logical = Arc::unwrap_or_clone(input);
        check(&logical)?;
        let parameters = parameters(&logical)?;
        Ok(Self { state, logical, pinned, schema: table, whole: None, parameters })
    }

    /// The columns of its rows. A column that is a dictionary in its table is one of values here.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The table that it gives whole and as it lies, in the version that it reads: `SELECT * FROM prices`. Its segments can be
    /// sent as they are, and then nothing is computed.
    pub fn whole(&self) -> Option<Snapshot> {
        self.pinned.opened(self.whole.as_ref()?)
    }

    /// The tables that it reads as it names them, each in the version that it reads.
    pub fn tables(&self) -> Vec<(TableRef, Snapshot)> {
        self.pinned.all_opened()
    }

    /// Its parameters in their order, `$1` first. One whose type the statement does not tell has the type null.
    pub fn parameters(&self) -> &[FieldRef] {
        &self.parameters
    }

    /// The same with values for the parameters: one row, a column for each in their order.
    ///
    /// # Errors
    /// `sql_invalid` for another number of rows or columns, and for types that do not fit.
    pub fn bind(self, values: &RecordBatch) -> Result<Self> {
        let count = self.parameters.len();
        if values.num_rows() != 1 || values.num_columns() != count {
            let message = format!(
                "the statement has {count} parameters, and there are {} rows of {} values",
                values.num_rows(),
                values.num_columns()
            );
            return Err(Error::new(codes::SQL_INVALID, message).hint("bind one row with a value for each parameter"));
        }
        let values = values.columns().iter().zip(&self.parameters).map(|(column, parameter)| {
            let value = ScalarValue::try_from_array(column, 0)?;
            let wanted = parameter.data_type();
            let value = if wanted.is_null() || value.data_type() == *wanted { value } else { value.cast_to(wanted)? };
            Ok(ScalarAndMetadata::from(value))
        });
        let values = values.collect::<datafusion::common::Result<_>>().map_err(error::of_planning)?;
        let logical = self.logical.with_param_values(ParamValues::List(values)).map_err(error::of_planning)?;
        check(&logical)?;
        // Only now it may be known what the columns are whose types the statement does not tell.
        let is_open = self.schema.fields().iter().any(|field| field.data_type().is_null());
        let schema = if is_open { Arc::new(logical.schema().as_arrow().clone()) } else { self.schema };
        Ok(Self { logical, schema, parameters: Vec::new(), ..self })
    }
}

/// The table of a scan that nothing is done to.
fn whole(logical: &LogicalPlan) -> Option<TableRef> {
    let LogicalPlan::Projection(projection) = logical else { return None };
    let columns = projection.input.schema().columns();
    let is_all = projection.expr.len() == columns.len()
        && projection.expr.iter().zip(&columns).all(|(expr, column)| matches!(expr, Expr::Column(of) if of == column));
    let LogicalPlan::TableScan(scan) = projection.input.as_ref() else { return None };
    let is_bare = scan.projection.is_none() && scan.filters.is_empty() && scan.fetch.is_none();
    if !(is_all && is_bare) { None } else { TableRef::of_reference(&scan.table_name).ok() }
}

/// The parameters by their numbers, each there.
fn parameters(logical: &LogicalPlan) -> Result<Vec<FieldRef>> {
    let found = logical.get_parameter_fields().map_err(error::of_planning)?;
    let mut numbered = Vec::with_capacity(found.len());
    for (name, field) in found {
        let number =
            name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok()).filter(|number| *number > 0);
        let Some(number) = number else {
            return Err(Error::new(codes::SQL_INVALID, format!("`{name}` is no parameter"))
                .hint("parameters are written ? or $1, $2 …"));
        };
        let kind = field.map_or(DataType::Null, |field| field.data_type().clone());
        numbered.push((number, Arc::new(Field::new(format!("${number}"), kind, true))));
    }
    numbered.sort_by_key(|(number, _)| *number);
    if numbered.iter().zip(1..).any(|((number, _), wanted)| *number != wanted) {
        return Err(Error::new(codes::SQL_INVALID, "the numbers of the parameters have a gap")
            .hint("number them from $1 on, or write ? for each"));
    }
    Ok(numbered.into_iter().map(|(_, field)| field).collect())
}

/// Dictionaries differ between the segments of a table, and what is computed has none of its own.
fn hydrated(logical: LogicalPlan) -> Result<LogicalPlan> {
    let schema = logical.schema().clone();
    if schema.fields().iter().all(|field| plain_type(field.data_type()) == *field.data_type()) {
        return Ok(logical);
    }
    let columns = schema.columns().into_iter().zip(schema.fields());
    let exprs = columns.map(|(column, field)| match plain_type(field.data_type()) {
        plain if plain == *field.data_type() => Expr::Column(column),
        plain => {
            let Column { relation, name, .. } = column.clone();
            cast(Expr::Column(column), plain).alias_qualified(relation, name)
        }
    });
    let built = LogicalPlanBuilder::from(logical).project(exprs.collect::<Vec<_>>());
    built.and_then(LogicalPlanBuilder::build).map_err(error::of_planning)
}

/// A type with values where it has dictionaries.
fn plain_type(kind: &DataType) -> DataType {
    let plain = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(plain_type(field.data_type())));
    match kind {
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::List(field) => DataType::List(plain(field)),
        DataType::LargeList(field) => DataType::LargeList(plain(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(plain(field), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        DataType::Map(field, is_sorted) => DataType::Map(plain(field), *is_sorted),
        other => other.clone(),
    }
}

/// Lets only those nodes pass that read tables and compute, at any depth: so `EXPLAIN ANALYZE` and what is bound later meet
/// the same list (threat Q1).
fn check(logical: &LogicalPlan) -> Result<()> {
    let mut refused = None;
    let walked = logical.apply_with_subqueries(|node| {
        let is_taken = match node {
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::TableScan(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::DescribeTable(_)
            | LogicalPlan::Unnest(_)
            | LogicalPlan::RecursiveQuery(_) => true,
            LogicalPlan::Statement(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_) => false,
        };
        if is_taken {
            return Ok(TreeNodeRecursion::Continue);
        }
        refused = Some(node.display().to_string());
        Ok(TreeNodeRecursion::Stop)
    });
    walked.map_err(error::of_planning)?;
    match refused {
        None => bounded::check(logical),
        Some(node) => {
            let name = node.split([':', ' ']).next().unwrap_or_default().to_owned();
            Err(Error::new(
                codes::STATEMENT_REFUSED,
                format!("the statement holds `{name}`, which no query may do here"),
            )
            .hint("there are SELECT, EXPLAIN, CREATE TABLE … AS, INSERT INTO and DROP TABLE"))
        }
    }
}
