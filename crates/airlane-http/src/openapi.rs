//! `GET /v1/openapi.json`: all requests as an OpenAPI 3.1 document.
//!
//! ```text
//! ROUTES ──▶ operations: what each takes, answers and is refused for ──▶ paths
//! the types that requests are read into and answers written from ──▶ schemas
//! ```

mod operation;
mod operations;

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use bytes::Bytes;
use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::problem::Document;
use crate::routes::{ROUTES, is_probe};

const SCHEMAS: &str = "/components/schemas";

const ABOUT: &str = "Arrow tables by ticket: put a file and get a ticket, and whoever has the ticket reads the table. \
                     Where the server has no rights file, no credentials are asked for.";

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

pub(crate) async fn json() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "private, no-cache")], DOCUMENT.clone())
}

/// The schemas of what is sent to the server, and of what it answers: a field with a default may be left out in the one only.
struct Schemas {
    asked: SchemaGenerator,
    told: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = SCHEMAS.into();
            settings.meta_schema = None;
        });
        let told = settings.clone().for_serialize().into_generator();
        Self { asked: settings.into_generator(), told }
    }

    fn told<T: JsonSchema>(&mut self) -> Value {
        self.told.subschema_for::<T>().to_value()
    }

    fn asked<T: JsonSchema>(&mut self) -> Value {
        self.asked.subschema_for::<T>().to_value()
    }

    /// The fields of an object, each with its schema.
    fn fields<T: JsonSchema>(&mut self) -> Map<String, Value> {
        let schema = T::json_schema(&mut self.asked).to_value();
        schema["properties"].as_object().cloned().unwrap_or_default()
    }

    fn all(&mut self) -> Map<String, Value> {
        let mut all = self.asked.take_definitions(true);
        all.extend(self.told.take_definitions(true));
        all
    }
}

/// The document.
fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for route in ROUTES {
        let (Some((method, path)), Some(operation)) =
            (route.name.split_once(' '), operations::of(route.name, &mut schemas))
        else {
            continue;
        };
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method.to_ascii_lowercase()] = operation.write(route.name, is_probe(path));
    }
    let problem = schemas.told::<Document<'static>>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Airlane",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        // Wherever the document came from.
        "servers": [{ "url": ".." }],
        "security": [{ "bearer": [] }, { "basic": [] }, { "certificate": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": schemas.all(),
            "responses": {
                "Problem": {
                    "description": "An error; `code` says which.",
                    "headers": { "airlane-code": { "description": "The code of the error.", "schema": { "type": "string" } } },
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "A token." },
                "basic": { "type": "http", "scheme": "basic", "description": "A user and a password." },
                "certificate": { "type": "mutualTLS", "description": "A certificate of the client, where the server asks for one." },
            },
        },
    })
}

#[cfg(test)]
mod tests;
