//! Puts that are repeated when their connection breaks.

use std::time::Duration;

use airlane_model::{Chance, Error, IdempotencyKey, Receipt, Result, SystemChance, TableName, codes};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::stream;
use tokio::time::{Instant, sleep};

use crate::client::{Client, PutOptions};

/// The waits between attempts begin and end with these.
const WAIT_FIRST: Duration = Duration::from_millis(100);
const WAIT_LAST: Duration = Duration::from_secs(2);

impl Client {
    /// Puts batches that are all there. When the connection breaks, the server is started anew, or it is short of something, the put
    /// is repeated, for as long as [`resume_for`](crate::ConnectOptions::resume_for) says. It has a key, the one of the options
    /// or a new one, so that it is done once however often it is sent.
    ///
    /// # Errors
    /// What the server answers; the last error when repeating it did not help. `connection_broken` says that it is not known
    /// whether the put was kept: repeat it with the key of the options, if they have one.
    pub async fn put_batches(
        &self,
        table: &TableName,
        schema: SchemaRef,
        batches: &[RecordBatch],
        options: PutOptions,
    ) -> Result<Receipt> {
        let key = options.key.clone().map_or_else(random_key, Ok)?;
        let options = PutOptions { key: Some(key), ..options };
        let end = Instant::now() + self.resume_for();
        let mut wait = WAIT_FIRST;
        loop {
            let all: Vec<_> = batches.iter().cloned().map(Ok).collect();
            let error = match self.put(table, schema.clone(), stream::iter(all), options.clone()).await {
                Err(error) if is_worth_repeating(&error) => error,
                other => return other,
            };
            wait = wait.max(error.retry_after_time().unwrap_or_default());
            if Instant::now() + wait > end {
                return Err(error);
            }
            sleep(wait).await;
            wait = (2 * wait).min(WAIT_LAST);
        }
    }
}

/// With a key also what may have been kept.
fn is_worth_repeating(error: &Error) -> bool {
    let is_unknown = [codes::CONNECTION_BROKEN, codes::COMMIT_UNKNOWN].contains(&error.code());
    is_unknown || error.code().is_retryable()
}

fn random_key() -> Result<IdempotencyKey> {
    let mut bytes = [0; 16];
    SystemChance.fill(&mut bytes);
    format!("{:032x}", u128::from_le_bytes(bytes)).parse()
}
