"""The main job: a table is put, and read by ticket."""

import json
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as parquet
import pytest

from flights import command, exists, get, headers, info, put, same
from tables import SAMPLES, floats, mixed


def test_put_by_path_and_get_by_name(client, name):
    table = mixed(1000)
    receipt = put(client, name, table)
    assert receipt["table"] == name
    assert receipt["version"] == 1
    assert receipt["rows"] == receipt["rows_put"] == 1000
    assert receipt["durability"] == "durable"
    same(table, get(client, name))


def test_the_receipt_has_the_ticket_of_its_version(client, name):
    first = put(client, name, floats(10))
    second = put(client, name, floats(20), options=headers(mode="append"))
    assert (first["version"], second["version"]) == (1, 2)
    assert first["table_id"] == second["table_id"]
    same(floats(10), get(client, first["ticket"]))
    assert get(client, second["ticket"]).num_rows == 30
    assert get(client, f"{name}@2").num_rows == 30


def test_a_path_of_parts_is_a_name_with_slashes(client, name):
    put(client, flight.FlightDescriptor.for_path(*name.split("/")), floats(5))
    assert get(client, name).num_rows == 5


def test_a_bare_name_lives_in_the_default_namespace(client):
    put(client, "bare_name", floats(5))
    assert get(client, "default/bare_name").num_rows == 5


def test_put_replaces_by_default(client, name):
    put(client, name, floats(1000))
    receipt = put(client, name, mixed(5))
    assert receipt["version"] == 2
    same(mixed(5), get(client, name))


def test_put_by_json_command(client, name):
    assert put(client, command(path=name, durability="ephemeral"), floats(10))["durability"] == "ephemeral"
    receipt = put(client, command(path=name, mode="append"), floats(10))
    assert receipt["durability"] == "ephemeral", "an append keeps the durability of the table"
    assert receipt["rows"] == 20
    assert receipt["rows_put"] == 10


def test_put_with_headers(client, name):
    receipt = put(client, name, floats(10), options=headers(durability="ephemeral", mode="append"))
    assert receipt["durability"] == "ephemeral"
    assert put(client, name, floats(10), options=headers(mode="append"))["rows"] == 20


def test_append_of_another_schema_is_refused(client, name):
    put(client, name, floats(10))
    with pytest.raises(pa.ArrowException) as raised:
        put(client, name, mixed(10), options=headers(mode="append"))
    assert "hint:" in str(raised.value)
    assert info(client, name).total_records == 10


def test_many_appends_come_back_in_order(client, name):
    for part in range(40):
        put(client, name, pa.table({"part": pa.array([part] * 10)}), options=headers(mode="append"))
    assert get(client, name)["part"].to_pylist() == [part for part in range(40) for _ in range(10)]


def test_appends_of_many_writers_all_count(server, name):
    def append(part):
        with server.client() as client:
            for _ in range(5):
                put(client, name, pa.table({"part": pa.array([part] * 10)}), options=headers(mode="append"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(8)))
    with server.client() as client:
        parts = get(client, name)["part"].to_pylist()
    assert sorted(parts) == sorted(part for part in range(8) for _ in range(50))
    assert all(len(set(parts[i : i + 10])) == 1 for i in range(0, 400, 10)), "a put is not mixed with another"


@pytest.mark.parametrize("durability", ["ephemeral", "durable"])
def test_a_table_without_rows(client, name, durability):
    schema = mixed(1).schema
    assert put(client, name, [], schema, headers(durability=durability))["rows"] == 0
    found = info(client, name)
    assert found.total_records == 0
    assert found.schema == schema
    same(schema.empty_table(), get(client, name))
    put(client, name, mixed(7), options=headers(mode="append"))
    assert get(client, name).num_rows == 7


@pytest.mark.parametrize("durability", ["ephemeral", "durable"])
def test_a_table_without_columns(client, name, durability):
    batch = pa.RecordBatch.from_struct_array(pa.array([{}] * 12, pa.struct([])))
    assert batch.num_rows == 12
    assert put(client, name, [batch], batch.schema, headers(durability=durability))["rows"] == 12
    assert get(client, name).num_rows == 12


def test_batches_without_rows_between_others(client, name):
    batches = mixed(10).to_batches()
    empty = batches[0].slice(0, 0)
    put(client, name, [empty, *batches, empty, *batches, empty], batches[0].schema)
    assert get(client, name).num_rows == 20


def test_the_endpoints_add_up(client, server, name):
    table = floats(2_500_000)
    put(client, name, table, options=headers(durability="ephemeral"))
    found = info(client, name)
    assert found.total_records == table.num_rows
    assert found.ordered
    assert len(found.endpoints) > 1, "160 MB are worth several flights"
    assert all(list(endpoint.locations) == [] for endpoint in found.endpoints)

    def read(endpoint):
        with server.client() as own:
            return own.do_get(endpoint.ticket).read_all()

    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(read, found.endpoints))
    assert all(part.num_rows > 0 for part in parts)
    same(table, pa.concat_tables(parts))


def test_total_bytes_is_what_a_reader_receives(client, name):
    table = floats(100_000)
    receipt = put(client, name, table, options=headers(durability="ephemeral"))
    found = info(client, name)
    assert found.total_bytes == receipt["bytes"]
    received = sum(chunk.data.get_total_buffer_size() for chunk in client.do_get(flight.Ticket(name)))
    assert found.total_bytes == received
    payload = table.nbytes
    assert payload <= found.total_bytes <= payload * 1.01


def test_row_offsets_tell_where_a_batch_stands(client, name):
    table = mixed(100_000)
    put(client, name, table)
    expected = 0
    for chunk in client.do_get(flight.Ticket(name)):
        if chunk.data is None:
            continue
        assert json.loads(chunk.app_metadata.to_pybytes())["row_offset"] == expected
        expected += chunk.data.num_rows
    assert expected == table.num_rows


def test_a_row_range_of_a_ticket(client, name):
    table = mixed(100_000)
    put(client, name, table)
    for start, end in [(0, 0), (0, 1), (17, 40_003), (99_999, 100_000), (0, 100_000)]:
        same(table.slice(start, end - start), get(client, f"{name}?rows={start}-{end}"))
    found = client.get_flight_info(flight.FlightDescriptor.for_path(name))
    first = found.endpoints[0].ticket.ticket.decode()
    assert first.startswith(name)


def test_the_samples_come_back_as_they_are(client, name):
    for path in sorted(SAMPLES.glob("*.parquet")):
        table = parquet.read_table(path)
        put(client, f"{name}/{path.stem}", table)
        same(table, get(client, f"{name}/{path.stem}"))


def test_get_schema(client, name):
    put(client, name, mixed(10))
    assert client.get_schema(flight.FlightDescriptor.for_path(name)).schema == mixed(1).schema


def test_a_reader_keeps_the_version_it_opened(client, name):
    table = floats(400_000)
    put(client, name, table, options=headers(durability="ephemeral"))
    reader = client.do_get(flight.Ticket(name))
    first = reader.read_chunk().data
    put(client, name, mixed(3), options=headers(durability="ephemeral"))
    rest = reader.read_all()
    assert first.num_rows + rest.num_rows == table.num_rows
    assert rest["c0"][-1].as_py() == table["c0"][-1].as_py()


def test_a_put_in_progress_is_not_seen(client, name):
    descriptor = flight.FlightDescriptor.for_path(name)
    writer, _ = client.do_put(descriptor, floats(1).schema)
    writer.write_table(floats(1000))
    assert not exists(client, name)
    writer.close()
    assert get(client, name).num_rows == 1000
