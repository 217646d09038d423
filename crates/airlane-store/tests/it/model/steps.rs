//! What the model does, and how often.

use airlane_store::testing::Fault;
use proptest::prelude::*;

use super::{KEYS, TABLES};

#[derive(Clone, Debug)]
pub(super) enum Step {
    Put {
        table: usize,
        append: bool,
        rows: u16,
        durability: Option<bool>,
        /// One of a few, so that they come again.
        key: Option<u8>,
    },
    /// The last put that had this key, once more; or another put with the key.
    Repeat {
        key: u8,
        same: bool,
    },
    Drop {
        table: usize,
    },
    Read {
        table: usize,
        back: u64,
    },
    Hold {
        table: usize,
    },
    Merge,
    /// Old rows of a table go, or all stay.
    Window {
        table: usize,
        set: bool,
    },
    /// Small appends to the table with a window, a second apart, and merges.
    Grow {
        appends: usize,
    },
    /// Time passes, and what is old by then goes.
    Wait {
        seconds: u64,
    },
    /// All that can leaves memory.
    Relieve,
    Restart,
    /// The next operations fail from the Nth on, for one request.
    Fault {
        nth: u64,
        fault: Fault,
    },
    /// Other quotas for every namespace, or none.
    Quota {
        tables: Option<u64>,
        kib: Option<u64>,
    },
    /// The next commit is not confirmed; then the process starts anew.
    Crash {
        table: usize,
        kept: bool,
    },
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let table = 0..TABLES.len();
    let rows = prop_oneof![3 => 0..30_u16, 1 => 30..1_500_u16];
    let durability = prop_oneof![4 => Just(None), 1 => any::<bool>().prop_map(Some)];
    let fault = prop_oneof![Just(Fault::Failed), Just(Fault::Full), Just(Fault::ShortWrite)];
    prop_oneof![
        12 => (table.clone(), prop::bool::weighted(0.7), rows, durability, prop::option::weighted(0.3, 0..KEYS))
            .prop_map(|(table, append, rows, durability, key)| Step::Put { table, append, rows, durability, key }),
        3 => (0..KEYS, prop::bool::weighted(0.8)).prop_map(|(key, same)| Step::Repeat { key, same }),
        1 => table.clone().prop_map(|table| Step::Drop { table }),
        3 => (table.clone(), 0..5_u64).prop_map(|(table, back)| Step::Read { table, back }),
        2 => table.clone().prop_map(|table| Step::Hold { table }),
        4 => Just(Step::Merge),
        3 => (table.clone(), prop::bool::weighted(0.8)).prop_map(|(table, set)| Step::Window { table, set }),
        2 => (2..12_usize).prop_map(|appends| Step::Grow { appends }),
        4 => (1..30_u64).prop_map(|seconds| Step::Wait { seconds }),
        2 => Just(Step::Relieve),
        1 => Just(Step::Restart),
        3 => (1..12_u64, fault).prop_map(|(nth, fault)| Step::Fault { nth, fault }),
        1 => (prop::option::of(0..4_u64), prop::option::of(0..20_u64)).prop_map(|(tables, kib)| Step::Quota { tables, kib }),
        1 => (table, any::<bool>()).prop_map(|(table, kept)| Step::Crash { table, kept }),
    ]
}
