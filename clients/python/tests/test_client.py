"""The calls, what they answer, and what they refuse."""

import json
import pickle
import time
import tomllib
import urllib.request

import pyarrow as pa
import pytest

import airlane
from conftest import ROOT

TABLE = pa.table({"n": [1, 2, 3], "text": ["a", None, "<b>"]})


def test_list_describe_drop(client, name):
    receipt = client.put(name, TABLE, ttl="1h", versions=3)
    assert [info.name for info in client.ls(name)] == [name]
    info = client.info(name)
    assert (info.rows, info.version, info.durability, info.table_id) == (3, 1, "durable", receipt.table_id)
    assert info.retention == {"ttl": "1h", "versions": 3}
    assert info.columns == [("n", "Int64", True), ("text", "Utf8", True)]
    assert info.expires is not None and info.expires.utcoffset().total_seconds() == 0
    assert client.retain(name, ttl="none", idle=90).retention == {"idle": "90s", "versions": 3}
    assert client.drop(name).name == name
    with pytest.raises(airlane.NotFoundError):
        client.info(name)


CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: numbers
version: 1.0.0
status: active
schema:
  - name: numbers
    properties:
      - {name: n, logicalType: integer, physicalType: bigint, logicalTypeOptions: {minimum: 1}}
      - {name: text, logicalType: string}
"""


def test_contracts(client, name):
    added = client.contract_add("numbers", CONTRACT)
    assert (added["contract"], added["version"]) == ("numbers", 1)
    assert client.contract_show("numbers") == client.contract_show("numbers", 1) == CONTRACT
    client.contract_bind(name, "numbers")
    assert {one["contract"]: one["bound_to"] for one in client.contract_ls()}["numbers"] == {name: "reject"}
    assert client.put(name, TABLE).rows == 3
    with pytest.raises(airlane.InvalidArgumentError, match="at least 1") as caught:
        client.put(name, pa.table({"n": [0], "text": ["a"]}))
    assert caught.value.code == "contract_broken"
    with pytest.raises(airlane.AlreadyExistsError, match="at least 2"):
        client.contract_add("numbers", CONTRACT.replace("minimum: 1", "minimum: 2"))
    assert client.contract_unbind(name) == {"contract": "numbers", "mode": "reject"}
    with pytest.raises(airlane.NotFoundError):
        client.contract_unbind(name)
    with pytest.raises(airlane.InvalidArgumentError, match="no mode"):
        client.contract_bind(name, "numbers", mode="refuse")
    assert client.contract_show("market_data").startswith("apiVersion")


def test_reads_once(client, name):
    client.put(name, TABLE, durability="ephemeral", reads=1)
    assert client.get(name).to_arrow() == TABLE
    with pytest.raises(airlane.NotFoundError):
        client.get(name).read()


def test_a_ticket_of_a_part(client, name):
    client.put(name, TABLE)
    ticket = client.ticket(name, columns=["text"], rows=range(1, 3), reads=2, ttl=60)
    assert (ticket.rows, ticket.columns, ticket.reads) == (2, ["text"], 2)
    assert str(ticket).startswith("~") and str(ticket) not in repr(ticket)
    result = client.get(ticket)
    assert str(ticket) not in repr(result)
    assert result.to_arrow() == TABLE.select(["text"]).slice(1)
    assert client.get(str(ticket)).num_rows == 2
    with pytest.raises(airlane.Error) as caught:
        client.get(ticket)
    assert caught.value.code == "ticket_used"


def test_a_receipt_carries_a_signed_ticket(client, name):
    receipt = client.put(name, TABLE, ticket={"reads": 1, "ttl": 60})
    assert receipt.ticket.startswith("~") and receipt.ticket not in repr(receipt)
    assert client.get(receipt).to_arrow() == TABLE
    with pytest.raises(airlane.Error) as caught:
        client.get(receipt)
    assert caught.value.code == "ticket_used"
    with pytest.raises(TypeError, match="no rule 'read'"):
        client.put(name, TABLE, ticket={"read": 1})
    assert client.info(name).version == 1


def test_a_receipt_tells_what_a_contract_said(server, client, name):
    document = f"""
apiVersion: v3.1.0
kind: DataContract
id: {name.rpartition("/")[2]}
version: 1.0.0
status: active
schema:
  - name: numbers
    properties:
      - {{name: n, logicalType: integer, physicalType: bigint, logicalTypeOptions: {{minimum: 2}}}}
"""
    contract = name.rpartition("/")[2]

    def tell(path, body):
        request = urllib.request.Request(server.url.replace("grpc://", "http://") + path, body.encode(), method="PUT")
        urllib.request.urlopen(request).close()

    tell(f"/v1/contracts/{contract}", document)
    tell("/v1/bindings", json.dumps({"tables": name, "contract": contract, "mode": "coerce_quarantine"}))
    receipt = client.put(name, pa.table({"n": pa.array([1, 2, 3], pa.int32())}))
    assert (receipt.rows, receipt.contract["registered_version"]) == (2, 1)
    assert client.get(receipt.contract["rejected_ticket"]).to_arrow()["n"].to_pylist() == [1]
    assert client.put(f"{name}_free", TABLE).contract is None


def test_data_that_does_not_tell_its_size_is_put_all_the_same(client, name):
    class Sizeless:
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.table({"n": [1, 2]}).__arrow_c_stream__(requested_schema)

        @property
        def nbytes(self):
            raise TypeError("byte ranges of this type are not supported")

    assert client.put(name, Sizeless(), durability="ephemeral").rows == 2


def test_the_size_of_a_put_is_a_hint_and_no_more(client, name):
    large = pa.table({"n": range(1_000_000), "text": pa.array(["some text"] * 1_000_000)})
    for expected in (None, 0, 1, large.nbytes, 1 << 40):
        client.put(name, large, durability="ephemeral", bytes_expected=expected)
        assert client.get(name).to_arrow() == large
    batches = large.to_batches(max_chunksize=10_000)
    client.put(name, iter(batches), durability="ephemeral", schema=large.schema, bytes_expected=large.nbytes)
    assert client.get(name).to_arrow() == large
    with pytest.raises(ValueError, match="bytes_expected"):
        client.put(name, TABLE, bytes_expected=-1)


def test_a_put_with_a_key_is_one_put(client, name):
    first = client.append(name, TABLE, idempotency_key="one")
    assert client.append(name, TABLE, idempotency_key="one") == first
    assert client.info(name).rows == 3


def test_an_error_has_code_place_and_hint(client, name):
    with pytest.raises(airlane.NotFoundError) as caught:
        client.get(name)
    error = caught.value
    assert isinstance(error, airlane.Error) and isinstance(error, LookupError)
    assert error.code == "table_not_found" and name in error.message and error.hint
    assert str(error).splitlines()[-1] == f"hint: {error.hint}"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.code) == (type(error), str(error), error.code)


def test_every_kind_of_the_specification_has_a_class():
    codes = tomllib.loads((ROOT / "spec/errors.toml").read_text())
    assert {code["kind"] for code in codes.values()} <= set(airlane._errors.KINDS)
    assert "rows_gone" in codes and codes["rows_gone"]["kind"] == "failed_precondition"


@pytest.mark.parametrize("kind", sorted(airlane._errors.KINDS))
def test_every_kind_of_error_has_a_class(kind):
    made = airlane._errors.exception(kind, "x", "m", "p", "h", True, 1.5)
    assert type(made) is airlane._errors.KINDS[kind] and isinstance(made, airlane.Error)
    assert (str(made), made.code, made.retryable, made.retry_after) == ("m\nat: p\nhint: h", "x", True, 1.5)
    assert type(made).__name__ in airlane.__all__


@pytest.mark.parametrize(
    ("call", "raised"),
    [
        (lambda c, n: c.put(n, 5), TypeError),
        (lambda c, n: c.put(n, [TABLE]), TypeError),
        (lambda c, n: c.put(n, 5, schema=TABLE.schema), TypeError),
        (lambda c, n: c.put(n, TABLE, format="csv"), TypeError),
        (lambda c, n: c.put("no/../name", TABLE), airlane.InvalidArgumentError),
        (lambda c, n: c.put(n, TABLE, mode="upsert"), airlane.InvalidArgumentError),
        (lambda c, n: c.put(n, TABLE, durability="forever"), airlane.InvalidArgumentError),
        (lambda c, n: c.put(n, TABLE, durability="replicated"), airlane.NotImplementedByServerError),
        (lambda c, n: c.put(n, TABLE, ttl="soon"), airlane.InvalidArgumentError),
        (lambda c, n: c.put(n, "/nothing/here.csv"), airlane.Error),
        (lambda c, n: c.put(n, [pa.table({"other": [1.5]})], schema=TABLE.schema), airlane.FailedPreconditionError),
        (lambda c, n: c.get("?!"), airlane.InvalidArgumentError),
        (lambda c, n: c.get(None), TypeError),
        (lambda c, n: c.ticket(n, rows=range(0, 9, 2)), ValueError),
        (lambda c, n: c.ticket(n, ttl=-1), airlane.InvalidArgumentError),
        (lambda c, n: c.ticket(n, reads=0), airlane.InvalidArgumentError),
        (lambda c, n: c.ls(timeout=float("nan")), airlane.InvalidArgumentError),
    ],
)
def test_what_is_refused_raises_and_leaves_nothing(client, name, call, raised):
    with pytest.raises(raised):
        call(client, name)
    assert client.ls(name) == []


def test_an_append_of_another_schema_is_refused(client, name):
    client.put(name, TABLE)
    with pytest.raises(airlane.FailedPreconditionError) as caught:
        client.append(name, pa.table({"n": ["text"]}))
    assert caught.value.code == "schema_mismatch" and caught.value.place
    assert client.info(name).version == 1


class Exporter:
    """What exports whatever it is told to."""

    def __init__(self, export):
        self.export = export

    def __arrow_c_stream__(self, requested_schema=None):
        return self.export()


def raising():
    raise Mine("here")


@pytest.mark.parametrize(
    "export",
    [
        lambda: 5,
        lambda: None,
        lambda: TABLE.schema.__arrow_c_schema__(),
        lambda capsule=TABLE.__arrow_c_stream__(): (pa.RecordBatchReader._import_from_c_capsule(capsule), capsule)[1],
        raising,
        lambda: pa.chunked_array([[1, 2]]).__arrow_c_stream__(),
    ],
    ids=["a number", "nothing", "a schema", "a stream that was taken", "an exception", "a column"],
)
def test_a_bad_exporter_raises_and_puts_nothing(client, name, export):
    with pytest.raises((TypeError, ValueError, Mine, airlane.Error, OSError)):
        client.put(name, Exporter(export))
    assert client.ls(name) == []


class Mine(Exception):
    pass


@pytest.mark.parametrize("batches_before", [0, 1, 50])
def test_what_a_generator_raises_comes_as_it_is_and_nothing_is_kept(client, name, batches_before):
    def batches():
        yield from [TABLE] * batches_before
        raise Mine("here")

    with pytest.raises(Mine, match="here"):
        client.put(name, batches(), schema=TABLE.schema)
    reader = pa.RecordBatchReader.from_batches(TABLE.schema, (batch for table in batches() for batch in table.to_batches()))
    with pytest.raises(airlane.Error) as caught:
        client.put(name, reader)
    assert caught.value.code == "data_invalid" and "here" in caught.value.message
    assert client.ls(name) == []


def test_no_server(name):
    with pytest.raises(airlane.UnavailableError) as caught:
        airlane.connect("grpc://127.0.0.1:1")
    assert caught.value.code == "server_unreachable" and isinstance(caught.value, ConnectionError)
    with pytest.raises(airlane.InvalidArgumentError):
        airlane.connect("ftp://x")
    with pytest.raises(airlane.InvalidArgumentError):
        airlane.connect("grpc://127.0.0.1:1", token="t", user="u", password="p")
    with pytest.raises(airlane.InvalidArgumentError):
        airlane.connect("grpc://127.0.0.1:1", user="u")


def test_the_environment_names_the_server(server, monkeypatch):
    monkeypatch.setenv("AIRLANE_URL", server.url)
    monkeypatch.setenv("AIRLANE_TOKEN", "")
    with airlane.connect() as client:
        assert client.url == server.url


def test_a_closed_client_refuses_and_its_results_stay(server, name):
    with server.connect() as client:
        client.put(name, TABLE)
        result = client.get(name).read()
        late = client.get(name)
    with pytest.raises(ValueError, match="closed"):
        client.ls()
    assert result.to_arrow() == TABLE and late.to_arrow() == TABLE


def test_rows_that_were_iterated_over_are_gone_and_say_so(client, name):
    client.put(name, TABLE)
    result = client.get(name)
    assert [len(batch) for batch in result] == [3]
    for call in (result.read, result.to_arrow, result.head, lambda: list(result), lambda: pa.table(result)):
        with pytest.raises(airlane.FailedPreconditionError) as caught:
            call()
        assert caught.value.code == "rows_gone"
    kept = client.get(name).read()
    assert [len(batch) for batch in kept] == [len(batch) for batch in kept] == [3]


def test_a_look_at_the_first_rows_takes_none_away(client, name):
    client.put(name, pa.table({"n": range(500_000)}))
    result = client.get(name)
    assert result.head(3).to_arrow()["n"].to_pylist() == [0, 1, 2]
    assert "not read yet" in repr(result)
    assert sum(len(batch) for batch in result) == 500_000
    result = client.get(name)
    assert len(result.head(10**9)) == 500_000
    assert result.to_arrow()["n"].to_pylist() == list(range(500_000))


def test_a_deadline_ends_a_call(client, name):
    with pytest.raises(airlane.DeadlineExceededError) as caught:
        client.ls(timeout=0)
    assert isinstance(caught.value, TimeoutError) and caught.value.code == "deadline_exceeded"

    def batches():
        yield TABLE
        time.sleep(0.1)
        yield TABLE

    with pytest.raises(airlane.DeadlineExceededError):
        client.put(name, batches(), schema=TABLE.schema, timeout=0.05)
    assert client.ls(name) == []
