//! What DataFusion says, in the words of this server.

use airlane_model::{Error, codes};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Diagnostic, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;

/// An error of ours on its way through DataFusion.
pub(crate) fn carried(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// An error that comes back from planning.
pub(crate) fn of_planning(error: DataFusionError) -> Error {
    of(error, codes::SQL_INVALID)
}

/// An error that comes back from computing.
pub(crate) fn of_computing(error: DataFusionError) -> Error {
    of(error, codes::QUERY_FAILED)
}

/// What is not known better is a fault of the statement, or of the values that it met.
fn of(error: DataFusionError, otherwise: airlane_model::Code) -> Error {
    let place = error.diagnostic().and_then(place_of_diagnostic);
    let at = |found: Error| match &place {
        Some(place) if found.place().is_none() => found.at(place.clone()),
        _ => found,
    };
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(inner) => match inner.downcast::<DataFusionError>() {
                Ok(inner) => of(*inner, otherwise),
                Err(inner) => Error::new(codes::INTERNAL, "a query broke").source(inner),
            },
        },
        DataFusionError::Diagnostic(_, inner) => at(of(*inner, otherwise)),
        DataFusionError::Context(_, inner) => at(of(*inner, otherwise)),
        DataFusionError::Shared(inner) => at(of_shared(&inner, otherwise)),
        DataFusionError::Collection(mut all) => match all.is_empty() {
            true => Error::new(codes::INTERNAL, "a query broke"),
            false => at(of(all.swap_remove(0), otherwise)),
        },
        DataFusionError::SQL(error, _) => of_parser(&error),
        DataFusionError::SchemaError(error, _) => at(of_schema(&error)),
        DataFusionError::NotImplemented(message) => {
            at(Error::new(codes::NOT_IMPLEMENTED, first_line(&message)).hint("write the statement in another way"))
        }
        DataFusionError::ResourcesExhausted(message) => memory_full(&message),
        DataFusionError::ArrowError(error, _) => of_arrow(&error, otherwise),
        DataFusionError::Plan(message) => {
            at(Error::new(codes::SQL_INVALID, first_line(&message)).hint("correct the statement"))
        }
        DataFusionError::Execution(message) => {
            at(Error::new(otherwise, first_line(&message)).hint("correct the statement, or the values that it met"))
        }
        DataFusionError::Internal(message) => Error::new(codes::INTERNAL, "a query met a fault of its engine")
            .source(first_line(&message))
            .hint("write the statement in another way, and report this one"),
        other => at(Error::new(otherwise, first_line(&other.strip_backtrace()))),
    }
}

fn of_shared(error: &DataFusionError, otherwise: airlane_model::Code) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.again(),
            None => Error::new(otherwise, first_line(&error.strip_backtrace())),
        },
        DataFusionError::ResourcesExhausted(message) => memory_full(message),
        DataFusionError::ArrowError(error, _) => of_arrow(error, otherwise),
        DataFusionError::Context(_, inner) => of_shared(inner, otherwise),
        DataFusionError::Shared(inner) => of_shared(inner, otherwise),
        _ => Error::new(otherwise, first_line(&error.strip_backtrace())),
    }
}

fn memory_full(message: &str) -> Error {
    Error::new(
        codes::QUERY_MEMORY_FULL,
        "the query needs more memory than it may take, in a part that cannot go to disk",
    )
    .source(first_line(message))
    .hint("read fewer rows or columns, aggregate before joining, or raise `query_memory`")
}

fn of_arrow(error: &ArrowError, otherwise: airlane_model::Code) -> Error {
    match error {
        ArrowError::ExternalError(inner) => match inner.downcast_ref::<Error>() {
            // Several operators may have met it.
            Some(ours) => ours.again(),
            None => match inner.downcast_ref::<DataFusionError>() {
                Some(inner) => of_shared(inner, otherwise),
                None => Error::new(otherwise, first_line(&error.to_string())),
            },
        },
        ArrowError::DivideByZero => {
            Error::new(codes::QUERY_FAILED, "a division by zero").hint("divide by `NULLIF(x, 0)` to get a null instead")
        }
        ArrowError::ArithmeticOverflow(message) => Error::new(codes::QUERY_FAILED, first_line(message))
            .hint("cast to a wider type first, such as DECIMAL(38, 2) or DOUBLE"),
        ArrowError::CastError(message) | ArrowError::ParseError(message) => {
            Error::new(codes::QUERY_FAILED, first_line(message)).hint("`TRY_CAST` gives a null for what cannot be cast")
        }
        other => Error::new(otherwise, first_line(&other.to_string())),
    }
}

fn of_parser(error: &ParserError) -> Error {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => {
            return Error::new(codes::STATEMENT_TOO_LARGE, "the statement is nested too deep to be read")
                .hint("keep an inner part as a table, and read that");
        }
    };
    let message = first_line(message);
    // The parser ends its messages with the place.
    let (text, place) = match message.rsplit_once(" at Line: ") {
        Some((text, place)) => (text.to_owned(), Some(place.replace(", Column: ", ", column "))),
        None => (message, None),
    };
    let found = Error::new(codes::SQL_INVALID, text).hint("correct the statement there");
    match place {
        Some(place) => found.at(format!("line {place}")),
        None => found,
    }
}

fn of_schema(error: &SchemaError) -> Error {
    if let SchemaError::FieldNotFound { field, valid_fields } = error {
        let mut names: Vec<&str> = valid_fields.iter().map(|field| field.name.as_str()).collect();
        names.dedup();
        let found = Error::new(codes::SQL_INVALID, format!("there is no column `{}`", field.name));
        let same = names.iter().find(|name| name.eq_ignore_ascii_case(&field.name));
        return match same {
            Some(name) => found.hint(format!("the column is written \"{name}\", with quotes")),
            None if names.is_empty() => found.hint("no table that has columns is read there"),
            None => {
                let more = if names.len() > COLUMNS_TOLD_MAX { " …" } else { "" };
                names.truncate(COLUMNS_TOLD_MAX);
                found.hint(format!("there are: {}{more}", names.join(", ")))
            }
        };
    }
    Error::new(codes::SQL_INVALID, first_line(&error.to_string())).hint("correct the statement")
}

/// So many columns are named in a hint.
const COLUMNS_TOLD_MAX: usize = 20;

fn place_of_diagnostic(diagnostic: &Diagnostic) -> Option<String> {
    let start = diagnostic.span?.start;
    (start.line > 0).then(|| format!("line {}, column {}", start.line, start.column))
}

/// Messages go on with what helps only who looks into the engine.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}
