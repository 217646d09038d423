"""Clients without the newer types ask for plain ones."""

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from flights import get, headers, put, same
from tables import columns

COLUMNS = columns()
EPHEMERAL = headers(durability="ephemeral")
PLAIN = headers(types="plain")
OTHERS = {
    "string_view": pa.string(),
    "binary_view": pa.binary(),
    "list_view": pa.list_(pa.int32()),
    "large_list_view": pa.large_list(pa.int32()),
    "run_end": pa.string(),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_of_each_type(client, name, column):
    table = pa.table({column: COLUMNS[column]})
    put(client, name, table, options=EPHEMERAL)
    read = get(client, name, PLAIN)
    expected = OTHERS.get(column, table.schema.field(0).type)
    assert read.schema.field(0).type == expected
    read.validate(full=True)
    assert repr(read[column].to_pylist()) == repr(table[column].to_pylist())
    if column not in OTHERS:
        same(table, read)


def test_infos_and_schemas_tell_of_plain_types(client, name):
    put(client, name, pa.table({"run_end": COLUMNS["run_end"], "text": COLUMNS["string_view"]}), options=EPHEMERAL)
    plain = pa.schema({"run_end": pa.string(), "text": pa.string()})
    descriptor = flight.FlightDescriptor.for_path(name)
    assert client.get_flight_info(descriptor, PLAIN).schema == plain
    assert client.get_schema(descriptor, PLAIN).schema == plain
    assert client.get_schema(descriptor).schema != plain


def test_plain_types_and_compression_go_together(client, name):
    table = pa.table({"text": pa.array([f"row number {i // 100}" for i in range(50_000)], pa.string_view())})
    put(client, name, table, options=EPHEMERAL)
    read = get(client, f"{name}?rows=17-40000", headers(types="plain", compression="zstd"))
    assert read["text"].to_pylist() == table["text"].to_pylist()[17:40_000]


def test_unknown_types_are_refused(client, name):
    put(client, name, pa.table({"a": [1]}), options=EPHEMERAL)
    with pytest.raises(pa.ArrowInvalid) as raised:
        get(client, name, headers(types="old"))
    assert "valid types: plain, own" in str(raised.value)
