"""Readers that ask for it get compressed buffers, which stock pyarrow reads without being told."""

import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as parquet
import pytest

from flights import get, headers, put, same
from tables import SAMPLES, columns, mixed

COLUMNS = columns()
CODECS = ["lz4", "zstd"]
EPHEMERAL = headers(durability="ephemeral")


def compressed(codec):
    return headers(compression=codec)


def test_the_samples_come_back_as_they_are(client, name):
    for path in sorted(SAMPLES.glob("*.parquet")):
        table = parquet.read_table(path)
        put(client, f"{name}/{path.stem}", table, options=EPHEMERAL)
        for codec in CODECS:
            same(table, get(client, f"{name}/{path.stem}", compressed(codec)))


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_of_each_type(client, name, column):
    table = pa.concat_tables([pa.table({column: COLUMNS[column]})] * 50)
    put(client, name, table, options=EPHEMERAL)
    for codec in CODECS:
        same(table, get(client, name, compressed(codec)))
        same(table.slice(40, 500), get(client, f"{name}?rows=40-540", compressed(codec)))


@pytest.mark.parametrize("codec", CODECS)
def test_all_types_in_one_table(client, name, codec):
    table = pa.table(COLUMNS)
    put(client, name, table, options=EPHEMERAL)
    same(table, get(client, name, compressed(codec)))
    same(table.slice(0, 0), get(client, f"{name}?rows=0-0", compressed(codec)))


@pytest.mark.parametrize("codec", CODECS)
def test_a_table_without_rows(client, name, codec):
    table = pa.table(COLUMNS).slice(0, 0)
    put(client, name, table, options=EPHEMERAL)
    same(table, get(client, name, compressed(codec)))


def test_fewer_bytes_are_sent(client, server, name):
    table = mixed(200_000)
    put(client, name, table, options=EPHEMERAL)
    sent = {}
    for codec in ["none", *CODECS]:
        before = server.metric("airlane_flight_bytes_total")
        same(table, get(client, name, compressed(codec)))
        sent[codec] = server.metric("airlane_flight_bytes_total") - before
    assert sent["zstd"] < sent["lz4"] < 0.85 * sent["none"], sent


def test_large_dictionaries_are_compressed_too(client, server, name):
    values = pa.array([f"value {i:08}" for i in range(100_000)])
    label = pa.DictionaryArray.from_arrays(pa.array([i % 7 for i in range(1_000)], pa.int32()), values)
    put(client, name, pa.table({"label": label}), options=EPHEMERAL)
    before = server.metric("airlane_flight_bytes_total")
    assert get(client, name, compressed("zstd"))["label"].to_pylist() == label.to_pylist()
    assert server.metric("airlane_flight_bytes_total") - before < values.nbytes / 2


@pytest.mark.parametrize("codec", ["gzip", "LZ4", "zstd:9"])
def test_an_unknown_compression_is_refused(client, name, codec):
    put(client, name, mixed(10), options=EPHEMERAL)
    with pytest.raises(pa.ArrowInvalid) as raised:
        client.do_get(flight.Ticket(name), compressed(codec)).read_all()
    assert "valid compressions: lz4, zstd, none" in str(raised.value)


def test_a_put_has_no_such_option(client, name):
    with pytest.raises(pa.ArrowInvalid):
        put(client, name, mixed(10), options=compressed("lz4"))
