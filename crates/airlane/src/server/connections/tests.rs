use std::sync::atomic::{AtomicU64, Ordering};

use airlane_model::Timestamp;

use super::*;

/// Stands until it is set.
#[derive(Debug, Default)]
struct Standing(AtomicU64);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn steady(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

fn connections(all: u32, per_address: u32) -> (Connections, Arc<Standing>) {
    let of = |count| NonZeroU32::new(count).expect("not zero");
    let clock = Arc::new(Standing::default());
    (Connections::new(ConnectionLimits { all: of(all), per_address: of(per_address) }, clock.clone()), clock)
}

fn peer(text: &str) -> Peer {
    Peer::ip(text.parse().expect("an address"))
}

#[test]
fn g7_an_address_has_so_many_places_and_others_have_theirs() {
    let (connections, _) = connections(100, 2);
    let first = connections.place(peer("10.0.0.1")).expect("a place");
    let _second = connections.place(peer("10.0.0.1").encrypted()).expect("a place");
    assert_eq!(connections.place(peer("10.0.0.1")).err(), Some(Cap::Address));
    let _other = connections.place(peer("10.0.0.2")).expect("another address");
    drop(first);
    let _again = connections.place(peer("10.0.0.1")).expect("one has left");
    let _six = [peer("2001:db8::1"), peer("2001:db8::2")].map(|peer| connections.place(peer).expect("a place"));
    assert_eq!(connections.place(peer("2001:db8::3")).err(), Some(Cap::Address), "of the same network");
}

#[test]
fn g7_a_proxy_on_this_machine_and_the_unix_socket_have_no_cap_of_their_own() {
    let (connections, _) = connections(6, 1);
    let here = [peer("127.0.0.1"), peer("127.0.0.1"), peer("::1"), peer("::1").encrypted(), Peer::Unix, Peer::Unix];
    let places = here.map(|peer| connections.place(peer).expect("a place"));
    for peer in [peer("127.0.0.1"), peer("10.0.0.1"), Peer::Unix] {
        assert_eq!(connections.place(peer).err(), Some(Cap::All));
    }
    drop(places);
    connections.place(Peer::Unix).expect("all have left");
}

#[test]
fn what_is_gone_is_not_kept() {
    let (connections, _) = connections(10, 1);
    for number in 0..10_000_u32 {
        connections.place(Peer::ip(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into())).expect("a place");
    }
    let state = connections.0.state.lock();
    assert_eq!((state.all, state.by_address.len()), (0, 0));
}

#[test]
fn the_log_is_not_flooded() {
    let (connections, clock) = connections(1, 1);
    assert_eq!(connections.to_be_told(), Some(1), "the first at once");
    for _ in 0..1_000 {
        assert_eq!(connections.to_be_told(), None);
    }
    clock.0.store(TOLD_EACH.as_secs(), Ordering::SeqCst);
    assert_eq!(connections.to_be_told(), Some(1_001), "then all of a minute");
}
