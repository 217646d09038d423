//! Every request in words. What the options and the answers hold comes from their types.

use airlane_exchange::words::{
    BindRequest, DescribedTable, PutOptions, SignedTicketInfo, StatementRequest, TicketRequest, UnbindRequest,
};
use airlane_exchange::{Rotation, Statistics};
use airlane_format::CsvOptions;
use airlane_model::error::Code;
use airlane_model::figures::ServerFigures;
use airlane_model::{Durability, PutMode, Retention, StatementResult, TableChange, TableInfo, codes};
use serde_json::{Map, Value, json};

use super::Schemas;
use super::operation::Operation;
use crate::changes::ChangeOptions;
use crate::contracts::{DiffOptions, RegisterOptions, ShowOptions};
use crate::download::DownloadOptions;
use crate::media;
use crate::readiness::Report;
use crate::tables::{ListOptions, Page, Rules, TableRetention, Versions};
use crate::tickets::KeyRotation;
use crate::upload::running::Uploaded;

const NAME: &str = "The name of a table; a `/` in it may stand as it is or as `%2F`.";
const TICKET: &str =
    "A ticket, plain such as `prices@3` or signed, with `?`, `&` and `=` in it written as `%3F`, `%26` and `%3D`.";
const ID: &str = "The upload, as `location` named it when it began.";

const FACTS: [(&str, &str); 7] = [
    ("etag", "The same as long as the version, the format, the types and the packing are."),
    ("airlane-table-id", "The identity of the table."),
    ("airlane-version", "The version that is read."),
    ("airlane-rows", "The rows of the answer. Not with HEAD."),
    ("airlane-row-offset", "The position of the first of them in the version. Not with HEAD."),
    (
        "airlane-ticket",
        "What reads the same of the same version: with `offset` a download that broke goes on. Not with HEAD.",
    ),
    ("content-location", "The path of that ticket. Not with HEAD."),
];
const OFFSETS: [(&str, &str); 2] =
    [("upload-offset", "The bytes that are there."), ("upload-complete", "`?0` while more is to come.")];

const READ_ERRORS: [Code; 6] = [
    codes::TABLE_NOT_FOUND,
    codes::OPTION_INVALID,
    codes::VERSION_NOT_FOUND,
    codes::ROWS_OUT_OF_RANGE,
    codes::TICKET_REFUSED,
    codes::TICKET_EXPIRED,
];
const PUT_ERRORS: [Code; 10] = [
    codes::OPTION_INVALID,
    codes::FILE_INVALID,
    codes::ENCODING_UNSUPPORTED,
    codes::LIMIT_EXCEEDED,
    codes::PERMISSION_DENIED,
    codes::SCHEMA_MISMATCH,
    codes::IDEMPOTENCY_CONFLICT,
    codes::QUOTA_EXCEEDED,
    codes::MEMORY_FULL,
    codes::STORAGE_FULL,
];
const SQL_ERRORS: [Code; 7] = [
    codes::SQL_INVALID,
    codes::STATEMENT_REFUSED,
    codes::STATEMENT_TOO_LARGE,
    codes::QUERY_FAILED,
    codes::QUERY_MEMORY_FULL,
    codes::QUERY_TIME_EXCEEDED,
    codes::TABLE_EXISTS,
];
const CHANGE_ERRORS: [Code; 2] = [codes::TABLE_NOT_FOUND, codes::PERMISSION_DENIED];

const RUN: &str = "SELECT gives its rows, as they are computed, in any format; `columns`, `offset` and `limit` are said in the \
                   statement. CREATE TABLE … AS, INSERT INTO and DROP TABLE are done, and answered as JSON.";

const REGISTER: &str = "A document of the Open Data Contract Standard. A new version must be compatible with the one before. For \
                        callers with `admin` for all namespaces.";

fn object() -> Value {
    json!({ "application/json": { "schema": { "type": "object" } } })
}

/// What the document says of a route.
pub(super) fn of(name: &str, schemas: &mut Schemas) -> Option<Operation> {
    let op = Operation::new;
    Some(match name {
        "GET /" => op("What this is", "A few words and examples.").text(200, "Text.", "text/plain"),
        "GET /healthz" => op("Whether the process runs", "For probes.").text(200, "It does.", "text/plain"),
        "GET /readyz" => op("Whether requests will be served", "For probes: each check, and why it is not ready.")
            .json::<Report>(200, "It is ready.", schemas)
            .json::<Report>(503, "It is not.", schemas),
        "GET /metrics" => op("Metrics", "For callers with `admin` for all namespaces.")
            .text(200, "Prometheus text.", "text/plain")
            .errors(&[codes::PERMISSION_DENIED]),
        "GET /v1/tables" => op("List tables", "In the order of their names, by pages.")
            .query::<ListOptions>(schemas)
            .json::<Page>(200, "A page; `next` is the `after` of the next one.", schemas)
            .errors(&[codes::OPTION_INVALID]),
        "GET /v1/tables/{name}" => read(op("Read a table", READ).path("name", NAME), schemas),
        "HEAD /v1/tables/{name}" => look(op("Look at a table", LOOK).path("name", NAME), schemas),
        "GET /v1/tickets/{ticket}" => read(op("Read a ticket", READ).path("ticket", TICKET), schemas),
        "HEAD /v1/tickets/{ticket}" => look(op("Look at a ticket", LOOK).path("ticket", TICKET), schemas),
        "PUT /v1/tables/{name}" => upload(op("Put a table", PUT), schemas),
        "POST /v1/tables/{name}" => upload(op("Append to a table", PUT), schemas),
        "DELETE /v1/tables/{name}" => op("Drop a table", "Its name is free at once; who reads it already finishes.")
            .path("name", NAME)
            .json::<TableInfo>(200, "What was dropped.", schemas)
            .errors(&CHANGE_ERRORS),
        "POST /v1/tickets" => {
            op("Sign a ticket", "It reads one version, without other credentials of its own than `caller` asks for.")
                .json_body::<TicketRequest>(schemas)
                .json::<SignedTicketInfo>(200, "The ticket.", schemas)
                .errors(&READ_ERRORS)
        }
        "POST /v1/sql" => read(op("Run a statement", RUN), schemas)
            .json_body::<StatementRequest>(schemas)
            .json::<StatementResult>(201, "What a statement did that changes tables.", schemas)
            .errors(&SQL_ERRORS),
        "GET /v1/schemas/{name}" => {
            op("The schema of a table", "Facts of a version and its columns. Plain tickets are taken too.")
                .path("name", NAME)
                .json::<DescribedTable<'static>>(200, "The schema.", schemas)
                .errors(&[codes::TABLE_NOT_FOUND, codes::VERSION_NOT_FOUND, codes::OPTION_INVALID])
        }
        "GET /v1/versions/{name}" => op("The versions of a table", "Those that can be read.")
            .path("name", NAME)
            .json::<Versions>(200, "The versions.", schemas)
            .errors(&[codes::TABLE_NOT_FOUND]),
        "GET /v1/stats/{name}" => {
            op("Statistics of a table", "Nulls, minimum and maximum of each column. All rows may have to be looked at.")
                .path("name", NAME)
                .json::<Statistics>(200, "The statistics.", schemas)
                .errors(&[codes::TABLE_NOT_FOUND, codes::DATA_DAMAGED])
        }
        "GET /v1/retention/{name}" => op("How long a table is kept", "Its rules, and when it goes as things stand.")
            .path("name", NAME)
            .json::<TableRetention>(200, "The rules.", schemas)
            .errors(&[codes::TABLE_NOT_FOUND]),
        "PATCH /v1/retention/{name}" => {
            op("Change how long a table is kept", "What is not named stays; `none` takes a rule off.")
                .path("name", NAME)
                .json_body::<Rules>(schemas)
                .json::<TableInfo>(200, "The table.", schemas)
                .errors(&CHANGE_ERRORS)
                .errors(&[codes::OPTION_INVALID])
        }
        "HEAD /v1/uploads/{id}" => op("Look at an upload", "How many bytes of it are there.")
            .path("id", ID)
            .answer(204, "It is not complete.", &OFFSETS, None)
            .errors(&[codes::UPLOAD_NOT_FOUND]),
        "PATCH /v1/uploads/{id}" => op("Go on with an upload", "The next part of it; the last one commits.")
            .path("id", ID)
            .header("upload-offset", "The byte at which the part begins. It must be the one that is due.")
            .header("upload-complete", "`?1` with the last part, which is also the default; `?0` when more will come.")
            .body(Map::from_iter([("application/octet-stream".to_owned(), json!({}))]))
            .json::<Uploaded>(200, "It is complete, and a new version of its table.", schemas)
            .json::<Uploaded>(201, "It is complete, and a new table.", schemas)
            .answer(204, "The part was taken.", &OFFSETS, None)
            .errors(&[codes::UPLOAD_NOT_FOUND, codes::UPLOAD_CONFLICT])
            .errors(&PUT_ERRORS),
        "DELETE /v1/uploads/{id}" => op("Give an upload up", "Nothing of it is kept.")
            .path("id", ID)
            .answer(204, "It is gone.", &[], None)
            .errors(&[codes::UPLOAD_NOT_FOUND]),
        "GET /v1/changes" => op("Hear of changes", CHANGES)
            .query::<ChangeOptions>(schemas)
            .header("last-event-id", "The id of the last event that was seen: what came after it is told first.")
            .answer(200, "Server-sent events, without an end.", &[], Some(events(schemas)))
            .errors(&[codes::OPTION_INVALID]),
        "GET /v1/contracts" => op("List data contracts", "Those that come with Airlane are among them.").answer(
            200,
            "The contracts, and what each is bound to.",
            &[],
            Some(object()),
        ),
        "PUT /v1/contracts/{name}" => op("Register a data contract", REGISTER)
            .path("name", "The name of the contract.")
            .query::<RegisterOptions>(schemas)
            .body(Map::from_iter([("application/yaml".to_owned(), json!({ "schema": { "type": "string" } }))]))
            .answer(200, "The contract in its new version.", &[], Some(object()))
            .errors(&[
                codes::CONTRACT_INVALID,
                codes::CONTRACT_INCOMPATIBLE,
                codes::OPTION_INVALID,
                codes::PERMISSION_DENIED,
            ]),
        "GET /v1/contracts/{name}" => op("Read a data contract", "The document, as it was registered.")
            .path("name", "The name of the contract.")
            .query::<ShowOptions>(schemas)
            .text(200, "The document.", "application/yaml")
            .errors(&[codes::CONTRACT_NOT_FOUND, codes::OPTION_INVALID]),
        "GET /v1/contract-changes/{name}" => {
            op("Compare versions of a data contract", "What changes, and what each change breaks.")
                .path("name", "The name of the contract.")
                .query::<DiffOptions>(schemas)
                .answer(200, "The changes.", &[], Some(object()))
                .errors(&[codes::CONTRACT_NOT_FOUND, codes::OPTION_INVALID])
        }
        "PUT /v1/bindings" => op("Bind a data contract to tables", "For callers with `admin` for all namespaces.")
            .json_body::<BindRequest>(schemas)
            .answer(200, "The binding.", &[], Some(object()))
            .errors(&[codes::CONTRACT_NOT_FOUND, codes::OPTION_INVALID, codes::PERMISSION_DENIED]),
        "DELETE /v1/bindings" => op("Take a data contract off tables", "For callers with `admin` for all namespaces.")
            .query::<UnbindRequest>(schemas)
            .answer(200, "The binding that was there.", &[], Some(object()))
            .errors(&[codes::CONTRACT_NOT_FOUND, codes::OPTION_INVALID, codes::PERMISSION_DENIED]),
        "GET /v1/status" => op("How the server does", "For callers with `admin` for all namespaces.")
            .json::<ServerFigures>(200, "Figures.", schemas)
            .errors(&[codes::PERMISSION_DENIED]),
        "POST /v1/keys/rotate" => {
            op("Change the key that signs tickets", "For callers with `admin` for all namespaces.")
                .json_body::<KeyRotation>(schemas)
                .json::<Rotation>(200, "What has become of the keys.", schemas)
                .errors(&[codes::PERMISSION_DENIED, codes::OPTION_INVALID])
        }
        "GET /v1/openapi.json" => op("This document", "All requests, as OpenAPI 3.1.").answer(
            200,
            "The document.",
            &[],
            Some(json!({ "application/json": { "schema": { "type": "object" } } })),
        ),
        "GET /docs" => {
            op("This document as a page", "It asks no other host for anything.").text(200, "The page.", "text/html")
        }
        "GET /docs/{file}" => op("A file of the page", "Scripts and styles.")
            .path("file", "Its name.")
            .answer(200, "The file.", &[], Some(json!({ "*/*": {} })))
            .errors(&[codes::ROUTE_NOT_FOUND]),
        _ => return None,
    })
}

const READ: &str = "An Arrow stream unless `format` or `Accept` says otherwise. An answer that breaks off has no end: the connection is cut.";
const LOOK: &str = "The headers that a read would have.";
const PUT: &str = "The body becomes a table while it arrives: a file of any format, compressed with gzip or zstd or not, or the first file of a form. \
                   Options stand in the query or in headers.";
const CHANGES: &str = "What is committed, dropped, expired, trimmed and refused from now on, of tables that may be read. \
                       The event `missed` says that more happened than is kept for those who come late.";

fn read(operation: Operation, schemas: &mut Schemas) -> Operation {
    let content: Map<String, Value> = media::names_of_answers().map(|media| (media.to_owned(), json!({}))).collect();
    operation
        .query::<DownloadOptions>(schemas)
        .header("accept-encoding", "With `gzip` or `zstd` in it, CSV, NDJSON and JSON come packed.")
        .header("if-none-match", "An `etag` that is known: what has not changed is not sent again.")
        .answer(200, "The rows.", &FACTS, Some(content.into()))
        .answer(304, "What is known is still so.", &FACTS[..3], None)
        .errors(&READ_ERRORS)
}

fn look(operation: Operation, schemas: &mut Schemas) -> Operation {
    operation.query::<DownloadOptions>(schemas).answer(200, "There it is.", &FACTS[..3], None).errors(&READ_ERRORS)
}

fn upload(operation: Operation, schemas: &mut Schemas) -> Operation {
    let mut content: Map<String, Value> = media::names().map(|media| (media.to_owned(), json!({}))).collect();
    content.insert("application/octet-stream".into(), json!({}));
    let form = json!({ "type": "object", "properties": { "file": { "type": "string", "format": "binary" } } });
    content.insert("multipart/form-data".into(), json!({ "schema": form }));
    let format = json!({ "type": "string", "description": "`arrows`, `arrow`, `csv`, `ndjson`, `json` or `parquet`; absent: by `Content-Type`, else by the first bytes." });
    let sample = json!({ "type": "string", "description": "How much of CSV or JSON decides the types of its columns, such as `16MiB`; 1 MiB by default, 64 MiB at most." });
    let mut operation =
        operation.path("name", NAME).option("query", "format", format).option("query", "sample", sample);
    for (name, words) in CsvOptions::NAMES {
        let schema = json!({ "type": "string", "description": format!("{words}.") });
        operation = operation.option("query", name, schema);
    }
    let rules = schemas.fields::<Retention>();
    for name in PutOptions::names() {
        let schema = match name {
            "mode" => with_words(
                "`PUT` replaces and `POST` appends, so this can only say the same.",
                schemas.asked::<PutMode>(),
            ),
            "durability" => with_words(
                "What the table survives; absent: as it is, or durable for a new one.",
                schemas.asked::<Durability>(),
            ),
            "idempotency-key" => json!({ "type": "string", "description": "What makes the put safe to repeat." }),
            rule => {
                let words = rules.get(rule).and_then(|schema| schema["description"].as_str()).unwrap_or_default();
                json!({ "type": "string", "description": format!("{words} `none` takes the rule off.") })
            }
        };
        let header = if name == "idempotency-key" { name.to_owned() } else { format!("airlane-{name}") };
        operation = operation.option("query", name, schema.clone()).option("header", &header, schema);
    }
    operation
        .header(
            "content-encoding",
            "What the body is packed with, once: `gzip` or `zstd`. Without it the first bytes tell.",
        )
        .header("upload-complete", "`?0` begins an upload that can be gone on with at `location`.")
        .body(content)
        .json::<Uploaded>(200, "A new version.", schemas)
        .json::<Uploaded>(
            201,
            "A new table; or, with `upload-complete: ?0`, an upload has begun, which has a `location` and no body.",
            schemas,
        )
        .errors(&PUT_ERRORS)
}

fn with_words(words: &str, schema: Value) -> Value {
    json!({ "description": words, "allOf": [schema] })
}

fn events(schemas: &mut Schemas) -> Value {
    // What `data` holds stands in the schema; the events themselves are text.
    let data = schemas.told::<TableChange>();
    json!({ "text/event-stream": { "schema": { "type": "string", "contentMediaType": "application/json", "contentSchema": data } } })
}
