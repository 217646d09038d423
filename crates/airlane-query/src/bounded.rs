//! Functions that make much of little: how much is to be said in the statement, and bounded.
//!
//! `repeat('x', 2000000000)` is two gigabytes that no pool sees, made while the statement is planned (threat Q4).

use airlane_model::{Error, Result, codes};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// The functions, and which of their arguments say how much: all from that one on.
const FUNCTIONS: [(&str, usize); 8] = [
    ("repeat", 1),
    ("lpad", 1),
    ("rpad", 1),
    ("array_repeat", 1),
    ("list_repeat", 1),
    ("array_resize", 1),
    ("range", 0),
    ("generate_series", 0),
];

/// How much of something one call may make.
const COUNT_MAX: i128 = 1_000_000;

/// Refuses a plan with a call that may make too much.
///
/// # Errors
/// `statement_too_large`; `statement_refused` where the number is no literal.
pub(crate) fn check(logical: &LogicalPlan) -> Result<()> {
    let mut found = Ok(());
    let walked = logical.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                let judged = judge(expr);
                Ok(match judged {
                    Ok(()) => TreeNodeRecursion::Continue,
                    Err(error) => {
                        found = Err(error);
                        TreeNodeRecursion::Stop
                    }
                })
            })
        })
    });
    let walked: EngineResult<TreeNodeRecursion> = walked;
    walked.map_err(crate::error::of_planning)?;
    found
}

fn judge(expr: &Expr) -> Result<()> {
    let Expr::ScalarFunction(call) = expr else { return Ok(()) };
    let Some((name, first)) = FUNCTIONS.iter().find(|(name, _)| *name == call.func.name()) else { return Ok(()) };
    for count in call.args.iter().skip(*first) {
        match count_of(count) {
            Count::Known(count) if count.abs() <= COUNT_MAX => {}
            Count::Other => {}
            Count::Known(count) => {
                let message = format!("`{name}` is to make {count} of something, and {COUNT_MAX} is the most");
                return Err(Error::new(codes::STATEMENT_TOO_LARGE, message)
                    .hint("put many values as a table, or use generate_series in FROM"));
            }
            Count::Unknown => {
                let message = format!("how much `{name}` makes is not written as a number");
                return Err(Error::new(codes::STATEMENT_REFUSED, message).hint("write the number in the statement"));
            }
        }
    }
    Ok(())
}

enum Count {
    Known(i128),
    /// A text, a moment, or a value that is to be bound, after which it is judged again.
    Other,
    Unknown,
}

fn count_of(expr: &Expr) -> Count {
    match expr {
        Expr::Literal(value, _) => match value.cast_to(&datafusion::arrow::datatypes::DataType::Int64) {
            Ok(ScalarValue::Int64(Some(count))) if value.data_type().is_numeric() => Count::Known(i128::from(count)),
            _ => Count::Other,
        },
        Expr::Negative(inner) => match count_of(inner) {
            Count::Known(count) => Count::Known(-count),
            other => other,
        },
        Expr::Cast(cast) => count_of(&cast.expr),
        Expr::Placeholder(_) => Count::Other,
        _ => Count::Unknown,
    }
}
