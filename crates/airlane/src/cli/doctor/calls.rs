//! Calls as the commands make them, with credentials.

use airlane_client::{Address, Client, ConnectOptions, PutOptions};
use airlane_model::{Chance, Durability, Error, ErrorKind, Result, SystemChance, TableName, codes};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use std::sync::Arc;

use super::findings::{Findings, Patience};
use crate::output::human;

const ROWS: i64 = 1_000_000;

pub(super) async fn examine(
    address: &Address,
    options: &ConnectOptions,
    patience: Patience,
    writes: bool,
    findings: &mut Findings,
) -> Option<()> {
    const CHECK: &str = "credentials";
    let name = format!("airlane-doctor-{:016x}", random());
    let asked = async {
        let client = Client::connect_with(&address.to_string(), options).await?;
        // Lists nothing: only whether it may is of interest.
        client.list(&name).await?;
        Ok::<_, Error>(client)
    };
    let client = match patience.wait(asked).await {
        Some(Ok(client)) => client,
        Some(Err(error)) => {
            let hint = error.hint_text().unwrap_or("look at the server's log").to_owned();
            let word = match error.kind() {
                ErrorKind::Unauthenticated => "refused: ",
                _ => "",
            };
            findings.fail(CHECK, format!("{word}{}", error.message()), hint);
            return None;
        }
        None => {
            findings.fail(CHECK, "a call gets no answer in time", "look at the server's log");
            return None;
        }
    };
    findings.ok(CHECK, "a call is answered");
    if writes {
        write(&client, &name, patience, findings).await;
    }
    Some(())
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    SystemChance.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

async fn write(client: &Client, name: &str, patience: Patience, findings: &mut Findings) {
    const CHECK: &str = "write";
    let begun = std::time::Instant::now();
    // More than a check of one answer: 8 MB go there and back.
    let done = tokio::time::timeout(patience.each * 4, there_and_back(client, name)).await;
    match done {
        Ok(Ok(bytes)) => {
            let time = human::duration(begun.elapsed());
            findings.ok(CHECK, format!("{} were put, read and dropped in {time}", human::bytes(bytes)));
        }
        Ok(Err(error)) => {
            let hint = error.hint_text().unwrap_or("look at the server's log").to_owned();
            findings.fail(CHECK, error.message().to_owned(), hint);
        }
        Err(_) => {
            findings.fail(CHECK, "a table does not get there and back in time", "raise `--timeout` for slow lines")
        }
    }
}

async fn there_and_back(client: &Client, name: &str) -> Result<u64> {
    let table = TableName::parse(name)?;
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS));
    let batch = RecordBatch::try_from_iter([("n", column)])
        .map_err(|error| Error::new(codes::INTERNAL, format!("no rows can be made: {error}")))?;
    let batches = futures::stream::iter([Ok(batch.clone())]);
    let options = PutOptions { durability: Some(Durability::Ephemeral), ..PutOptions::default() };
    let receipt = client.put(&table, batch.schema(), batches, options).await?;
    let read = async {
        let (mut rows, mut stream) = (0, client.get(&receipt.ticket).await?);
        while let Some(batch) = stream.next().await? {
            rows += batch.num_rows() as i64;
        }
        Ok::<_, Error>(rows)
    };
    let read = read.await;
    // Whatever came of the read, nothing is left.
    let dropped = client.drop_table(&table).await;
    if read? != ROWS {
        return Err(Error::new(codes::DATA_DAMAGED, "other rows came back than were put"));
    }
    dropped.map(|_| ROWS as u64 * 8)
}
