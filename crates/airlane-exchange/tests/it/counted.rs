//! Counted reads: who gets one, who gives it back, and that nobody gets one too many.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use airlane_exchange::{
    COUNTED_TTL_DEFAULT, COUNTED_TTL_MAX, Exchange, ReadOptions, ReadStream, SignedPass, TicketSpec,
};
use airlane_model::{Caller, Code, PutMode, Result, RetentionChange, RowRange, TableName, Ticket, Timestamp, codes};
use airlane_store::testing::ManualClock;
use airlane_store::{LEASE, StoreOptions};

use crate::support::*;

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
pub(crate) const ROWS: u64 = 9_000;

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOW))
}

pub(crate) fn over(folder: Option<&Path>, clock: &Arc<ManualClock>) -> Exchange {
    let options = StoreOptions::new(folder.map(Path::to_owned));
    exchange_of(StoreOptions { clock: clock.clone(), ..options })
}

pub(crate) async fn table(exchange: &Exchange) {
    put(exchange, "t", PutMode::Replace, &[batch(0..ROWS as i64, &["a", "b"])]).await;
}

pub(crate) fn reads(count: u64) -> TicketSpec {
    TicketSpec { reads: NonZeroU64::new(count), ..TicketSpec::default() }
}

pub(crate) fn sign(exchange: &Exchange, of: &Ticket, spec: TicketSpec) -> Result<SignedPass> {
    exchange.sign(&Caller::local(), of, spec)
}

pub(crate) fn signed(exchange: &Exchange, text: &str, spec: TicketSpec) -> Ticket {
    sign(exchange, &ticket(text), spec).expect("signed").ticket.into()
}

pub(crate) fn narrowed(exchange: &Exchange, of: &Ticket, rows: std::ops::Range<u64>) -> Ticket {
    let rows = Some(RowRange { start: rows.start, end: rows.end });
    sign(exchange, of, TicketSpec { rows, ..TicketSpec::default() }).expect("narrowed").ticket.into()
}

pub(crate) fn begin(exchange: &Exchange, of: &Ticket) -> Result<ReadStream> {
    exchange.read(&Caller::local(), of)
}

/// Reads all there is to the end; its rows.
pub(crate) fn finish(mut stream: ReadStream) -> Result<u64> {
    let mut rows = 0;
    while let Some(batch) = stream.next_batch()? {
        rows += batch.num_rows() as u64;
    }
    Ok(rows)
}

pub(crate) fn read(exchange: &Exchange, of: &Ticket) -> Result<u64> {
    finish(begin(exchange, of)?)
}

pub(crate) fn code<T>(result: Result<T>) -> Code {
    result.map(drop).expect_err("an error").code()
}

/// Takes the first batch of a stream, and no more.
pub(crate) fn start(exchange: &Exchange, of: &Ticket) -> (ReadStream, u64) {
    let mut stream = begin(exchange, of).expect("a read");
    let rows = stream.next_batch().expect("a batch").expect("rows").num_rows() as u64;
    assert!(rows < stream.rows().expect("of a table"));
    (stream, rows)
}

/// Takes all rows of a stream, and not its end.
fn drain(stream: &mut ReadStream) {
    let mut left = stream.rows().expect("of a table");
    while left > 0 {
        left -= stream.next_batch().expect("a batch").expect("rows").num_rows() as u64;
    }
}

fn resumable(exchange: &Exchange, of: &Ticket) -> (ReadStream, Ticket) {
    let options = ReadOptions { is_resumable: true, ..ReadOptions::default() };
    let stream = exchange.read_with(&Caller::local(), of, options).expect("a read");
    let resume = stream.resume_ticket().expect("a ticket").clone();
    (stream, resume)
}

fn go_on(exchange: &Exchange, of: &Ticket, row_offset: u64) -> Result<ReadStream> {
    let options = ReadOptions { row_offset: Some(row_offset), is_resumable: true, ..ReadOptions::default() };
    exchange.read_with(&Caller::local(), of, options)
}

pub(crate) fn rule(
    exchange: &Exchange,
    rule: &str,
    text: &str,
) -> impl Future<Output = Result<airlane_model::TableInfo>> + use<> {
    let change = RetentionChange::of(rule, text).expect("a rule");
    exchange.set_retention(&Caller::local(), &TableName::parse("t").expect("a name"), change)
}

#[tokio::test]
async fn of_two_readers_of_one_read_one_gets_it_and_then_nobody() {
    let exchange = exchange();
    table(&exchange).await;
    let once = signed(&exchange, "t", reads(1));
    let (first, rows) = start(&exchange, &once);
    let refused = begin(&exchange, &once).expect_err("the other reader");
    assert_eq!(refused.code(), codes::TICKET_IN_USE);
    assert!(refused.code().is_retryable() && refused.hint_text().is_some());
    // Looks are no reads.
    assert_eq!(exchange.schema(&Caller::local(), &once).expect("a schema").arrow().fields().len(), 2);
    exchange.flights(&Caller::local(), &once, 4).expect("a plan");
    assert_eq!(read(&exchange, &narrowed(&exchange, &once, 5..5)).expect("a look"), 0);
    assert_eq!(rows + finish(first).expect("all rows"), ROWS);
    for refusal in [
        code(begin(&exchange, &once)),
        code(exchange.flights(&Caller::local(), &once, 4)),
        code(exchange.schema(&Caller::local(), &once)),
        code(exchange.renew(&Caller::local(), &once)),
        code(sign(&exchange, &once, reads(1))),
    ] {
        assert_eq!(refusal, codes::TICKET_USED);
    }
    assert_eq!(read(&exchange, &ticket("t")).expect("the table is there"), ROWS);
}

#[tokio::test]
async fn a_reader_that_goes_away_gives_its_read_back() {
    let exchange = exchange();
    table(&exchange).await;
    let once = signed(&exchange, "t", reads(1));
    for _ in 0..3 {
        drop(start(&exchange, &once));
        drop(begin(&exchange, &once).expect("a read that never asks for a row"));
    }
    assert_eq!(read(&exchange, &once).expect("another reader"), ROWS);
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_USED);
}

#[tokio::test]
async fn at_most_once_burns_at_the_first_row() {
    let exchange = exchange();
    table(&exchange).await;
    let burning = || signed(&exchange, "t", TicketSpec { at_most_once: true, ..reads(1) });
    let once = burning();
    drop(begin(&exchange, &once).expect("nobody asked for a row yet"));
    drop(start(&exchange, &once));
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_USED);
    // The flights of one FlightInfo go on, since they are one read.
    let once = burning();
    let plan = exchange.flights(&Caller::local(), &once, 4).expect("a plan");
    let flight = &plan.endpoints[0].ticket;
    drop(start(&exchange, flight));
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_USED);
    assert_eq!(read(&exchange, flight).expect("the same read"), ROWS);
    assert_eq!(code(begin(&exchange, flight)), codes::TICKET_USED);
    assert_eq!(
        code(
            sign(&exchange, &ticket("t"), TicketSpec { at_most_once: true, ..reads(1) })
                .and_then(|pass| { sign(&exchange, &pass.ticket.into(), reads(2)) })
        ),
        codes::OPTION_INVALID
    );
    let alone = TicketSpec { at_most_once: true, ..TicketSpec::default() };
    assert_eq!(code(sign(&exchange, &ticket("t"), alone)), codes::OPTION_INVALID);
}

#[tokio::test]
async fn what_is_narrowed_from_one_ticket_shares_its_reads() {
    let exchange = exchange();
    table(&exchange).await;
    let twice = signed(&exchange, "t", reads(2));
    let column = TicketSpec { columns: Some(vec!["key".into()]), ..TicketSpec::default() };
    let column: Ticket = sign(&exchange, &twice, column).expect("narrowed").ticket.into();
    let once: Ticket = sign(&exchange, &twice, reads(1)).expect("narrowed").ticket.into();
    assert_eq!(code(sign(&exchange, &twice, reads(3))), codes::OPTION_INVALID);
    assert_eq!(read(&exchange, &narrowed(&exchange, &twice, 0..10)).expect("a part is a read"), 10);
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_USED);
    assert_eq!(read(&exchange, &column).expect("the second"), ROWS);
    assert_eq!(code(begin(&exchange, &twice)), codes::TICKET_USED);
    // Two counts of a ticket without one have nothing to do with each other, nor with that ticket.
    let free = signed(&exchange, "t", TicketSpec::default());
    let counted = || -> Ticket { sign(&exchange, &free, reads(1)).expect("counted").ticket.into() };
    let (one, two) = (counted(), counted());
    assert_eq!(read(&exchange, &one).expect("a read"), ROWS);
    assert_eq!(read(&exchange, &two).expect("a read"), ROWS);
    assert_eq!(code(begin(&exchange, &one)), codes::TICKET_USED);
    assert_eq!(read(&exchange, &free).expect("without a count"), ROWS);
}

#[tokio::test]
async fn the_flights_of_one_info_are_one_read() {
    let (clock, folder) = (clock(), tempfile::tempdir().expect("a folder"));
    let exchange = over(Some(folder.path()), &clock);
    table(&exchange).await;
    let once = signed(&exchange, "t", reads(1));
    // Parts of the read, as the flights of a large table are.
    let plan = |of: &Ticket| {
        let plan = exchange.flights(&Caller::local(), of, 4).expect("a plan");
        [0..3_000, 3_000..6_000, 6_000..ROWS].map(|rows| narrowed(&exchange, &plan.endpoints[0].ticket, rows))
    };
    let (mine, other) = (plan(&once), plan(&once));
    let streams: Vec<_> = mine.iter().map(|part| begin(&exchange, part).expect("a flight")).collect();
    assert_eq!(code(begin(&exchange, &other[0])), codes::TICKET_IN_USE);
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_IN_USE);
    drop(streams);
    // Without a stream it waits for its lease, and any part begins that anew.
    clock.advance(LEASE - Duration::from_micros(1));
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_IN_USE);
    assert!(read(&exchange, &mine[0]).expect("a flight") > 0);
    clock.advance(LEASE - Duration::from_micros(1));
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_IN_USE);
    clock.advance(Duration::from_micros(1));
    assert!(read(&exchange, &other[0]).expect("given back") > 0);
    assert_eq!(code(begin(&exchange, &mine[1])), codes::TICKET_IN_USE, "that read is over");
    // One flight breaks off and is resumed where its reader was.
    let (stream, got) = start(&exchange, &other[1]);
    drop(stream);
    read(&exchange, &other[2]).expect("a flight");
    let resume = narrowed(&exchange, &other[1], 3_000 + got..6_000);
    drop(begin(&exchange, &resume).expect("nothing is used yet"));
    assert_eq!(read(&exchange, &resume).expect("the rest"), 3_000 - got);
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_USED);
    assert_eq!(code(begin(&exchange, &other[0])), codes::TICKET_USED);
}

/// Its rows were handed over, and nobody but its reader knows whether they arrived.
#[tokio::test]
async fn a_flight_that_begins_where_another_broke_off_is_no_resume_of_it() {
    let exchange = exchange();
    table(&exchange).await;
    let once = signed(&exchange, "t", reads(1));
    let plan = exchange.flights(&Caller::local(), &once, 4).expect("a plan");
    let [first, second] = [0..3_000, 3_000..ROWS].map(|rows| narrowed(&exchange, &plan.endpoints[0].ticket, rows));
    let mut broken = begin(&exchange, &first).expect("a flight");
    drain(&mut broken);
    drop(broken);
    assert_eq!(read(&exchange, &second).expect("another flight"), ROWS - 3_000);
    assert_eq!(read(&exchange, &first).expect("the flight that broke, once more"), 3_000);
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_USED);
}

/// Nothing is left to send, and the reader is told of the end.
#[tokio::test]
async fn a_read_that_is_gone_on_with_at_its_end_is_used() {
    let clock = clock();
    let exchange = over(None, &clock);
    table(&exchange).await;
    for at_most_once in [false, true] {
        let once = signed(&exchange, "t", TicketSpec { at_most_once, ..reads(1) });
        let (mut broken, resume) = resumable(&exchange, &once);
        drain(&mut broken);
        drop(broken);
        assert_eq!(finish(go_on(&exchange, &resume, ROWS).expect("its end")).expect("no rows"), 0);
        clock.advance(2 * LEASE);
        assert_eq!(code(begin(&exchange, &once)), codes::TICKET_USED);
    }
}

/// The claim is given back, but nobody else has taken it meanwhile.
#[tokio::test]
async fn a_read_that_is_gone_on_with_after_its_lease_is_one_read() {
    let clock = clock();
    let exchange = over(None, &clock);
    table(&exchange).await;
    let once = signed(&exchange, "t", reads(1));
    let (mut broken, resume) = resumable(&exchange, &once);
    let got = broken.next_batch().expect("a batch").expect("rows").num_rows() as u64;
    drop(broken);
    clock.advance(2 * LEASE);
    assert_eq!(finish(go_on(&exchange, &resume, got).expect("the rest")).expect("rows"), ROWS - got);
    clock.advance(2 * LEASE);
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_USED);
    // And when somebody has, the reader is told.
    let once = signed(&exchange, "t", reads(1));
    let (mut broken, resume) = resumable(&exchange, &once);
    broken.next_batch().expect("a batch");
    drop(broken);
    clock.advance(2 * LEASE);
    let other = begin(&exchange, &once).expect("given back");
    assert_eq!(code(go_on(&exchange, &resume, got)), codes::TICKET_IN_USE);
    finish(other).expect("rows");
    assert_eq!(code(go_on(&exchange, &resume, got)), codes::TICKET_USED);
}

/// The server was through with the read when the connection broke: what was under way is sent once more.
#[tokio::test]
async fn a_read_that_broke_behind_its_last_row_is_gone_on_with_for_as_long_as_a_lease() {
    let clock = clock();
    let exchange = over(None, &clock);
    table(&exchange).await;
    let once = signed(&exchange, "t", reads(1));
    let (all, resume) = resumable(&exchange, &once);
    assert_eq!(finish(all).expect("rows"), ROWS);
    for _ in 0..2 {
        assert_eq!(finish(go_on(&exchange, &resume, 4_000).expect("the rest")).expect("rows"), ROWS - 4_000);
    }
    for ticket in [&once, &resume] {
        assert_eq!(code(begin(&exchange, ticket)), codes::TICKET_USED, "from its beginning it is another read");
    }
    clock.advance(LEASE);
    assert_eq!(code(go_on(&exchange, &resume, 4_000)), codes::TICKET_USED);
    // What must not be seen twice is lost rather.
    let once = signed(&exchange, "t", TicketSpec { at_most_once: true, ..reads(1) });
    let (all, resume) = resumable(&exchange, &once);
    finish(all).expect("rows");
    assert_eq!(code(go_on(&exchange, &resume, 4_000)), codes::TICKET_USED);
    // Of two reads both are counted, and the second is no more the first's.
    let twice = signed(&exchange, "t", reads(2));
    let (all, resume) = resumable(&exchange, &twice);
    finish(all).expect("rows");
    finish(go_on(&exchange, &resume, 4_000).expect("the rest")).expect("rows");
    assert_eq!(read(&exchange, &twice).expect("the second"), ROWS);
    assert_eq!(code(begin(&exchange, &twice)), codes::TICKET_USED);
}

#[tokio::test]
async fn a_restart_gives_back_what_was_not_used_and_nothing_else() {
    let (clock, folder) = (clock(), tempfile::tempdir().expect("a folder"));
    let mut exchange = Some(over(Some(folder.path()), &clock));
    let now = exchange.as_ref().expect("it is open");
    table(now).await;
    let [used, dropped, burnt] =
        [false, false, true].map(|at_most_once| signed(now, "t", TicketSpec { at_most_once, ..reads(1) }));
    assert_eq!(read(now, &used).expect("a read"), ROWS);
    let streams = (start(now, &dropped), start(now, &burnt));
    exchange = None;
    drop(streams);
    assert!(exchange.is_none());
    for _ in 0..2 {
        let exchange = over(Some(folder.path()), &clock);
        assert_eq!(code(begin(&exchange, &used)), codes::TICKET_USED);
        assert_eq!(code(begin(&exchange, &burnt)), codes::TICKET_USED);
        drop(begin(&exchange, &dropped).expect("given back"));
    }
    let exchange = over(Some(folder.path()), &clock);
    assert_eq!(read(&exchange, &dropped).expect("given back"), ROWS);
    drop(exchange);
    let exchange = over(Some(folder.path()), &clock);
    assert_eq!(code(begin(&exchange, &dropped)), codes::TICKET_USED);
}

#[tokio::test]
async fn a_recreated_table_is_never_read_by_a_ticket_of_the_one_before() {
    let exchange = exchange();
    table(&exchange).await;
    let once = signed(&exchange, "t", reads(1));
    let (first, rows) = start(&exchange, &once);
    exchange.drop_table(&Caller::local(), &TableName::parse("t").expect("a name")).await.expect("a drop");
    table(&exchange).await;
    rule(&exchange, "reads", "1").await.expect("a rule");
    assert_eq!(code(begin(&exchange, &once)), codes::TABLE_RECREATED);
    assert_eq!(rows + finish(first).expect("who read it finishes"), ROWS);
    assert_eq!(code(begin(&exchange, &once)), codes::TICKET_USED);
    assert_eq!(read(&exchange, &ticket("t")).expect("its reads are its own"), ROWS);
    assert_eq!(code(begin(&exchange, &ticket("t"))), codes::TABLE_NOT_FOUND);
}

/// The count of a ticket is kept as long as any ticket that shares it can be good.
#[tokio::test]
async fn s1_a_counted_ticket_has_an_end_that_no_renewal_passes() {
    let clock = clock();
    let exchange = over(None, &clock);
    table(&exchange).await;
    let ends = |of: &Ticket, spec| sign(&exchange, of, spec).expect("signed").pass.expires;
    let with_ttl = |ttl| TicketSpec { ttl: Some(ttl), ..reads(1) };
    let (minute, year) = (Duration::from_secs(60), Duration::from_secs(365 * 86_400));
    assert_eq!(ends(&ticket("t"), reads(1)), Some(NOW.saturating_add(COUNTED_TTL_DEFAULT)));
    assert_eq!(ends(&ticket("t"), with_ttl(COUNTED_TTL_MAX)), Some(NOW.saturating_add(COUNTED_TTL_MAX)));
    assert_eq!(code(sign(&exchange, &ticket("t"), with_ttl(COUNTED_TTL_MAX + minute))), codes::OPTION_INVALID);
    let lasting = signed(&exchange, "t", TicketSpec { ttl: Some(year), ..TicketSpec::default() });
    assert_eq!(ends(&lasting, reads(1)), Some(NOW.saturating_add(COUNTED_TTL_MAX)));

    let once = signed(&exchange, "t", with_ttl(10 * minute));
    let short: Ticket = sign(&exchange, &once, with_ttl(minute)).expect("narrowed").ticket.into();
    clock.advance(minute / 2);
    let renewed = |of: &Ticket| exchange.renew(&Caller::local(), of).expect("renewed");
    let (longer, end) = renewed(&short);
    assert_eq!(end, Some(NOW.saturating_add(minute / 2 + minute)));
    assert_eq!(renewed(&once).1, Some(NOW.saturating_add(10 * minute)));
    assert_eq!(read(&exchange, &short).expect("a read"), ROWS);
    // Counts of others come and go; this one stays as long as the longest ticket.
    for step in 0..20 {
        let other = signed(&exchange, "t", with_ttl(minute));
        read(&exchange, &other).expect("a read");
        let refusal = if step < 19 { codes::TICKET_USED } else { codes::TICKET_EXPIRED };
        assert_eq!(code(begin(&exchange, &once)), refusal, "step {step}");
        clock.advance(minute / 2);
    }
    assert_eq!(code(begin(&exchange, &longer)), codes::TICKET_EXPIRED);
}

#[tokio::test]
async fn a_table_with_a_rule_goes_with_its_last_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let exchange = over(Some(folder.path()), &clock());
    table(&exchange).await;
    read(&exchange, &ticket("t")).expect("not counted");
    rule(&exchange, "reads", "2").await.expect("a rule");
    let (running, rows) = start(&exchange, &ticket("t"));
    assert_eq!(read(&exchange, &ticket("t")).expect("the first"), ROWS);
    assert_eq!(code(begin(&exchange, &ticket("t@1?rows=0-10"))), codes::TICKET_IN_USE);
    assert_eq!(exchange.flights(&Caller::local(), &ticket("t"), 8).expect("a plan").endpoints.len(), 1);
    drop(running);
    assert!(rows > 0);
    assert_eq!(read(&exchange, &ticket("t?rows=5-5")).expect("a look"), 0);
    let (running, rows) = start(&exchange, &ticket("t"));
    // What keeps a table counts nothing meanwhile.
    rule(&exchange, "pinned", "true").await.expect("a rule");
    assert_eq!(read(&exchange, &ticket("t")).expect("not counted"), ROWS);
    rule(&exchange, "pinned", "false").await.expect("a rule");
    assert_eq!(rows + finish(running).expect("the second"), ROWS);
    assert_eq!(code(begin(&exchange, &ticket("t"))), codes::TABLE_NOT_FOUND);
    assert!(exchange.list(&Caller::local(), "").is_empty());
    drop(exchange);
    let exchange = over(Some(folder.path()), &clock());
    assert!(exchange.list(&Caller::local(), "").is_empty());
}

#[tokio::test]
async fn a_commit_begins_the_count_of_a_table_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let exchange = over(Some(folder.path()), &clock());
    table(&exchange).await;
    rule(&exchange, "reads", "1").await.expect("a rule");
    let (running, _) = start(&exchange, &ticket("t"));
    put(&exchange, "t", PutMode::Append, &[batch(0..10, &["a", "b"])]).await;
    finish(running).expect("the rows before");
    assert_eq!(read(&exchange, &ticket("t")).expect("with rows that nobody had read"), ROWS + 10);
    assert_eq!(code(begin(&exchange, &ticket("t"))), codes::TABLE_NOT_FOUND);

    table(&exchange).await;
    rule(&exchange, "reads", "3").await.expect("a rule");
    for _ in 0..2 {
        read(&exchange, &ticket("t")).expect("a read");
    }
    drop(exchange);
    let exchange = over(Some(folder.path()), &clock());
    // Both counts are looked at, and the first that is used up refuses.
    let twice = signed(&exchange, "t", reads(2));
    assert_eq!(read(&exchange, &twice).expect("the third of the table"), ROWS);
    assert_eq!(code(begin(&exchange, &twice)), codes::TABLE_NOT_FOUND);
    table(&exchange).await;
    rule(&exchange, "reads", "3").await.expect("a rule");
    for _ in 0..2 {
        read(&exchange, &ticket("t")).expect("a read");
    }
    let lowered = rule(&exchange, "reads", "2").await.expect("a rule");
    assert_eq!(lowered.table.as_str(), "t");
    assert_eq!(code(begin(&exchange, &ticket("t"))), codes::TABLE_NOT_FOUND, "it was read as often already");
}
