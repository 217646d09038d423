"""What is put comes back as it was, whatever library it came from and goes to."""

import datetime

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from polars.testing import assert_frame_equal

import airlane
from conftest import ROOT
from flights import same
from tables import SAMPLES, columns

COLUMNS = columns()


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_of_each_type(client, name, column):
    table = pa.table({column: COLUMNS[column]})
    client.put(name, table, durability="ephemeral")
    same(table, client.get(name).to_arrow())


@pytest.mark.parametrize("column", COLUMNS)
def test_a_slice_of_each_type(client, name, column):
    table = pa.table({column: COLUMNS[column]}).slice(3, 17)
    client.put(name, table, durability="ephemeral")
    same(table, client.get(name).to_arrow())


def test_all_types_by_batches_and_as_no_rows(client, name):
    table = pa.table(COLUMNS)
    client.put(name, table.to_batches()[0])
    same(table, pa.Table.from_batches([batch.to_arrow() for batch in client.get(name)]))
    client.put(name, table.slice(0, 0))
    result = client.get(name)
    assert result.num_rows == 0
    same(table.slice(0, 0), result.to_arrow())


def test_metadata_of_schema_and_fields_is_kept(client, name):
    field = pa.field("a", pa.int32(), nullable=False, metadata={"unit": "m"})
    table = pa.table([pa.array([1, 2], pa.int32())], schema=pa.schema([field], metadata={"origin": "tests"}))
    client.put(name, table)
    same(table, client.get(name).to_arrow())


def test_rows_without_columns_are_kept(client, name):
    table = pa.table({"a": [1, 2, 3]}).select([])
    assert client.put(name, table).rows == 3
    assert client.get(name).num_rows == 3


def test_pandas_with_an_index_and_its_types(client, name):
    frame = pd.DataFrame(
        {
            "text": ["a", None, "c"],
            "label": pd.Categorical(["x", "y", "x"]),
            "when": pd.to_datetime(["2026-01-01", None, "2026-01-03"]).tz_localize("Europe/Berlin"),
            "number": pd.array([1, None, 3], dtype="Int64"),
        },
        index=pd.Index(["p", "q", "r"], name="key"),
    )
    client.upload_dataframe(frame, name)
    pd.testing.assert_frame_equal(frame, client.download_dataframe(name))


def test_polars(client, name):
    frame = pl.DataFrame(
        {
            "n": [1, None, 3],
            "text": ["a", None, "c"],
            "list": [[1], [], None],
            "label": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
            "day": [datetime.date(2026, 1, 1), None, datetime.date(2026, 1, 3)],
        }
    )
    client.put(name, frame)
    assert_frame_equal(frame, client.get(name).to_polars())
    assert_frame_equal(frame, pl.DataFrame(client.get(name)))
    # polars makes a column of structs of any stream that is given to `from_arrow`.
    assert_frame_equal(frame, pl.from_arrow(client.get(name)).struct.unnest())


def test_duckdb_puts_and_reads_more_than_once(client, name):
    client.put(name, duckdb.sql("select range as n, 'row ' || range as text from range(1000)"))
    result = client.get(name)
    assert duckdb.sql("select count(*), sum(n) from result").fetchall() == [(1000, 499500)]
    assert duckdb.sql("select text from result where n = 7").fetchall() == [("row 7",)]


def test_a_result_is_itself_what_can_be_put(client, name):
    table = pa.table({"n": range(10)})
    client.put(name, table)
    client.put(f"{name}_2", client.get(name))
    client.put(f"{name}_3", client.get(name).head(4))
    client.put(f"{name}_4", next(iter(client.get(name))))
    assert [client.get(f"{name}_{n}").to_arrow() for n in (2, 3, 4)] == [table, table.slice(0, 4), table]


def test_an_iterable_is_asked_as_the_put_goes_on(client, name):
    schema = pa.schema([("n", pa.int64())])
    parts = (pa.table({"n": [n, n]}) if n % 2 else pa.record_batch({"n": [n]}) for n in range(100))
    receipt = client.put(name, parts, schema=schema)
    assert receipt.rows == 150
    assert client.get(receipt).to_arrow()["n"].to_pylist()[:5] == [0, 1, 1, 2, 3]
    assert client.put(name, [], schema=schema).rows == 0


def test_append_and_versions(client, name):
    first = client.append(name, pa.table({"n": [1]}))
    second = client.append(name, pa.table({"n": [2]}))
    assert (second.version, second.rows, second.rows_put) == (2, 2, 1)
    assert client.get(first).to_arrow()["n"].to_pylist() == [1]
    assert client.get(f"{name}@2?rows=1-2").to_arrow()["n"].to_pylist() == [2]


def test_files_in_and_out(client, name, tmp_path):
    flights = parquet.read_table(SAMPLES / "flights.parquet").slice(0, 5000)
    for ending in ("parquet", "arrow", "arrows"):
        path = tmp_path / f"flights.{ending}"
        client.put(name, flights)
        assert client.get(name).to_file(path) == 5000
        receipt = client.put(f"{name}_{ending}", str(path) if ending == "arrow" else path)
        # How a dictionary is numbered is the writer's affair.
        assert client.get(receipt).to_arrow().to_pylist() == flights.to_pylist(), ending
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flights.arrow", "flights.arrows", "flights.parquet"]


def test_csv_up_and_down(client, name, tmp_path):
    (tmp_path / "in.csv").write_text("n,text\n1,a\n2,\n")
    assert client.upload_csv(tmp_path / "in.csv", name).rows == 2
    assert client.download_csv(name, tmp_path / "out.csv") == 2
    assert (tmp_path / "out.csv").read_text() == "n,text\n1,a\n2,\n"


def test_a_file_that_cannot_be_written_leaves_what_was_there(client, name, tmp_path):
    path = tmp_path / "kept.csv"
    path.write_text("kept")
    client.put(name, pa.table({"l": [[1]]}))
    with pytest.raises(airlane.Error) as caught:
        client.download_csv(name, path)
    assert caught.value.code == "file_invalid"
    assert path.read_text() == "kept" and list(tmp_path.iterdir()) == [path]


def test_a_large_table_in_many_messages(client, name):
    table = pa.table({"x": np.arange(2_000_000), "y": np.arange(2_000_000) / 3})
    assert client.put(name, table, durability="ephemeral").rows == 2_000_000
    result = client.get(name)
    assert result.to_arrow().equals(table)
    assert len(result.to_arrow()["x"].chunks) > 10
    np.testing.assert_array_equal(result.to_numpy()["x"], np.arange(2_000_000))


def test_what_is_read_shares_memory_with_what_it_becomes(client, name):
    client.put(name, pa.table({"x": np.arange(1000)}))
    result = client.get(name)
    address = result.to_arrow()["x"].chunk(0).buffers()[1].address
    assert pa.table(result)["x"].chunk(0).buffers()[1].address == address
    assert result.to_numpy()["x"].__array_interface__["data"][0] == address


def test_the_samples_are_there():
    assert (ROOT / "samples").is_dir() and len(COLUMNS) > 60
