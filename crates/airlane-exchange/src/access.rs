//! What a caller may do with a table, by the rights in its namespace.
//!
//! | operation | right | without it |
//! | --- | --- | --- |
//! | read, flights, describe | read | as if the table were not there |
//! | list | read | the table is left out |
//! | put | write | `permission_denied`, whether the table is there or not |
//! | drop, set retention | write | `permission_denied` to who may read, else as if the table were not there |
//!
//! Nothing here looks whether a table is there, so no answer can tell it.

use airlane_model::{Caller, Error, Result, Right, TableName, codes};
use airlane_store::{PutSpec, table_not_found};

/// Lets a caller read a table.
///
/// # Errors
/// `table_not_found`.
pub(crate) fn read(caller: &Caller, table: &TableName) -> Result<()> {
    caller.asks_for(table);
    if caller.may(Right::Read, table.namespace()) { Ok(()) } else { Err(table_not_found(table)) }
}

/// Lets a caller put a table.
///
/// # Errors
/// `permission_denied`, `credentials_missing`.
pub(crate) fn put(caller: &Caller, table: &TableName) -> Result<()> {
    caller.asks_for(table);
    if caller.may(Right::Write, table.namespace()) { Ok(()) } else { Err(denied(caller, table)) }
}

/// Lets a caller begin a put: by its rights first, so that a quota is told to nobody who may not write. What it puts whole will
/// be its own.
///
/// # Errors
/// As [`put`]; `rate_limited`.
pub(crate) fn begin_put(caller: &Caller, spec: PutSpec) -> Result<PutSpec> {
    put(caller, &spec.table)?;
    caller.begin_stream(spec.table.namespace())?;
    caller.begin_put(spec.table.namespace())?;
    Ok(PutSpec { caller: caller.owner(), ..spec })
}

/// Lets a caller drop a table.
///
/// # Errors
/// `table_not_found`, `permission_denied`, `credentials_missing`.
pub(crate) fn drop_table(caller: &Caller, table: &TableName) -> Result<()> {
    caller.asks_for(table);
    match (caller.may(Right::Write, table.namespace()), caller.may(Right::Read, table.namespace())) {
        (true, _) => Ok(()),
        (false, true) => Err(denied(caller, table)),
        (false, false) => Err(table_not_found(table)),
    }
}

/// Lets a caller change how long a table is kept, which may end it: as a drop.
///
/// # Errors
/// As [`drop_table`].
pub(crate) fn set_retention(caller: &Caller, table: &TableName) -> Result<()> {
    drop_table(caller, table)
}

/// Whether a table is in a caller's lists.
pub(crate) fn is_listed(caller: &Caller, table: &TableName) -> bool {
    caller.may(Right::Read, table.namespace())
}

fn denied(caller: &Caller, table: &TableName) -> Error {
    let namespace = table.namespace();
    if caller.is_anonymous() {
        let message = format!("to write in the namespace `{namespace}` takes credentials, and the request has none");
        return Error::new(codes::CREDENTIALS_MISSING, message).hint("send a token, or a user and a password");
    }
    let message = format!("`{}` may not write in the namespace `{namespace}`", caller.name());
    Error::new(codes::PERMISSION_DENIED, message).hint(format!(
        "who keeps the server's rights file may add `{namespace} = [\"write\"]` to [rights.{}]",
        caller.name()
    ))
}

#[cfg(test)]
mod tests {
    use airlane_model::caller::{ANONYMOUS, Grant};

    use super::*;

    #[test]
    fn s9_what_may_not_be_seen_looks_absent_and_what_may_not_be_written_is_denied() {
        let caller = |name: &str, rights: &[Right]| {
            Caller::new(name, vec![Grant { namespaces: "eu".parse().expect("a pattern"), rights: rights.to_vec() }])
        };
        let table: TableName = "eu/prices".parse().expect("a name");
        let elsewhere: TableName = "us/prices".parse().expect("a name");
        let absent = table_not_found(&table).to_string();
        for (rights, may_read, may_put, drop) in [
            (&[][..], false, false, Some(codes::TABLE_NOT_FOUND)),
            (&[Right::Admin], false, false, Some(codes::TABLE_NOT_FOUND)),
            (&[Right::Read], true, false, Some(codes::PERMISSION_DENIED)),
            (&[Right::Write], false, true, None),
            (&[Right::Read, Right::Write], true, true, None),
        ] {
            let caller = caller("ci", rights);
            assert_eq!(
                read(&caller, &table).map_err(|error| error.to_string()),
                if may_read { Ok(()) } else { Err(absent.clone()) }
            );
            assert_eq!(is_listed(&caller, &table), may_read);
            assert_eq!(
                put(&caller, &table).err().map(|error| error.code()),
                (!may_put).then_some(codes::PERMISSION_DENIED)
            );
            assert_eq!(drop_table(&caller, &table).err().map(|error| error.code()), drop, "{rights:?}");
            assert_eq!(set_retention(&caller, &table).err().map(|error| error.code()), drop, "{rights:?}");
            assert!(read(&caller, &elsewhere).is_err() && put(&caller, &elsewhere).is_err());
            assert!(!is_listed(&caller, &elsewhere));
        }
        let error = put(&caller(ANONYMOUS, &[Right::Read]), &table).expect_err("anonymous");
        assert_eq!(error.code(), codes::CREDENTIALS_MISSING);
    }
}
