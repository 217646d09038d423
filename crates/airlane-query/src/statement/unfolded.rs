//! How many tables a query reads once its common table expressions are unfolded.
//!
//! The planner writes an expression out wherever it is named. Twenty of them, each naming the one before twice, are a
//! million, in a text of 900 bytes (threat Q2).

use std::collections::HashMap;
use std::ops::ControlFlow;

use airlane_model::{Error, Result, codes};
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Visit, Visitor};

use super::normal;
use crate::limits::RELATIONS_MAX;

/// Refuses a query that unfolds to too many tables.
///
/// # Errors
/// `statement_too_large`.
pub(super) fn check(query: &Query) -> Result<()> {
    let relations = count(query);
    if relations <= RELATIONS_MAX {
        return Ok(());
    }
    let message = format!("the query reads more than {RELATIONS_MAX} tables once its WITH clauses are unfolded");
    Err(Error::new(codes::STATEMENT_TOO_LARGE, message)
        .hint("keep the result of an inner one as a table (CREATE TABLE … AS), and read that"))
}

fn count(query: &Query) -> u64 {
    let mut counter = Counter::default();
    // The visitor never breaks off.
    let _ = query.visit(&mut counter);
    counter.total
}

#[derive(Default)]
struct Counter {
    open: Vec<Level>,
    total: u64,
}

/// A query that is being counted.
#[derive(Default)]
struct Level {
    relations: u64,
    /// Its common table expressions that were counted, by name.
    named: HashMap<String, u64>,
    /// Those that are not yet: the place of each in memory, and its name.
    coming: Vec<(*const Query, String)>,
}

impl Visitor for Counter {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let expressions = query.with.iter().flat_map(|with| &with.cte_tables);
        let coming = expressions.map(|cte| (std::ptr::from_ref(&*cte.query), normal(&cte.alias.name)));
        self.open.push(Level { coming: coming.collect(), ..Level::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let Some(done) = self.open.pop() else { return ControlFlow::Continue(()) };
        let Some(outer) = self.open.last_mut() else {
            self.total = done.relations;
            return ControlFlow::Continue(());
        };
        match outer.coming.iter().position(|(place, _)| std::ptr::eq(*place, query)) {
            Some(at) => {
                let (_, name) = outer.coming.swap_remove(at);
                outer.named.insert(name, done.relations);
            }
            None => outer.relations = outer.relations.saturating_add(done.relations),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = match relation.0.as_slice() {
            [part] => part.as_ident().map(normal),
            _ => None,
        };
        let named = name.and_then(|name| self.open.iter().rev().find_map(|level| level.named.get(&name).copied()));
        if let Some(level) = self.open.last_mut() {
            // A name is a relation of its own, even of an expression that reads none.
            level.relations = level.relations.saturating_add(named.unwrap_or(0).max(1));
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn counted(text: &str) -> u64 {
        let parsed = Parser::parse_sql(&GenericDialect {}, text).expect(text);
        match &parsed[0] {
            Statement::Query(query) => count(query),
            other => panic!("{other} is no query"),
        }
    }

    #[test]
    fn q2_expressions_that_name_others_twice_are_counted_as_often_as_they_are_planned() {
        for (text, relations) in [
            ("SELECT 1", 0),
            ("SELECT * FROM a JOIN b USING (x)", 2),
            ("SELECT * FROM a WHERE x IN (SELECT x FROM b) AND EXISTS (SELECT 1 FROM c)", 3),
            ("WITH a AS (SELECT * FROM t, u) SELECT * FROM a, A", 4),
            ("WITH a AS (SELECT 1 AS x), b AS (SELECT * FROM a, a) SELECT * FROM b, b, b", 6),
            ("WITH a AS (WITH a AS (SELECT * FROM t, t) SELECT * FROM a, a) SELECT * FROM a, a", 8),
            ("WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r) SELECT * FROM r", 1),
            ("WITH a AS (SELECT * FROM t, t) SELECT * FROM \"A\"", 1),
        ] {
            assert_eq!(counted(text), relations, "{text}");
        }
        let chain: Vec<String> = (1..64).map(|n| format!("c{n} AS (SELECT * FROM c{}, c{})", n - 1, n - 1)).collect();
        let bomb = format!("WITH c0 AS (SELECT 1 AS x), {} SELECT * FROM c63", chain.join(", "));
        assert_eq!(counted(&bomb), 1 << 63);
        let parsed = crate::Statement::parse(&bomb).expect_err("a bomb");
        assert_eq!(parsed.code(), codes::STATEMENT_TOO_LARGE);
    }
}
