//! F4 without a fuzzer: the seeds of its target, and mutations of them.

use std::path::Path;

use crate::requests::Requests;

const MUTATIONS: u64 = 5_000;

fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for folder in ["seeds", "regressions"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/f4_requests").join(folder);
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            seeds.push((path.display().to_string(), std::fs::read(&path).expect("readable")));
        }
    }
    seeds.sort();
    seeds
}

#[test]
fn f4_tickets_descriptors_and_actions_are_answered_or_refused() {
    let requests = Requests::start();
    let seeds = seeds();
    let mut answered = 0;
    for (name, input) in &seeds {
        let codes = requests.run(input);
        assert_eq!(codes.len(), 1, "{name}");
        answered += usize::from(codes[0].is_empty());
    }
    assert!(answered * 2 >= seeds.len() && seeds.len() >= 20, "{answered} of {} seeds are answered", seeds.len());
    let mut state = 1_u64;
    let mut dice = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end.max(1)
    };
    for _ in 0..MUTATIONS {
        let mut input = seeds[dice(seeds.len())].1.clone();
        for _ in 0..=dice(4) {
            let place = dice(input.len());
            match dice(5) {
                0 => input.truncate(place.max(1)),
                1 => input.insert(place, dice(256) as u8),
                2 => input.extend_from_within(place..),
                _ => input[place] = dice(256) as u8,
            }
        }
        requests.run(&input);
    }
}
