"""Data frames of pandas and polars, there and back."""

import pandas
import polars
import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as parquet

from flights import get, put
from tables import SAMPLES


def test_a_pandas_frame_round_trip(client, name):
    frame = pandas.read_parquet(SAMPLES / "flights.parquet").head(50_000)
    put(client, name, pa.Table.from_pandas(frame))
    pandas.testing.assert_frame_equal(frame, client.do_get(flight.Ticket(name)).read_pandas())


def test_an_index_of_pandas_is_kept(client, name):
    frame = pandas.DataFrame({"x": [1.5, 2.5]}, index=pandas.Index(["a", "b"], name="key"))
    put(client, name, pa.Table.from_pandas(frame))
    pandas.testing.assert_frame_equal(frame, get(client, name).to_pandas())


def test_a_polars_frame_round_trip(client, name):
    frame = polars.read_parquet(SAMPLES / "weather.parquet")
    # polars hands over views and 64-bit offsets: types that few producers use.
    put(client, name, frame.to_arrow())
    assert frame.equals(polars.from_arrow(get(client, name)))


def test_a_polars_frame_of_many_types(client, name):
    frame = polars.DataFrame(
        {
            "list": [[1, 2], None, []],
            "struct": [{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}],
            "label": polars.Series(["x", None, "y"], dtype=polars.Categorical),
            "when": polars.Series([0, None, 10**15]).cast(polars.Datetime("us", "Europe/Berlin")),
            "text": ["", None, "zwölf"],
        }
    )
    put(client, name, frame.to_arrow())
    back = polars.from_arrow(get(client, name))
    assert back.schema == frame.schema
    assert back.to_dicts() == frame.to_dicts()


def test_reading_straight_into_polars_from_the_record_batch_reader(client, name):
    put(client, name, pa.table({"x": [1, 2, 3]}))
    reader = client.do_get(flight.Ticket(name)).to_reader()
    assert polars.from_arrow(reader)["x"].sum() == 6


def test_the_sum_over_the_parquet_file_is_the_sum_over_the_table(client, name):
    flights = parquet.read_table(SAMPLES / "flights.parquet")
    put(client, name, flights)
    read = get(client, name)
    for column in ("distance", "air_time", "arr_delay"):
        assert pa.compute.sum(read[column]) == pa.compute.sum(flights[column])
