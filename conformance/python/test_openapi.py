"""The OpenAPI document is valid, and the server answers what it says."""

import http.client
import json

import jsonschema
import pytest
from openapi_spec_validator import validate


def ask(server, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return answer, read


@pytest.fixture(scope="module")
def document(server):
    answer, body = ask(server, "GET", "/v1/openapi.json")
    assert answer.status == 200
    return json.loads(body)


def test_the_document_is_valid(document):
    assert document["openapi"].startswith("3.1.")
    validate(document)


def schema_of(document, method, pattern, answer):
    responses = document["paths"][pattern][method.lower()]["responses"]
    found = responses.get(str(answer.status), responses.get("default"))
    if "$ref" in found:
        found = document["components"]["responses"][found["$ref"].rsplit("/", 1)[1]]
    media = answer.headers["content-type"].split(";")[0]
    return found["content"][media]["schema"]


def strict(value):
    """Objects have what the document says and nothing more, or a field could be told that nobody described."""
    if isinstance(value, dict):
        value = {key: strict(inner) for key, inner in value.items()}
        if isinstance(value.get("properties"), dict) and "additionalProperties" not in value:
            value["additionalProperties"] = False
        return value
    return [strict(inner) for inner in value] if isinstance(value, list) else value


CSV = b"a,b\n1,x\n2,\n"

# Method, path as the document has it, what stands for its end, the query, the body, the status.
ASKED = [
    ("GET", "/readyz", "", "", None, 200),
    ("PUT", "/v1/tables/{name}", "{table}", "?ttl=1h&format=csv", CSV, 201),
    ("POST", "/v1/tables/{name}", "{table}", "?format=csv", CSV, 200),
    ("GET", "/v1/tables", "", "?limit=1", None, 200),
    ("GET", "/v1/schemas/{name}", "{table}", "", None, 200),
    ("GET", "/v1/versions/{name}", "{table}", "", None, 200),
    ("GET", "/v1/stats/{name}", "{table}", "", None, 200),
    ("GET", "/v1/retention/{name}", "{table}", "", None, 200),
    ("PATCH", "/v1/retention/{name}", "{table}", "", b'{"versions": 3, "idle": "1h"}', 200),
    ("POST", "/v1/tickets", "", "", b'{"ticket": "{table}", "ttl": "10m", "reads": 2}', 200),
    ("GET", "/v1/status", "", "", None, 200),
    ("POST", "/v1/keys/rotate", "", "", b"{}", 200),
    ("GET", "/v1/openapi.json", "", "", None, 200),
    ("GET", "/v1/tables/{name}", "absent", "", None, 404),
    ("GET", "/v1/tables/{name}", "{table}", "?colums=a", None, 400),
    ("PUT", "/v1/tables/{name}", "{table}", "?format=csv", b"a,b\n1\n", 400),
    ("PATCH", "/v1/uploads/{id}", "none", "", b"", 404),
    ("DELETE", "/v1/uploads/{id}", "none", "", None, 404),
    ("DELETE", "/v1/tables/{name}", "{table}", "", None, 200),
]


def test_json_answers_are_as_the_document_says(server, document, name):
    whole = strict(document)
    for method, pattern, end, query, body, status in ASKED:
        path = pattern.split("{")[0] + end.replace("{table}", name) + query
        sent = body.replace(b"{table}", name.encode()) if body else body
        answer, read = ask(server, method, path, sent)
        assert answer.status == status, (method, path, read)
        schema = dict(schema_of(whole, method, pattern, answer), components=whole["components"])
        jsonschema.validate(json.loads(read), schema, jsonschema.Draft202012Validator)


def test_a_wrong_answer_would_be_seen(document):
    whole = strict(document)
    schema = {"$ref": "#/components/schemas/Problem", "components": whole["components"]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"title": "x"}, schema, jsonschema.Draft202012Validator)
