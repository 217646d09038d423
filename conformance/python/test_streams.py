"""Streams of all shapes: tiny and huge batches, changing dictionaries, compression, clients that vanish."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from flights import get, headers, info, put, same
from tables import floats, mixed

EPHEMERAL = headers(durability="ephemeral")
MESSAGE_BYTES_MAX = 2 << 20


def batch_bytes(client, name):
    return [chunk.data.nbytes for chunk in client.do_get(flight.Ticket(name)) if chunk.data is not None]


def test_thousands_of_tiny_batches_are_gathered(client, name):
    table = mixed(9_000)
    put(client, name, table.to_batches(max_chunksize=3), table.schema, EPHEMERAL)
    same(table, get(client, name))
    assert len(batch_bytes(client, name)) < 10


@pytest.mark.parametrize("make", [floats, mixed])
def test_a_batch_of_100_megabytes_is_cut(client, name, make):
    table = make(1_600_000 if make is floats else 3_000_000).combine_chunks()
    put(client, name, table.to_batches(), table.schema, EPHEMERAL)
    same_large(table, get(client, name))
    assert max(batch_bytes(client, name)) <= MESSAGE_BYTES_MAX


def same_large(left, right):
    """As `same`, without a list of every value."""
    right.validate(full=True)
    assert left.schema.equals(right.schema, check_metadata=True)
    assert left.equals(right)


def test_a_row_larger_than_a_message(client, name):
    table = pa.table({"blob": pa.array([b"x" * 5_000_000, b"", b"y" * 3_000_000])})
    put(client, name, table)
    same_large(table, get(client, name))


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_batches_are_taken(client, name, codec):
    options = flight.FlightCallOptions(write_options=pa.ipc.IpcWriteOptions(compression=codec))
    table = mixed(50_000)
    put(client, name, table, options=options)
    same(table, get(client, name))


def labels(values, indices):
    return pa.record_batch({"label": pa.DictionaryArray.from_arrays(pa.array(indices, pa.int8()), pa.array(values))})


def put_as_ipc(client, name, batches, deltas):
    """A put whose dictionaries are sent as deltas where they can be."""
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)
    call = flight.FlightCallOptions(write_options=options)
    return put(client, name, batches, batches[0].schema, call)


@pytest.mark.parametrize("deltas", [False, True])
def test_a_dictionary_that_grows(client, name, deltas):
    batches = [labels(["a"], [0, 0]), labels(["a", "b"], [1, 0]), labels(["a", "b", "c"], [2, None])]
    put_as_ipc(client, name, batches, deltas)
    read = get(client, name)
    assert read.schema == batches[0].schema
    assert read["label"].to_pylist() == ["a", "a", "b", "a", "c", None]


def test_a_dictionary_that_is_replaced(client, name):
    batches = [labels(["a", "b"], [0, 1]), labels(["x", "y", "z"], [2, 0]), labels(["b"], [0, None])]
    put(client, name, batches, batches[0].schema)
    assert get(client, name)["label"].to_pylist() == ["a", "b", "z", "x", "b", None]


def test_more_values_than_the_index_type_holds(client, name):
    batches = [labels([f"{part}-{i}" for i in range(100)], list(range(100))) for part in range(5)]
    put(client, name, batches, batches[0].schema)
    read = get(client, name)
    assert read.schema == batches[0].schema, "the index type is kept"
    assert read["label"].to_pylist() == [f"{part}-{i}" for part in range(5) for i in range(100)]


def test_a_dictionary_inside_a_list(client, name):
    def nested(values):
        inner = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0], pa.int16()), pa.array(values))
        return pa.record_batch({"l": pa.ListArray.from_arrays(pa.array([0, 3, 4], pa.int32()), inner)})

    batches = [nested(["a", "b"]), nested(["c", "d"])]
    put(client, name, batches, batches[0].schema)
    assert get(client, name)["l"].to_pylist() == [["a", "b", None], ["a"], ["c", "d", None], ["c"]]


def test_a_dictionary_of_many_values_is_not_sent_with_every_batch(client, name):
    values = pa.array([f"value {i:08}" for i in range(100_000)])
    indices = pa.array(np.arange(1_000_000) % 100_000, pa.int32())
    table = pa.table({"label": pa.DictionaryArray.from_arrays(indices, values)})
    put(client, name, table, options=EPHEMERAL)
    assert info(client, name).total_bytes < 2 * table.nbytes
    same_large(table, get(client, name).unify_dictionaries())


def test_app_metadata_of_a_put_is_taken_along_silently(client, name):
    writer, reader = client.do_put(flight.FlightDescriptor.for_path(name), floats(1).schema)
    with writer:
        for batch in floats(10).to_batches(max_chunksize=5):
            writer.write_with_metadata(batch, b"mine")
        writer.done_writing()
        while reader.read() is not None:
            pass
    assert get(client, name).num_rows == 10


def test_a_client_that_only_closes_the_writer(client, name):
    """Many programs never read the PutResult: the put is kept all the same, and `close` waits for it."""
    writer, _ = client.do_put(flight.FlightDescriptor.for_path(name), floats(1).schema)
    writer.write_table(floats(100))
    writer.close()
    assert info(client, name).total_records == 100


VANISHING = """
import os, sys
import numpy, pyarrow as pa, pyarrow.flight as flight
client = flight.connect(sys.argv[1])
table = pa.table({"x": numpy.arange(1_000_000)})
writer, reader = client.do_put(flight.FlightDescriptor.for_path(sys.argv[2]), table.schema)
while True:
    writer.write_table(table)
    print("written", flush=True)
"""


@pytest.mark.parametrize("durability", ["ephemeral", "durable"])
def test_d1_a_client_that_vanishes_in_mid_put_leaves_nothing(client, server, name, durability):
    put(client, name, floats(5), options=headers(durability=durability))
    before = open_segments(server)
    program = [sys.executable, "-c", VANISHING, f"grpc://127.0.0.1:{server.port}", name]
    victim = subprocess.Popen(program, stdout=subprocess.PIPE)
    for _ in range(5):
        victim.stdout.readline()
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    wait_until(lambda: open_segments(server) <= before)
    same(floats(5), get(client, name))


def test_a_client_that_vanishes_in_mid_get_is_forgotten(server, name):
    with server.client() as client:
        put(client, name, floats(2_000_000), options=EPHEMERAL)
    before = server.open_files()
    program = textwrap.dedent(
        f"""
        import time, pyarrow.flight as flight
        reader = flight.connect("grpc://127.0.0.1:{server.port}").do_get(flight.Ticket("{name}"))
        reader.read_chunk()
        print("reading", flush=True)
        time.sleep(60)
        """
    )
    victim = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert victim.stdout.readline() == b"reading\n"
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    wait_until(lambda: server.open_files() <= before)
    with server.client() as client:
        assert get(client, name).num_rows == 2_000_000


def open_segments(server) -> int:
    """Memory files and segment files that the server holds."""
    folder = f"/proc/{server.process.pid}/fd"
    found = 0
    for entry in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{entry}")
        except FileNotFoundError:
            continue
        found += "memfd:" in target or str(server.data_dir) in target
    return found


def wait_until(condition, seconds_max=30):
    deadline = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
