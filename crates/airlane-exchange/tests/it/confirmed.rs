//! Counted reads that their readers confirm: what a reader has not said to have is given back.

use airlane_exchange::{Exchange, ReadOptions, ReadStream, TicketSpec};
use airlane_model::{Caller, Result, TableName, Ticket, codes};
use airlane_store::LEASE;

use crate::counted::*;
use crate::support::*;

/// A read that its reader is to confirm, and the ticket for that.
fn begin_to_confirm(exchange: &Exchange, of: &Ticket) -> Result<(ReadStream, Ticket)> {
    let options = ReadOptions { is_to_confirm: true, ..ReadOptions::default() };
    let stream = exchange.read_with(&Caller::local(), of, options)?;
    let ticket = stream.resume_ticket().expect("a ticket to confirm by").clone();
    Ok((stream, ticket))
}

fn confirm(exchange: &Exchange, by: &Ticket) -> Result<TableName> {
    exchange.confirm(&Caller::local(), by)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_to_confirm_is_given_back_when_its_reader_has_died_after_the_last_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = clock();
    let exchange = over(Some(folder.path()), &clock);
    table(&exchange).await;
    let once = signed(&exchange, "t", reads(1));
    let (stream, lost) = begin_to_confirm(&exchange, &once).expect("a read");
    assert_eq!(finish(stream).expect("the end"), ROWS);
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_IN_USE, "it may still be confirmed");
    clock.advance(LEASE);
    let (stream, kept) = begin_to_confirm(&exchange, &once).expect("it was given back");
    assert_eq!(code(confirm(&exchange, &lost)), codes::READ_GIVEN_BACK, "it is another's now");
    assert_eq!(finish(stream).expect("the end"), ROWS);
    assert_eq!(confirm(&exchange, &kept).expect("confirmed").to_string(), "t");
    confirm(&exchange, &kept).expect("who did not hear the answer asks again");
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_USED);
    assert_eq!(code(begin_to_confirm(&exchange, &once)), codes::TICKET_USED);
    assert_eq!(code(confirm(&exchange, &lost)), codes::READ_GIVEN_BACK);
    clock.advance(LEASE);
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_USED, "for ever");
    assert_eq!(code(confirm(&exchange, &kept)), codes::READ_GIVEN_BACK, "it is not remembered for ever");
    drop(exchange);
    assert_eq!(code(begin(&over(Some(folder.path()), &clock), &once)), codes::TICKET_USED, "after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_gives_back_what_was_not_confirmed() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = clock();
    let exchange = over(Some(folder.path()), &clock);
    table(&exchange).await;
    let once = signed(&exchange, "t", reads(1));
    let (stream, by) = begin_to_confirm(&exchange, &once).expect("a read");
    assert_eq!(finish(stream).expect("the end"), ROWS);
    drop(exchange);
    let exchange = over(Some(folder.path()), &clock);
    assert_eq!(code(confirm(&exchange, &by)), codes::READ_GIVEN_BACK);
    assert_eq!(read(&exchange, &once).expect("it is free"), ROWS);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flights_of_a_read_are_confirmed_together_and_the_last_read_of_a_table_ends_it() {
    let exchange = exchange();
    table(&exchange).await;
    rule(&exchange, "reads", "1").await.expect("a rule");
    let by = signed(&exchange, "t", TicketSpec::default());
    let plan = exchange.flights(&Caller::local(), &by, 4).expect("a plan");
    // Parts of the read, as the flights of a large table are.
    let parts = [0..3_000, 3_000..ROWS].map(|rows| narrowed(&exchange, &plan.endpoints[0].ticket, rows));
    for part in &parts {
        let (stream, _) = begin_to_confirm(&exchange, part).expect("a part");
        finish(stream).expect("the end");
    }
    assert_eq!(code(begin(&exchange, &by)), codes::TICKET_IN_USE);
    assert_eq!(exchange.list(&Caller::local(), "").len(), 1);
    confirm(&exchange, &parts[1]).expect("confirmed");
    assert_eq!(exchange.list(&Caller::local(), "").len(), 0, "it was the last read of the table");
    assert_eq!(code(confirm(&exchange, &parts[0])), codes::TABLE_NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_confirm_at_once_use_one_read() {
    let exchange = exchange();
    table(&exchange).await;
    let twice = signed(&exchange, "t", reads(2));
    let (mut stream, by) = begin_to_confirm(&exchange, &twice).expect("a read");
    stream.next_batch().expect("a batch").expect("rows");
    let confirms = (0..4).map(|_| {
        let (exchange, by) = (exchange.clone(), by.clone());
        tokio::task::spawn_blocking(move || confirm(&exchange, &by).map_err(|error| error.code()))
    });
    let confirms: Vec<_> = confirms.collect();
    let mut done = 0;
    for outcome in confirms {
        match outcome.await.expect("no panic") {
            Ok(_) => done += 1,
            Err(code) => assert_eq!(code, codes::TICKET_IN_USE, "one is under way"),
        }
    }
    assert!(done >= 1);
    finish(stream).expect("the stream goes on to its end");
    assert_eq!(read(&exchange, &twice).expect("the second read"), ROWS);
    assert_eq!(code(begin(&exchange, &twice)), codes::TICKET_USED);
}

#[tokio::test]
async fn what_cannot_be_confirmed_is_told_so() {
    let exchange = exchange();
    table(&exchange).await;
    // Nothing counts: nothing is to be confirmed, and that is no fault.
    for by in [ticket("t"), signed(&exchange, "t", TicketSpec::default())] {
        let (stream, by) = begin_to_confirm(&exchange, &by).expect("a read");
        assert_eq!(finish(stream).expect("the end"), ROWS);
        confirm(&exchange, &by).expect("nothing to do");
    }
    let once = signed(&exchange, "t", reads(1));
    assert_eq!(code(confirm(&exchange, &once)), codes::OPTION_INVALID, "it says of no read which it is");
    let plan = exchange.flights(&Caller::local(), &once, 1).expect("a plan");
    assert_eq!(code(confirm(&exchange, &plan.endpoints[0].ticket)), codes::READ_GIVEN_BACK, "nobody has begun it");
    let options = ReadOptions { is_resumable: true, ..ReadOptions::default() };
    let stream = exchange.read_with(&Caller::local(), &once, options).expect("a read");
    let by = stream.resume_ticket().expect("a ticket").clone();
    assert_eq!(code(confirm(&exchange, &by)), codes::READ_GIVEN_BACK, "its end confirms it");
    drop(stream);
    rule(&exchange, "reads", "5").await.expect("a rule");
    assert_eq!(code(begin_to_confirm(&exchange, &ticket("t"))), codes::OPTION_INVALID);
    assert_eq!(code(confirm(&exchange, &ticket("t"))), codes::OPTION_INVALID);
    assert_eq!(code(confirm(&exchange, &ticket("u"))), codes::TABLE_NOT_FOUND);
    assert_eq!(code(exchange.confirm(&Caller::new("nobody", Vec::new()), &ticket("t"))), codes::TABLE_NOT_FOUND);
}
