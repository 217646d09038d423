//! What every catalog must do with the keys of puts.

use airlane_model::{Durability, PutKey, Version};

use super::{Failure, Open, append, create, id, name, refused, replace, same, version};
use crate::catalog::{Catalog, Change, KeyFacts, Outcome, StoredKey, key_hash};
use crate::uptime::Uptime;

fn put_key(caller: &str, key: &str) -> PutKey {
    PutKey { caller: caller.into(), key: key.parse().expect("the cases use valid keys") }
}

fn stored(number: u8, caller: &str, table: &str, key: &str) -> StoredKey {
    let outcome = Outcome {
        table_id: id(number),
        version: Version::FIRST,
        rows: u64::from(number) * 3,
        bytes: u64::from(number) * 100,
        rows_put: number.into(),
        durability: Durability::Durable,
    };
    let content = u128::MAX - u128::from(number);
    let uptime = Uptime::from_micros(1_000 * u64::from(number));
    StoredKey { key: put_key(caller, key), table: name(table), content, outcome, uptime }
}

fn keep(key: &StoredKey) -> Change {
    Change::KeepKey { key: Box::new(key.clone()) }
}

fn facts(keys: &[&StoredKey]) -> Vec<KeyFacts> {
    keys.iter().map(|key| key.facts()).collect()
}

/// The keys that are there, in order, and that others are not.
fn keys_are(catalog: &mut dyn Catalog, there: &[&StoredKey], gone: &[&StoredKey]) -> Result<(), Failure> {
    same("the keys", &catalog.keys()?, &facts(there))?;
    for key in there {
        same("a key", &catalog.find_key(&key.key, &key.table)?, &Some((*key).clone()))?;
    }
    for key in gone {
        same("a key that is not there", &catalog.find_key(&key.key, &key.table)?, &None)?;
    }
    Ok(())
}

pub(super) fn keeps(open: &mut Open) -> Result<(), Failure> {
    let keys = [
        stored(1, "ada", "a", "k"),
        stored(2, "bob", "a", "k"),
        stored(3, "ada", "eu/a", "k"),
        stored(4, "ada", "a", "k "[..1].repeat(255).as_str()),
        stored(5, "", "a", "k"),
        stored(6, "an ünusual\0 caller", "a", "it's \"quoted\" -- ;"),
    ];
    keys_are(&mut *open(), &[], &keys.each_ref())?;
    open().commit(&[create(1, "a"), replace(1, b"s", version(1, 1), &[1]), keep(&keys[0]), keep(&keys[1])])?;
    for key in &keys[2..] {
        open().commit(&[keep(key)])?;
    }
    keys_are(&mut *open(), &keys.each_ref(), &[&stored(7, "a", "ada", "k"), &stored(8, "ada", "a", "K")])?;
    refused("a key that is known", open().commit(&[keep(&stored(9, "ada", "a", "k"))]))?;
    refused("a key twice", open().commit(&[keep(&stored(9, "x", "a", "k")), keep(&stored(9, "x", "a", "k"))]))?;
    keys_are(&mut *open(), &keys.each_ref(), &[&stored(9, "x", "a", "k")])
}

pub(super) fn outlive_tables(open: &mut Open) -> Result<(), Failure> {
    let key = stored(1, "ada", "a", "k");
    open().commit(&[create(1, "a"), replace(1, b"s", version(1, 1), &[1]), keep(&key)])?;
    open().commit(&[append(1, version(2, 3), &[2])])?;
    open().commit(&[replace(1, b"t", version(3, 3), &[3])])?;
    open().commit(&[Change::DropTable { table: id(1) }])?;
    open().purge()?;
    keys_are(&mut *open(), &[&key], &[])
}

pub(super) fn forget(open: &mut Open) -> Result<(), Failure> {
    let keys: Vec<StoredKey> = (1..=5).map(|number| stored(number, "ada", "a", &format!("{number}"))).collect();
    let all: Vec<&StoredKey> = keys.iter().collect();
    open().commit(&keys[..4].iter().map(keep).collect::<Vec<_>>())?;
    open().commit(&[keep(&keys[4]), Change::ForgetKeys { count: 2 }])?;
    keys_are(&mut *open(), &all[2..], &all[..2])?;
    open().commit(&[Change::ForgetKeys { count: 0 }])?;
    refused("a commit with a refused change", open().commit(&[Change::ForgetKeys { count: 2 }, keep(&keys[4])]))?;
    keys_are(&mut *open(), &all[2..], &all[..2])?;
    open().commit(&[Change::ForgetKeys { count: 100 }])?;
    keys_are(&mut *open(), &[], &all)?;
    // What was forgotten may come again.
    open().commit(&[keep(&keys[1]), keep(&keys[0])])?;
    keys_are(&mut *open(), &[all[1], all[0]], &all[2..])
}

pub(super) fn atomic(open: &mut Open) -> Result<(), Failure> {
    let keys = [stored(1, "ada", "a", "1"), stored(2, "ada", "a", "2"), stored(3, "ada", "a", "3")];
    open().commit(&[create(1, "a"), replace(1, b"s", version(1, 3), &[1]), keep(&keys[0])])?;
    for before in [
        vec![keep(&keys[1])],
        vec![Change::ForgetKeys { count: 1 }],
        vec![keep(&keys[1]), Change::ForgetKeys { count: 1 }, keep(&keys[2])],
        vec![keep(&keys[1]), Change::ForgetKeys { count: 7 }],
        vec![Change::ForgetKeys { count: 1 }, keep(&keys[0])],
    ] {
        for last in [create(3, "a"), keep(&stored(4, "ada", "b", "k"))] {
            let mut changes = before.clone();
            changes.extend([last.clone(), last]);
            let mut catalog = open();
            refused("a commit with a refused change", catalog.commit(&changes))?;
            keys_are(&mut *catalog, &[&keys[0]], &[&keys[1], &keys[2]])?;
        }
    }
    keys_are(&mut *open(), &[&keys[0]], &[&keys[1], &keys[2]])
}

/// The hash of a key is on the disk: it stays what it is.
pub(super) fn hashes_are_fixed(open: &mut Open) -> Result<(), Failure> {
    let key = stored(1, "ada", "eu/prices", "orders-2026-11-26");
    open().commit(&[keep(&key)])?;
    same("the hash", &key_hash(&key.key, &key.table), &9_860_358_890_071_524_718)?;
    same("the hash that is kept", &open().keys()?[0].hash, &key_hash(&key.key, &key.table))
}
