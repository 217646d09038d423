//! What all handlers take of a request, refused in the words of the product where it is none.

use std::convert::Infallible;

use airlane_model::{Caller, Error, TableName, Ticket, codes};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Who asks, as the gate before the door has put it into the request. A request that passed no gate is from nobody, who may
/// do nothing.
#[derive(Clone, Debug)]
pub(crate) struct From(pub(crate) Caller);

impl<S: Send + Sync> FromRequestParts<S> for From {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Caller>().cloned().unwrap_or_else(Caller::nobody)))
    }
}

/// The options after the question mark. Unknown ones are refused, since ignoring one is a silent change of meaning.
#[derive(Clone, Debug)]
pub(crate) struct Options<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Options<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let parsed = Query::<T>::try_from_uri(&parts.uri);
        parsed.map(|Query(options)| Self(options)).map_err(|rejection| {
            let source = std::error::Error::source(&rejection).map(ToString::to_string);
            let message = source.unwrap_or_else(|| rejection.body_text());
            Problem(Error::new(codes::OPTION_INVALID, message).at("the query of the URL"))
        })
    }
}

/// The table that the path ends with.
#[derive(Clone, Debug)]
pub(crate) struct Named(pub(crate) TableName);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = end_of_path(parts, state).await?;
        TableName::parse(&name).map(Self).map_err(|error| Problem(error.at("the path of the URL")))
    }
}

/// The ticket that the path ends with.
#[derive(Clone, Debug)]
pub(crate) struct Redeemed(pub(crate) Ticket);

impl<S: Send + Sync> FromRequestParts<S> for Redeemed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = end_of_path(parts, state).await?;
        text.parse().map(Self).map_err(|error: Error| Problem(error.at("the path of the URL")))
    }
}

async fn end_of_path<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Problem> {
    let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
    path.map(|Path(path)| path).map_err(|rejection| {
        Problem(Error::new(codes::TABLE_NAME_INVALID, rejection.body_text()).at("the path of the URL"))
    })
}
