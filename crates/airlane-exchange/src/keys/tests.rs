use airlane_model::{RowRange, SystemChance, TableId, TicketId, Version};

use super::*;

fn ring(count: u32) -> KeyRing {
    let mut keys = Vec::new();
    for made in 0..count {
        keys.push(Key::random(&SystemChance, Timestamp::from_micros(made.into()), &keys));
    }
    KeyRing(RwLock::new(keys))
}

fn pass() -> Pass {
    Pass {
        id: TicketId::random(&SystemChance),
        table: "eu/prices".parse().expect("a name"),
        table_id: TableId::random(&SystemChance),
        version: Version::FIRST,
        columns: Some(vec!["price".into(), "größe".into()]),
        rows: Some(RowRange { start: 3, end: 9 }),
        issued: Timestamp::from_micros(1),
        expires: Some(Timestamp::from_micros(2)),
        caller: Some("ci".into()),
        reads: None,
        read: None,
    }
}

fn opened(ring: &KeyRing, text: &str) -> Option<Pass> {
    SignedTicket::of(text).and_then(|ticket| ring.open(&ticket))
}

#[test]
fn what_was_signed_is_opened_also_by_keys_that_sign_no_more() {
    let ring = ring(1);
    let ticket = ring.sign(&pass()).expect("signed");
    let first = ring.open(&ticket).expect("opened");
    assert_eq!(first.columns, pass().columns);
    let newer = Key::random(&SystemChance, Timestamp::from_micros(5), &ring.0.read());
    ring.0.write().push(newer);
    assert_eq!(ring.open(&ticket).expect("an older key"), first);
    let second = ring.sign(&first).expect("signed");
    assert_ne!(second, ticket, "the newest key signs");
    assert_eq!(ring.open(&second).expect("opened"), first);
}

#[test]
fn s1_a_ticket_with_one_character_or_bit_changed_is_refused() {
    let ring = ring(2);
    let text = ring.sign(&pass()).expect("signed").expose().to_owned();
    let mut tried = 0;
    for at in 0..text.len() {
        for other in "~.-_=aZ09fF \u{7f}".bytes().filter(|other| *other != text.as_bytes()[at]) {
            let mut changed = text.clone().into_bytes();
            changed[at] = other;
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(opened(&ring, &changed), None, "{changed}");
            tried += 1;
        }
        for bit in 0..8 {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1 << bit;
            // What is no text is refused before.
            if let Ok(changed) = String::from_utf8(changed) {
                assert_eq!(opened(&ring, &changed), None, "{changed}");
                tried += 1;
            }
        }
        assert_eq!(opened(&ring, &text[..at]), None, "cut after {at}");
        let mut longer = text.clone();
        longer.insert(at + 1, 'A');
        assert_eq!(opened(&ring, &longer), None, "longer by one at {at}");
    }
    assert!(tried > 4_000, "{tried}");
    assert_eq!(opened(&ring, &format!("{text}=")), None);
    assert_eq!(opened(&ring, &format!("{text}\n")), None);
    assert!(opened(&ring, &text).is_some());
}

#[test]
fn s1_tickets_of_another_server_and_guesses_are_refused_alike() {
    let (ours, theirs) = (ring(1), ring(1));
    let foreign = theirs.sign(&pass()).expect("signed");
    assert_eq!(ours.open(&foreign), None);
    // The key's id can be known; the key cannot.
    let id = format!("{:08x}", ours.0.read()[0].id);
    let borrowed = format!("~{id}{}", &foreign.expose()[9..]);
    let long = format!("~{}", "a".repeat(100_000));
    for text in ["~", "~..", "~...", "~a.b", "~00000000.e30.AAAA", &borrowed, &long, "~\u{1f41f}.\u{1f41f}.\u{1f41f}"] {
        assert_eq!(opened(&ours, text), None, "{text}");
    }
    let mut state = 7_u64;
    for _ in 0..20_000 {
        let mut guess = [0; 48];
        for byte in &mut guess {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
        let (payload, mac) = (URL_SAFE_NO_PAD.encode(&guess[..16]), URL_SAFE_NO_PAD.encode(&guess[16..]));
        assert_eq!(opened(&ours, &format!("~{id}.{payload}.{mac}")), None);
    }
}

#[test]
fn keys_are_kept_as_they_are_read() {
    let keys = ring(3).0.into_inner();
    let text = print(&keys);
    let read = parse(text.as_bytes()).expect("keys");
    assert_eq!(print(&read), text);
    for at in 0..text.len() {
        assert!(parse(&text.as_bytes()[..at]).is_none(), "cut after {at}");
        let mut changed = text.as_bytes().to_vec();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        assert!(parse(&changed).is_none(), "changed at {at}");
        changed[at] = 0xff;
        assert!(parse(&changed).is_none(), "no text at {at}");
    }
    let lines: Vec<&str> = text.lines().collect();
    for kept in 1..lines.len() {
        assert!(parse(format!("{}\n", lines[..kept].join("\n")).as_bytes()).is_none(), "the first {kept} lines");
    }
    let none = print(&[]);
    assert!(parse(none.as_bytes()).is_none(), "a file is kept with its first key");
}

#[test]
fn s6_keys_do_not_show_themselves() {
    let ring = ring(1);
    let secret = print(&ring.0.read()).lines().nth(1).and_then(|line| line.rsplit(' ').next()).map(str::to_owned);
    assert!(!format!("{ring:?}").contains(&secret.expect("a secret")));
}

#[test]
fn a_ticket_that_would_be_too_long_to_be_opened_is_not_signed() {
    let ring = ring(1);
    let of = |count: usize| Pass { columns: Some((0..count).map(|at| format!("column_{at:08}")).collect()), ..pass() };
    let mut longest = 0;
    for count in (100..4_000).step_by(100) {
        match ring.sign(&of(count)) {
            Ok(ticket) => {
                assert_eq!(ring.open(&ticket).expect("opened").columns.map(|columns| columns.len()), Some(count));
                longest = count;
            }
            Err(error) => assert_eq!(error.code(), codes::LIMIT_EXCEEDED),
        }
    }
    assert!((1_000..3_900).contains(&longest), "{longest}");
}

#[test]
fn a_new_key_is_due_when_the_newest_is_old_or_from_the_future() {
    let now = Timestamp::from_micros(1_000_000_000);
    let made = |made: Timestamp| vec![Key::random(&SystemChance, made, &[])];
    assert!(is_due(&[], now));
    assert!(!is_due(&made(now), now));
    assert!(!is_due(&made(now), now.saturating_add(KEY_AGE_MAX)));
    assert!(is_due(&made(now), now.saturating_add(KEY_AGE_MAX + Duration::from_micros(1))));
    assert!(is_due(&made(now.saturating_add(Duration::from_secs(1))), now));
}

#[test]
fn a_rotation_signs_by_a_new_key_and_a_revoking_one_ends_all_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = || airlane_store::StoreOptions::new(Some(folder.path().to_owned()));
    let (store, _) = Store::open(options()).expect("a store");
    let ring = KeyRing::load(&store).expect("keys");
    let first = ring.sign(&pass()).expect("signed");
    let rotation = ring.rotate(&store, false).expect("rotated");
    assert_eq!((rotation.keys, rotation.revoked), (2, 0));
    let second = ring.sign(&pass()).expect("signed");
    assert!(second.expose().starts_with(&format!("~{}.", rotation.key)), "the new key signs at once");
    assert!(ring.open(&first).is_some() && ring.open(&second).is_some());

    let rotation = ring.rotate(&store, true).expect("rotated");
    assert_eq!((rotation.keys, rotation.revoked), (1, 2));
    let third = ring.sign(&pass()).expect("signed");
    let again = KeyRing::load(&store).expect("they are kept");
    for ring in [&ring, &again] {
        assert!(ring.open(&first).is_none() && ring.open(&second).is_none() && ring.open(&third).is_some());
    }

    // As many as the file holds: the oldest goes, and that is told.
    let mut forgotten = 0;
    for _ in 0..KEYS_MAX {
        forgotten += ring.rotate(&store, false).expect("rotated").revoked;
    }
    assert_eq!(forgotten, 1);
    assert!(ring.open(&third).is_none());
}
