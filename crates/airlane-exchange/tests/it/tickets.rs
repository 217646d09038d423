//! Signed tickets: what they let read, and what they never do.

use std::sync::Arc;
use std::time::Duration;

use airlane_exchange::{Exchange, SignedPass, TicketSpec};
use airlane_model::caller::Grant;
use airlane_model::{Caller, PutMode, Result, RetentionChange, Right, RowRange, TableName, Ticket, Timestamp, codes};
use airlane_segment::Codec;
use airlane_store::StoreOptions;
use airlane_store::testing::ManualClock;
use arrow_array::RecordBatch;

use crate::support::*;

/// A table of several segments, whose dictionaries differ, and all of it as one batch after another.
async fn table(exchange: &Exchange) -> Vec<RecordBatch> {
    let batches = [batch(0..3_000, &["a", "b", "c"]), batch(3_000..9_000, &["x", "y"]), batch(9_000..9_100, &["z"])];
    put(exchange, "eu/t", PutMode::Replace, &batches[..1]).await;
    put(exchange, "eu/t", PutMode::Append, &batches[1..]).await;
    batches.to_vec()
}

fn sign(exchange: &Exchange, text: &str, spec: TicketSpec) -> Result<SignedPass> {
    exchange.sign(&Caller::local(), &ticket(text), spec)
}

fn columns(names: &[&str]) -> TicketSpec {
    TicketSpec { columns: Some(names.iter().map(|name| (*name).to_owned()).collect()), ..TicketSpec::default() }
}

fn range(start: u64, end: u64) -> TicketSpec {
    TicketSpec { rows: Some(RowRange { start, end }), ..TicketSpec::default() }
}

/// Who may do nothing at all, but holds a ticket.
fn holder(name: &str) -> Caller {
    Caller::new(name, Vec::new())
}

fn code<T>(result: Result<T>) -> airlane_model::Code {
    result.map(drop).expect_err("an error").code()
}

/// The rows that a holder reads, in messages as they are stored, compressed and in plain types, and as batches.
fn read_all_ways(exchange: &Exchange, signed: &Ticket) -> Vec<String> {
    let open = || exchange.read(&holder("somebody"), signed).expect("a read");
    let streamed = |mut stream: airlane_exchange::ReadStream| {
        let (messages, _) = messages(&mut stream);
        rows(&decode(stream.schema(), &messages))
    };
    let stored = streamed(open());
    assert_eq!(streamed(open().compressed(Some(Codec::Zstd))), stored);
    assert_eq!(streamed(open().in_plain_types().expect("plain types")), stored);
    let mut stream = open();
    let mut batches = Vec::new();
    while let Some(batch) = stream.next_batch().expect("a batch") {
        assert_eq!(batch.schema().fields(), stream.schema().arrow().fields());
        batches.push(batch);
    }
    assert_eq!(rows(&batches), stored);
    stored
}

fn expected(batches: &[RecordBatch], columns: &[usize], range: std::ops::Range<usize>) -> Vec<String> {
    let projected: Vec<RecordBatch> = batches.iter().map(|batch| batch.project(columns).expect("columns")).collect();
    rows(&projected)[range].to_vec()
}

#[tokio::test]
async fn a_holder_without_rights_reads_what_the_ticket_says_and_no_more() {
    let exchange = exchange();
    let batches = table(&exchange).await;
    for (spec, kept, from, to) in [
        (TicketSpec::default(), &[0, 1][..], 0, 9_100),
        (columns(&["name"]), &[1], 0, 9_100),
        (columns(&["name", "key"]), &[1, 0], 0, 9_100),
        (columns(&["key"]), &[0], 0, 9_100),
        (range(2_900, 3_100), &[0, 1], 2_900, 3_100),
        (TicketSpec { rows: range(7, 7).rows, ..columns(&["name"]) }, &[1], 7, 7),
        (TicketSpec { rows: range(8_990, 9_050).rows, ..columns(&["name", "key"]) }, &[1, 0], 8_990, 9_050),
    ] {
        let signed = sign(&exchange, "eu/t", spec.clone()).expect("signed");
        assert_eq!(signed.rows, (to - from) as u64);
        let signed: Ticket = signed.ticket.into();
        let wanted = expected(&batches, kept, from..to);
        assert_eq!(read_all_ways(&exchange, &signed), wanted, "{spec:?}");
        let schema = exchange.schema(&holder("somebody"), &signed).expect("a schema");
        assert_eq!(schema.arrow().fields().len(), kept.len());

        let plan = exchange.flights(&holder("somebody"), &signed, 8).expect("a plan");
        assert_eq!((plan.rows, plan.bytes.is_some()), ((to - from) as u64, spec.columns.is_none()));
        assert_eq!(plan.schema.arrow(), schema.arrow());
        let flown: Vec<String> =
            plan.endpoints.iter().flat_map(|endpoint| read_all_ways(&exchange, &endpoint.ticket)).collect();
        assert_eq!(flown, wanted, "the endpoints of {spec:?}");
        assert!(plan.endpoints.iter().all(|endpoint| matches!(endpoint.ticket, Ticket::Signed(_))));
    }
    let plain = ticket("eu/t");
    assert_eq!(code(exchange.read(&holder("somebody"), &plain)), codes::TABLE_NOT_FOUND);
    assert_eq!(code(exchange.sign(&holder("somebody"), &plain, TicketSpec::default())), codes::TABLE_NOT_FOUND);
}

#[tokio::test]
async fn s1_a_ticket_is_narrowed_and_never_widened() {
    let exchange = exchange();
    let batches = table(&exchange).await;
    let wide = sign(&exchange, "eu/t?rows=100-200", columns(&["name", "key"])).expect("signed");
    let narrow = |spec: TicketSpec| exchange.sign(&holder("somebody"), &wide.ticket.clone().into(), spec);
    let narrowed = narrow(TicketSpec { rows: range(110, 120).rows, ..columns(&["key"]) }).expect("narrower");
    assert_eq!(narrowed.pass.id, wide.pass.id, "one ticket, for what counts its reads");
    assert_eq!(read_all_ways(&exchange, &narrowed.ticket.clone().into()), expected(&batches, &[0], 110..120));

    let again = |spec: TicketSpec| exchange.sign(&holder("somebody"), &narrowed.ticket.clone().into(), spec);
    for (result, refusal) in [
        (again(columns(&["name"])), codes::OPTION_INVALID),
        (again(columns(&["key", "key"])), codes::OPTION_INVALID),
        (again(columns(&[])), codes::OPTION_INVALID),
        (again(range(100, 120)), codes::ROWS_OUT_OF_RANGE),
        (again(range(110, 121)), codes::ROWS_OUT_OF_RANGE),
        (narrow(range(0, 150)), codes::ROWS_OUT_OF_RANGE),
        (narrow(TicketSpec { ttl: Some(Duration::ZERO), ..TicketSpec::default() }), codes::OPTION_INVALID),
    ] {
        assert_eq!(code(result), refusal);
    }
    // A column that the ticket leaves out is not even named as one there is.
    let error = again(columns(&["nam"])).expect_err("absent");
    assert_eq!(error.hint_text(), Some("columns: key"));
}

#[tokio::test]
async fn what_a_signed_ticket_says_of_its_end_is_no_later_than_the_tables() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_000_000)));
    let exchange = exchange_of(StoreOptions { clock: clock.clone(), ..StoreOptions::new(None) });
    table(&exchange).await;
    let change = RetentionChange::of("ttl", "10m").expect("a rule");
    let name = TableName::parse("eu/t").expect("a name");
    exchange.set_retention(&Caller::local(), &name, change).await.expect("a retention");
    let minutes = |count: u64| Some(clock_now(&clock).saturating_add(Duration::from_secs(60 * count)));
    for (ttl, end) in [(None, 10), (Some(5), 5), (Some(20), 10)] {
        let ttl = ttl.map(|minutes: u64| Duration::from_secs(60 * minutes));
        let signed = sign(&exchange, "eu/t", TicketSpec { ttl, ..TicketSpec::default() }).expect("signed");
        assert_eq!(signed.expires, minutes(end), "{ttl:?}");
    }
}

#[tokio::test]
async fn s1_a_ticket_ends_when_its_time_is_over_and_is_renewed_by_right() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_000_000)));
    let exchange = exchange_of(StoreOptions { clock: clock.clone(), ..StoreOptions::new(None) });
    table(&exchange).await;
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let ttl = |count: u64| TicketSpec { ttl: Some(minutes(count)), ..TicketSpec::default() };
    let signed = sign(&exchange, "eu/t", ttl(10)).expect("signed");
    let signed_ticket: Ticket = signed.ticket.clone().into();
    // Narrowing keeps the nearer end.
    for (count, end) in [(5, 5), (20, 10)] {
        let narrowed = exchange.sign(&holder("h"), &signed_ticket, ttl(count)).expect("narrowed");
        assert_eq!(narrowed.pass.expires, Some(clock_now(&clock).saturating_add(minutes(end))));
    }
    let plan = exchange.flights(&holder("h"), &signed_ticket, 4).expect("a plan");
    assert_eq!(plan.expires, signed.pass.expires);

    clock.advance(minutes(9));
    let by_holder = exchange.renew(&holder("h"), &signed_ticket).expect("an answer");
    assert_eq!(by_holder, (signed_ticket.clone(), signed.pass.expires), "who has no right gets no more time");
    let (renewed, expires) = exchange.renew(&Caller::local(), &signed_ticket).expect("renewed");
    assert_eq!(expires, Some(clock_now(&clock).saturating_add(minutes(10))));
    assert_eq!(exchange.renew(&Caller::local(), &ticket("eu/t")).expect("plain"), (ticket("eu/t"), None));

    clock.advance(minutes(1) - Duration::from_micros(1));
    exchange.read(&holder("h"), &signed_ticket).expect("the last moment");
    clock.advance(Duration::from_micros(1));
    let reader = holder("h");
    assert_eq!(code(exchange.read(&reader, &signed_ticket)), codes::TICKET_EXPIRED);
    assert_eq!(code(exchange.flights(&reader, &signed_ticket, 4)), codes::TICKET_EXPIRED);
    assert_eq!(code(exchange.schema(&reader, &signed_ticket)), codes::TICKET_EXPIRED);
    assert_eq!(code(exchange.sign(&Caller::local(), &signed_ticket, ttl(5))), codes::TICKET_EXPIRED);
    assert_eq!(code(exchange.renew(&Caller::local(), &signed_ticket)), codes::TICKET_EXPIRED);
    exchange.read(&reader, &renewed).expect("the renewed one goes on");
    // A clock that was wrong for a while expired nothing for good, and gave nothing more time than was signed.
    clock.advance(Duration::from_secs(10 * 365 * 24 * 3_600));
    assert_eq!(code(exchange.read(&reader, &renewed)), codes::TICKET_EXPIRED);
}

fn clock_now(clock: &ManualClock) -> Timestamp {
    airlane_model::Clock::now(clock)
}

#[tokio::test]
async fn s1_a_bound_ticket_is_of_use_to_its_caller_alone() {
    let exchange = exchange();
    table(&exchange).await;
    let bound = TicketSpec { caller: Some("ci".into()), ..TicketSpec::default() };
    let signed: Ticket = sign(&exchange, "eu/t", bound).expect("signed").ticket.into();
    exchange.read(&holder("ci"), &signed).expect("its caller");
    let forged = ticket("~00000000.e30.AAAA");
    for other in [holder("cj"), Caller::nobody(), Caller::local(), holder("anonymous")] {
        let answer = exchange.read(&other, &signed).expect_err("another's").to_string();
        assert_eq!(answer, exchange.read(&other, &forged).expect_err("forged").to_string());
        assert_eq!(code(exchange.renew(&other, &signed)), codes::TICKET_REFUSED);
        assert_eq!(code(exchange.sign(&other, &signed, TicketSpec::default())), codes::TICKET_REFUSED);
    }
    let rebound = TicketSpec { caller: Some("cj".into()), ..TicketSpec::default() };
    assert_eq!(code(exchange.sign(&holder("ci"), &signed, rebound)), codes::OPTION_INVALID);
    let part = exchange.flights(&holder("ci"), &signed, 4).expect("a plan").endpoints[0].ticket.clone();
    assert_eq!(code(exchange.read(&holder("cj"), &part)), codes::TICKET_REFUSED, "its endpoints are bound, too");
}

/// With the id of the key and what the ticket says known, all but the signature.
#[tokio::test]
async fn s1_a_million_guesses_give_no_hit_and_keep_no_holder_out() {
    let exchange = exchange();
    table(&exchange).await;
    let good: Ticket = sign(&exchange, "eu/t", TicketSpec::default()).expect("signed").ticket.into();
    let text = good.to_string();
    let (signed, mac) = text.rsplit_once('.').expect("a signature");
    let (guesser, letters) = (holder("guesser"), b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    let mut state = 7_u64;
    let mut throttled = 0;
    for round in 0..1_000_000 {
        let mut guess = mac.as_bytes().to_vec();
        for letter in &mut guess[round % 32..][..8] {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *letter = letters[(state >> 58) as usize];
        }
        let guess = ticket(&format!("{signed}.{}", String::from_utf8(guess).expect("letters")));
        if guess == good {
            continue;
        }
        match code(exchange.schema(&guesser, &guess)) {
            codes::TICKETS_THROTTLED => throttled += 1,
            other => assert_eq!(other, codes::TICKET_REFUSED),
        }
        if round % 100_000 == 0 {
            exchange.schema(&guesser, &good).expect("who has a good ticket reads");
        }
    }
    // A window lasts a minute, and has thirty.
    assert!(throttled > 900_000, "{throttled}");
    let counted = exchange.refused_tickets();
    assert_eq!(counted.throttled, throttled);
    assert!(counted.refused >= 30 && counted.refused + counted.throttled <= 1_000_000, "{counted:?}");
}

#[tokio::test]
async fn s1_a_ticket_never_opens_another_table_of_the_same_name() {
    let exchange = exchange();
    table(&exchange).await;
    let signed: Ticket = sign(&exchange, "eu/t", TicketSpec::default()).expect("signed").ticket.into();
    put(&exchange, "eu/t", PutMode::Append, &[batch(0..10, &["new"])]).await;
    assert_eq!(read_all_ways(&exchange, &signed).len(), 9_100, "the version that it names");
    exchange.drop_table(&Caller::local(), &plain("eu/t").table).await.expect("dropped");
    assert_eq!(code(exchange.read(&holder("h"), &signed)), codes::TABLE_NOT_FOUND);
    table(&exchange).await;
    assert_eq!(code(exchange.read(&holder("h"), &signed)), codes::TABLE_RECREATED);
}

#[tokio::test]
async fn tickets_survive_a_restart_and_keys_that_grow_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_000_000)));
    let options = || StoreOptions { clock: clock.clone(), ..StoreOptions::new(Some(folder.path().join("data"))) };
    let keys = folder.path().join("data/ticket-keys");
    let mut tickets: Vec<Ticket> = Vec::new();
    for start in 0..3 {
        let exchange = exchange_of(options());
        if start == 0 {
            table(&exchange).await;
        }
        tickets.iter().for_each(|signed| assert_eq!(read_all_ways(&exchange, signed).len(), 9_100));
        tickets.push(sign(&exchange, "eu/t", TicketSpec::default()).expect("signed").ticket.into());
        clock.advance(Duration::from_secs(31 * 24 * 3_600));
        tickets.push(sign(&exchange, "eu/t", TicketSpec::default()).expect("signed").ticket.into());
        // The last clone gives the folder back.
        drop(exchange);
    }
    let text = std::fs::read_to_string(&keys).expect("the keys");
    assert_eq!(text.lines().count(), 1 + 4 + 1, "a first key, and another each month: {text}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&keys).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o600);

    std::fs::write(&keys, &text[..text.len() - 7]).expect("written");
    let store = airlane_store::Store::open(options()).expect("a store").0;
    let error = Exchange::open(store.clone()).expect_err("damaged keys");
    assert_eq!(error.code(), codes::DATA_DAMAGED);
    assert!(error.hint_text().is_some_and(|hint| hint.contains("refused")), "{error}");
    store.close().await;

    std::fs::remove_file(&keys).expect("taken away");
    let exchange = exchange_of(options());
    tickets.iter().for_each(|signed| assert_eq!(code(exchange.read(&holder("h"), signed)), codes::TICKET_REFUSED));
    let signed: Ticket = sign(&exchange, "eu/t", TicketSpec::default()).expect("signed").ticket.into();
    assert_eq!(read_all_ways(&exchange, &signed).len(), 9_100);
}

#[tokio::test]
async fn d5_a_full_disk_keeps_no_server_with_keys_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_000_000)));
    let options = || StoreOptions { clock: clock.clone(), ..StoreOptions::new(Some(folder.path().join("data"))) };
    let exchange = exchange_of(options());
    table(&exchange).await;
    let signed: Ticket = sign(&exchange, "eu/t", TicketSpec::default()).expect("signed").ticket.into();
    drop(exchange);
    clock.advance(Duration::from_secs(40 * 24 * 3_600));
    // A folder where the draft of the keys would be: the new key cannot be kept.
    std::fs::create_dir(folder.path().join("data/ticket-keys.new")).expect("a folder");
    let exchange = exchange_of(options());
    assert_eq!(read_all_ways(&exchange, &signed).len(), 9_100);
    let more: Ticket = sign(&exchange, "eu/t", TicketSpec::default()).expect("the old key goes on").ticket.into();
    assert_eq!(read_all_ways(&exchange, &more).len(), 9_100);
}

#[tokio::test]
async fn a_reader_by_right_signs_for_those_who_have_none() {
    let exchange = exchange();
    table(&exchange).await;
    let reader =
        Caller::new("ana", vec![Grant { namespaces: "eu".parse().expect("a pattern"), rights: vec![Right::Read] }]);
    let signed: Ticket = exchange.sign(&reader, &ticket("eu/t"), columns(&["key"])).expect("signed").ticket.into();
    assert_eq!(read_all_ways(&exchange, &signed).len(), 9_100);
}
