use std::sync::Arc;

use airlane_model::Trail;

use super::*;

const START: Timestamp = Timestamp::from_micros(1_000_000_000_000);

fn caller(name: &str, address: &str) -> Caller {
    Caller::new(name, Vec::new()).on(Arc::new(Trail::from_address(Some(address.parse().expect("an address")))))
}

fn at(seconds: u64) -> Timestamp {
    START.saturating_add(Duration::from_secs(seconds))
}

#[test]
fn s1_guesses_are_told_to_wait_until_the_minute_is_over() {
    let (refusals, ada) = (Refusals::default(), caller("ada", "10.0.0.1"));
    for _ in 0..FREE {
        assert_eq!(refusals.answer(&ada, at(0)).to_string(), keys::refused().to_string());
    }
    for (seconds, left) in [(0, "60 s"), (1, "59 s"), (59, "1 s")] {
        let error = refusals.answer(&ada, at(seconds));
        assert_eq!(error.code(), codes::TICKETS_THROTTLED);
        assert!(error.hint_text().is_some_and(|hint| hint.contains(left)), "{error}");
    }
    assert_eq!(refusals.answer(&ada, at(60)).code(), codes::TICKET_REFUSED, "another minute");
    assert_eq!(refusals.so_far(), RefusedTickets { refused: u64::from(FREE) + 1, throttled: 3 });
}

#[test]
fn s1_others_are_answered_as_ever() {
    let refusals = Refusals::default();
    let first = caller("ada", "10.0.0.1");
    for _ in 0..=FREE {
        refusals.answer(&first, at(0));
    }
    assert_eq!(refusals.answer(&first, at(0)).code(), codes::TICKETS_THROTTLED);
    // Each but for a chance of one in 4096.
    let others = (0..40).map(|number| caller("ada", &format!("10.0.1.{number}")));
    let others = others.chain((0..40).map(|number| caller(&format!("user{number}"), "10.0.0.1")));
    let told = others.filter(|other| refusals.answer(other, at(0)).code() == codes::TICKET_REFUSED).count();
    assert!(told >= 75, "{told} of 80");
}

#[test]
fn d10_a_clock_that_is_set_back_makes_nobody_wait_for_it() {
    let (refusals, ada) = (Refusals::default(), caller("ada", "10.0.0.1"));
    for _ in 0..=FREE {
        refusals.answer(&ada, at(86_400));
    }
    assert_eq!(refusals.answer(&ada, at(0)).code(), codes::TICKET_REFUSED);
}

#[test]
fn s1_a_million_guesses_from_as_many_addresses_take_no_memory() {
    let refusals = Refusals::default();
    let mut throttled = 0;
    for number in 0..1_000_000_u32 {
        let address = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number));
        throttled += u32::from(refusals.count("anonymous", Some(address), at(0)).0 > FREE);
    }
    assert_eq!(refusals.slots.lock().len(), SLOTS);
    assert!(throttled > 800_000, "all share what there is: {throttled}");
}
