"""What is acknowledged is kept: kill -9, start again, compare."""

import threading

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from flights import exists, get, headers, info, put, same
from server import Server
from tables import columns, floats, mixed


def test_d1_acknowledged_puts_survive_kill_9(tmp_path):
    tables = {"kept/mixed": mixed(200_000), "kept/types": pa.table(columns()), "kept/small": floats(10)}
    server = Server(tmp_path / "data").start()
    with server.client() as client:
        for name, table in tables.items():
            put(client, name, table)
        put(client, "kept/appended", mixed(10))
        receipt = put(client, "kept/appended", mixed(20), options=headers(mode="append"))
        put(client, "gone", floats(10), options=headers(durability="ephemeral"))
    server.kill()
    with server.start(), server.client() as client:
        for name, table in tables.items():
            same(table, get(client, name))
        same(pa.concat_tables([mixed(10), mixed(20)]), get(client, "kept/appended"))
        found = info(client, "kept/appended")
        assert found.total_records == receipt["rows"]
        assert get(client, receipt["ticket"]).num_rows == 30
        assert not exists(client, "gone"), "an ephemeral table lives as long as the server"
        assert put(client, "kept/appended", mixed(1), options=headers(mode="append"))["version"] == 3


def test_a_dropped_table_stays_dropped(tmp_path):
    server = Server(tmp_path / "data").start()
    with server.client() as client:
        put(client, "a", mixed(10_000))
        list(client.do_action(("drop", b"a")))
    server.kill()
    with server.start(), server.client() as client:
        assert not exists(client, "a")


def test_d1_kill_9_in_the_middle_of_puts_loses_nothing_that_was_acknowledged(tmp_path):
    server = Server(tmp_path / "data").start()
    acknowledged = []

    def append_until_the_end():
        part = 0
        try:
            with server.client() as client:
                while True:
                    table = pa.table({"part": pa.array([part] * 1000)})
                    put(client, "t", table, options=headers(mode="append"))
                    acknowledged.append(part)
                    part += 1
        except (flight.FlightError, pa.ArrowException):
            return

    for round_number in range(3):
        writer = threading.Thread(target=append_until_the_end)
        acknowledged.clear()
        writer.start()
        while len(acknowledged) < 20 * (round_number + 1):
            assert writer.is_alive()
        server.kill()
        writer.join()
        server.start()
        with server.client() as client:
            parts = get(client, "t")["part"].to_pylist()
            runs = [parts[i : i + 1000] for i in range(0, len(parts), 1000)]
            assert all(len(set(run)) == 1 and len(run) == 1000 for run in runs), "puts are whole"
            seen = [run[0] for run in runs]
            # The put that was under way when the server died may be there or not.
            assert seen[: len(acknowledged)] == acknowledged
            assert len(seen) <= len(acknowledged) + 1
            list(client.do_action(("drop", b"t")))
    server.stop()


def test_d4_a_damaged_table_is_refused_and_the_others_are_served(tmp_path):
    server = Server(tmp_path / "data").start()
    with server.client() as client:
        put(client, "hurt", mixed(200_000))
        files = list((tmp_path / "data" / "segments").iterdir())
        put(client, "well", floats(10))
    server.stop()
    assert files, "the table lies in files"
    with open(files[0], "r+b") as file:
        file.seek(100_000)
        byte = file.read(1)
        file.seek(100_000)
        file.write(bytes([byte[0] ^ 1]))
    with server.start(), server.client() as client:
        with pytest.raises(flight.FlightInternalError) as raised:
            get(client, "hurt")
        assert all(word in str(raised.value) for word in ["DATA_LOSS", "damaged", "hint:"])
        assert get(client, "well").num_rows == 10
        assert server.metric("airlane_tables_damaged") == 1


def test_a_stop_is_orderly(tmp_path):
    server = Server(tmp_path / "data").start()
    with server.client() as client:
        put(client, "a", floats(10))
    assert server.stop() == 0


def test_d8_a_second_server_on_the_same_folder_is_refused(tmp_path):
    with Server(tmp_path / "data") as first:
        second = Server(tmp_path / "data")
        second.log_path = tmp_path / "second.log"
        second.data_dir = first.data_dir
        with pytest.raises(RuntimeError) as raised:
            second.start()
        assert "hint:" in str(raised.value)
        assert "--data-dir" in str(raised.value)
