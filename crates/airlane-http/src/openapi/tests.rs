//! The document has what the door has, and nothing else.

use std::collections::BTreeSet;

use super::*;
use crate::routes::tests::call;

fn operation<'a>(document: &'a Value, route: &str) -> &'a Value {
    let (method, path) = route.split_once(' ').unwrap();
    &document["paths"][path][method.to_ascii_lowercase()]
}

fn parameters(operation: &Value, place: &str) -> BTreeSet<String> {
    let all = operation["parameters"].as_array().unwrap().iter();
    all.filter(|parameter| parameter["in"] == place)
        .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_route_is_in_the_document_with_its_path_and_an_answer() {
    let document = document();
    let mut ids = BTreeSet::new();
    for route in ROUTES {
        let operation = operation(&document, route.name);
        assert!(operation.is_object(), "{} is not in the document", route.name);
        let in_braces = route.name.split_once('{').map(|(_, rest)| rest.trim_end_matches('}').to_owned());
        assert_eq!(parameters(operation, "path"), in_braces.into_iter().collect(), "{}", route.name);
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{}", route.name);
        assert!(ids.insert(operation["operationId"].to_string()), "{}", route.name);
        for parameter in operation["parameters"].as_array().unwrap() {
            assert_ne!(parameter["description"], "", "{} {}", route.name, parameter["name"]);
        }
    }
    let documented: usize =
        document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
    assert_eq!(documented, ROUTES.len());
}

/// An option that is unknown is refused with those that are: by the types that handlers read, not by the document.
#[tokio::test]
async fn the_options_of_the_document_are_those_of_the_handlers() {
    let document = document();
    let mut compared = 0;
    for route in ROUTES {
        let (method, path) = route.name.split_once(' ').unwrap();
        // The answers to HEAD have no body; its options are those of GET.
        let asked = if method == "HEAD" { "GET" } else { method };
        let path = path.split_once('{').map_or(path.to_owned(), |(path, _)| format!("{path}a/b"));
        let (_, content_type, body) = call(asked, &format!("{path}?no_such_option=1")).await;
        let mut taken = BTreeSet::new();
        if content_type == "application/problem+json" && body.contains("no_such_option") {
            let problem: Value = serde_json::from_str(&body).unwrap();
            let text = match problem["hint"].as_str().and_then(|hint| hint.strip_prefix("valid: ")) {
                Some(names) => names.split(", ").map(|name| format!("`{name}`")).collect::<String>() + "`format`",
                None => problem["detail"].as_str().unwrap().split_once("expected").unwrap().1.to_owned(),
            };
            taken.extend(text.split('`').skip(1).step_by(2).map(str::to_owned));
            compared += 1;
        }
        assert_eq!(parameters(operation(&document, route.name), "query"), taken, "{}", route.name);
    }
    assert_eq!(compared, 13, "lists, changes, puts, contracts, statements, and the reads of tables and tickets");
}

#[test]
fn every_reference_leads_somewhere_and_probes_need_no_credentials() {
    fn visit(value: &Value, document: &Value, seen: &mut usize) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(to)) = map.get("$ref") {
                    assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to}");
                    *seen += 1;
                }
                map.values().for_each(|value| visit(value, document, seen));
            }
            Value::Array(all) => all.iter().for_each(|value| visit(value, document, seen)),
            _ => {}
        }
    }
    let document = document();
    let mut seen = 0;
    visit(&document, &document, &mut seen);
    assert!(seen > 50, "{seen}");
    for route in ROUTES {
        let path = route.name.split_once(' ').unwrap().1;
        assert_eq!(operation(&document, route.name)["security"].is_array(), is_probe(path), "{}", route.name);
    }
}

#[tokio::test]
async fn the_page_is_whole_and_asks_nobody_else() {
    let (status, content_type, page) = call("GET", "/docs").await;
    assert_eq!((status, content_type.as_str()), (200, "text/html; charset=utf-8"));
    assert!(!page.contains("//"), "an address of another host: {page}");
    let files: Vec<&str> = page.split('"').filter(|text| text.starts_with("docs/")).collect();
    assert_eq!(files.len(), 3);
    for file in files {
        let response = crate::routes::tests::response("GET", &format!("/{file}")).await;
        assert_eq!(response.status(), 200, "{file}");
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("http"), "{policy}");
        let body = axum::body::to_bytes(response.into_body(), 4 << 20).await.unwrap();
        assert!(!body.is_empty());
    }
    assert_eq!(call("GET", "/docs/../secret").await.0, 404);
    let (_, content_type, body) = call("GET", "/v1/openapi.json").await;
    assert_eq!(content_type, "application/json");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["openapi"], "3.1.0");
}
