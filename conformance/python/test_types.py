"""Every Arrow type goes in and comes out as it is."""

import pyarrow as pa
import pytest

from flights import get, headers, put, same
from tables import N, columns

COLUMNS = columns()


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_of_each_type(client, name, column):
    table = pa.table({column: COLUMNS[column]})
    put(client, name, table, options=headers(durability="ephemeral"))
    same(table, get(client, name))


@pytest.mark.parametrize("durability", ["ephemeral", "durable"])
def test_all_types_in_one_table(client, name, durability):
    table = pa.table(COLUMNS)
    put(client, name, table, options=headers(durability=durability))
    same(table, get(client, name))


@pytest.mark.parametrize("column", COLUMNS)
def test_a_slice_at_an_odd_offset(client, name, column):
    table = pa.table({column: COLUMNS[column]}).slice(3, 17)
    put(client, name, table, options=headers(durability="ephemeral"))
    same(table, get(client, name))


@pytest.mark.parametrize("column", COLUMNS)
def test_a_row_range_of_each_type(client, name, column):
    table = pa.table({column: COLUMNS[column]})
    put(client, name, table, options=headers(durability="ephemeral"))
    same(table.slice(5, 19), get(client, f"{name}?rows=5-24"))


@pytest.mark.parametrize("column", COLUMNS)
def test_no_rows_of_each_type(client, name, column):
    table = pa.table({column: COLUMNS[column]}).slice(0, 0)
    put(client, name, table, options=headers(durability="ephemeral"))
    same(table, get(client, name))


def test_metadata_of_schema_and_fields_is_kept(client, name):
    fields = [pa.field("a", pa.int32(), nullable=False, metadata={"unit": "m", "": "empty key"}), pa.field("a", pa.string())]
    schema = pa.schema(fields, metadata={"origin": "tests", "größe": "\u00e9"})
    table = pa.table([pa.array([1, 2], pa.int32()), pa.array(["x", None])], schema=schema)
    put(client, name, table)
    same(table, get(client, name))


def test_rows_are_kept_for_types_that_need_no_bytes(client, name):
    table = pa.table({"nothing": pa.nulls(1000)})
    assert put(client, name, table)["rows"] == 1000
    assert get(client, name).num_rows == 1000


def test_the_tables_of_this_file_hold_what_they_say():
    assert all(len(column) == N for column in COLUMNS.values())
    assert len(COLUMNS) > 60
