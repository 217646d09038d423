//! Statements in SQL.

use airlane_model::{QueryTicket, Result, StatementResult};

use crate::{Client, TableStream};

impl Client {
    /// Computes a statement that gives rows, such as `SELECT`: they come as they are computed. Dropping the stream ends the
    /// computation. A read that breaks is not gone on with: ask again.
    ///
    /// # Errors
    /// What the server answers, such as `sql_invalid` with the place, and `connection_broken`.
    pub async fn query(&self, sql: &str) -> Result<TableStream> {
        self.get(&QueryTicket::new(sql).to_string()).await
    }

    /// Does what a statement says that changes tables: `CREATE TABLE … AS`, `INSERT INTO`, `DROP TABLE`. When this answers an
    /// error nothing of it is kept, but that after `connection_broken`, `deadline_exceeded` and `commit_unknown` it may be.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn execute(&self, sql: &str) -> Result<StatementResult> {
        self.act("execute", serde_json::json!({ "sql": sql }).to_string()).await
    }
}
