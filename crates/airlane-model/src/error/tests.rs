use super::*;

#[test]
fn the_table_has_each_kind_once_and_distinct_codes() {
    for (index, row) in ErrorKind::TABLE.iter().enumerate() {
        for other in &ErrorKind::TABLE[index + 1..] {
            assert_ne!(row.0, other.0);
            assert_ne!(row.1, other.1, "two kinds share a gRPC code");
            assert_ne!(row.3, other.3, "two kinds share an exit code");
        }
        assert_eq!(ErrorKind::from_grpc_code(row.1), row.0);
    }
}

#[test]
fn every_code_is_found_by_its_name() {
    for code in codes::ALL {
        assert_eq!(Code::by_name(code.name()), Some(*code));
    }
    assert_eq!(Code::by_name("no_such_code"), None);
}

#[test]
fn what_may_do_a_put_twice_is_not_called_retryable() {
    for code in [codes::COMMIT_UNKNOWN, codes::CONNECTION_BROKEN, codes::DEADLINE_EXCEEDED, codes::CALL_CANCELLED] {
        assert!(!code.is_retryable(), "{code:?}");
    }
    // Nor what the same request can never have.
    assert!(!codes::LIMIT_EXCEEDED.is_retryable());
    assert!(codes::SERVER_UNREACHABLE.is_retryable() && codes::STORAGE_FULL.is_retryable());
}

#[test]
fn display_puts_place_and_hint_on_lines_of_their_own() {
    let error = Error::new(codes::DATA_INVALID, "offset 9 is before offset 12")
        .at("row 3, column \"name\"")
        .hint("write the batch with a current Arrow library");
    assert_eq!(
        error.to_string(),
        "offset 9 is before offset 12\nat: row 3, column \"name\"\nhint: write the batch with a current Arrow library"
    );
}
