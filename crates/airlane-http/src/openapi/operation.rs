//! What the document says of one request.

use std::collections::BTreeMap;

use airlane_model::error::Code;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::Schemas;
use crate::problem::status_of;

const JSON: &str = "application/json";

/// A request, what it takes, and what it is answered.
#[derive(Debug)]
pub(super) struct Operation {
    summary: &'static str,
    description: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
    errors: Vec<Code>,
}

impl Operation {
    pub(super) fn new(summary: &'static str, description: &'static str) -> Self {
        let (parameters, answers) = (Vec::new(), Map::new());
        Self { summary, description, parameters, body: None, answers, errors: Vec::new() }
    }

    /// What the path ends with.
    pub(super) fn path(mut self, name: &str, description: &str) -> Self {
        let schema = json!({ "type": "string" });
        self.parameters.push(
            json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema }),
        );
        self
    }

    /// All options of a query.
    pub(super) fn query<T: JsonSchema>(self, schemas: &mut Schemas) -> Self {
        schemas
            .fields::<T>()
            .into_iter()
            .fold(self, |operation, (name, schema)| operation.option("query", &name, schema))
    }

    /// An option; its description stands in its schema.
    pub(super) fn option(mut self, place: &str, name: &str, mut schema: Value) -> Self {
        let description = schema.as_object_mut().and_then(|schema| {
            // What is left out is absent, and never null.
            schema.shift_remove("default");
            if let Some(Value::Array(types)) = schema.get("type") {
                let first = types.first().cloned();
                schema.insert("type".into(), first.unwrap_or_default());
            }
            schema.shift_remove("description")
        });
        let description = description.unwrap_or_else(|| "".into());
        self.parameters.push(json!({ "name": name, "in": place, "description": description, "schema": schema }));
        self
    }

    /// A header of the request.
    pub(super) fn header(self, name: &str, description: &str) -> Self {
        self.option("header", name, json!({ "type": "string", "description": description }))
    }

    /// A body of JSON.
    pub(super) fn json_body<T: JsonSchema>(mut self, schemas: &mut Schemas) -> Self {
        let schema = schemas.asked::<T>();
        self.body = Some(json!({ "required": true, "content": { JSON: { "schema": schema } } }));
        self
    }

    /// A body of bytes, by media types.
    pub(super) fn body(mut self, content: Map<String, Value>) -> Self {
        self.body = Some(json!({ "required": true, "content": content }));
        self
    }

    /// An answer of JSON.
    pub(super) fn json<T: JsonSchema>(self, status: u16, description: &str, schemas: &mut Schemas) -> Self {
        let content = json!({ JSON: { "schema": schemas.told::<T>() } });
        self.answer(status, description, &[], Some(content))
    }

    /// An answer of another type.
    pub(super) fn text(self, status: u16, description: &str, media: &str) -> Self {
        let content = json!({ media: { "schema": { "type": "string" } } });
        self.answer(status, description, &[], Some(content))
    }

    /// An answer.
    pub(super) fn answer(
        mut self,
        status: u16,
        description: &str,
        headers: &[(&str, &str)],
        content: Option<Value>,
    ) -> Self {
        let mut answer = json!({ "description": description });
        for (name, description) in headers {
            answer["headers"][name] = json!({ "description": description, "schema": { "type": "string" } });
        }
        if let Some(content) = content {
            answer["content"] = content;
        }
        self.answers.insert(status.to_string(), answer);
        self
    }

    /// The codes of errors that are its own.
    pub(super) fn errors(mut self, codes: &[Code]) -> Self {
        self.errors.extend(codes);
        self
    }

    /// As the document has it.
    pub(super) fn write(self, name: &str, is_open: bool) -> Value {
        let mut by_status = BTreeMap::<u16, Vec<String>>::new();
        for code in self.errors {
            by_status.entry(status_of(code)).or_default().push(format!("`{}`", code.name()));
        }
        let has_body = !name.starts_with("HEAD ");
        let mut answers = self.answers;
        for (status, codes) in by_status {
            let mut answer = json!({ "description": codes.join(", ") });
            if has_body {
                answer["content"] =
                    json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
            }
            answers.insert(status.to_string(), answer);
        }
        if !is_open {
            let any = match has_body {
                true => json!({ "$ref": "#/components/responses/Problem" }),
                false => json!({ "description": "An error; the header `airlane-code` says which." }),
            };
            answers.insert("default".into(), any);
        }
        let words: Vec<&str> =
            name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let mut operation = json!({
            "operationId": words.join("_").to_ascii_lowercase(),
            "summary": self.summary,
            "description": self.description,
            "parameters": self.parameters,
            "responses": answers,
        });
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        if is_open {
            operation["security"] = json!([]);
        }
        operation
    }
}
