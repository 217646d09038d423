"""Threads, asyncio, signals, forks, and the end of the interpreter."""

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

import airlane

ROWS = 200_000


def run(server, name, body):
    """A program in an interpreter of its own; its output."""
    program = f"import os, sys, airlane, pyarrow as pa\nurl, name = {server.url!r}, {name!r}\n{body}"
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_eight_threads_on_one_client_and_one_result(client, name):
    table = pa.table({"n": range(ROWS)})
    client.put(name, table)
    shared = client.get(name)

    def work(number):
        own = f"{name}_{number}"
        for turn in range(5):
            client.put(own, pa.table({"n": [number, turn]}), durability="ephemeral")
            assert client.get(own).to_arrow()["n"].to_pylist() == [number, turn]
        return sum(shared.to_arrow()["n"].to_pylist()), client.get(name).num_rows

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(8))) == [(sum(range(ROWS)), ROWS)] * 8


def test_a_thread_works_while_another_waits_in_a_call(server, name):
    # The put asks for its next batch only when the other thread has done something: so a call that waits holds no lock.
    with server.connect() as client, ThreadPoolExecutor(1) as threads:

        def batches():
            yield pa.table({"n": [1]})
            yield pa.table({"n": [threads.submit(lambda: len(client.ls())).result(60) * 0 + 2]})

        assert client.put(name, batches(), schema=pa.schema([("n", pa.int64())])).rows == 2


def test_the_interpreter_ends_with_everything_alive(server, client, name):
    client.put(name, pa.table({"n": range(ROWS)}))
    out = run(
        server,
        name,
        """
client = airlane.connect(url)
unread, begun, read = client.get(name), iter(client.get(name)), client.get(name).read()
first = next(begun)
arrow, arrays = read.to_arrow(), read.to_numpy()
reader = pa.RecordBatchReader.from_stream(read)
reader.read_next_batch()
import threading
threading.Thread(target=lambda: [client.get(name).read() for _ in range(10**6)], daemon=True).start()
print("done")
""",
    )
    assert out == "done\n"


def test_a_forked_child_reads_what_was_read_and_leaves_its_parent_alone(server, client, name):
    # Large enough for several batches, whichever way they come.
    client.put(name, pa.table({column: range(ROWS) for column in ["n", "m", "k", "l"]}))
    out = run(
        server,
        name,
        """
client = airlane.connect(url)
read, unread, begun = client.get(name).read(), client.get(name), iter(client.get(name))
next(begun)
child = os.fork()
if child == 0:
    assert sum(read.to_numpy()["n"]) == sum(range(200_000)) and read.to_arrow().num_rows == 200_000
    for call in (unread.read, client.ls, lambda: client.get(name), lambda: next(begun)):
        try:
            call()
            os._exit(1)
        except airlane.UnavailableError as error:
            assert error.code == "connection_broken" and "forked" in error.message
    with airlane.connect(url) as own:
        assert own.get(name).num_rows == 200_000
        own.put(name + "_child", pa.table({"n": [1]}))
    # What was inherited is dropped here, as at the end of any process.
    del read, unread, begun, client
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert unread.num_rows == 200_000
assert sum(len(batch) for batch in begun) > 0
for _ in range(20):
    assert client.get(name).num_rows == 200_000
print([info.name for info in client.ls(name)] == [name, name + "_child"])
""",
    )
    assert out == "True\n"


def test_ctrl_c_ends_a_call(server, name):
    out = run(
        server,
        name,
        """
import signal, socket, threading
client = airlane.connect(url)
# A server that takes the connection and says nothing. When it has been asked something, somebody waits.
silent = socket.create_server(("127.0.0.1", 0))

def press():
    asker, _ = silent.accept()
    asker.recv(1)
    os.kill(os.getpid(), signal.SIGINT)
    asker.recv(1 << 20)
    return asker

threading.Thread(target=press, daemon=True).start()
try:
    airlane.connect(f"grpc://127.0.0.1:{silent.getsockname()[1]}").ls()
except KeyboardInterrupt:
    print("interrupted", client.ls(name) == [])
""",
    )
    assert out == "interrupted True\n"


def test_asyncio(server, name):
    async def main():
        async with await airlane.connect_async(server.url) as client:
            table = pa.table({"n": range(ROWS)})
            receipt = await client.put(name, table)
            results = await asyncio.gather(*(client.get(receipt) for _ in range(8)))
            tables = await asyncio.gather(*(result.to_arrow() for result in results))
            assert all(read == table for read in tables)
            assert sum([len(batch) async for batch in await client.get(name)]) == ROWS
            assert (await (await client.get(name)).head(2)).num_rows == 2
            assert (await client.info(name)).rows == ROWS
            with pytest.raises(airlane.NotFoundError):
                await client.get("t/nothing_of_this_name")
            await client.drop(name)
            assert await client.ls(name) == []

    asyncio.run(main())


def test_a_task_that_is_cancelled_cancels_its_put(server, name):
    async def main():
        async with await airlane.connect_async(server.url) as client:
            begun, go_on = asyncio.Event(), threading.Event()
            loop = asyncio.get_running_loop()

            def batches():
                yield pa.table({"n": [1]})
                loop.call_soon_threadsafe(begun.set)
                go_on.wait(60)
                yield pa.table({"n": [2]})

            task = asyncio.create_task(client.put(name, batches(), schema=pa.schema([("n", pa.int64())])))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go_on.set()
            # Whatever the call still does is done when its thread is.
            client._threads.shutdown(wait=True)

    asyncio.run(main())
    with server.connect() as client:
        assert client.ls(name) == []


def test_a_server_of_ones_own_is_stopped_by_its_process(tmp_path):
    with airlane.serve(tmp_path / "data") as server:
        pid = server.pid
        with server.connect() as client:
            client.put("kept", pa.table({"n": [1]}))
    assert not os.path.exists(f"/proc/{pid}")
    with airlane.serve(tmp_path / "data") as server, server.connect() as client:
        assert client.get("kept").num_rows == 1
    with pytest.raises(RuntimeError, match="no-such-flag"):
        airlane.serve(args=["--no-such-flag"])


def test_a_forked_child_neither_stops_its_parents_server_nor_removes_its_folder(server, name):
    out = run(
        server,
        name,
        """
with airlane.serve() as own, own.connect() as client:
    client.put("kept", pa.table({"n": [1]}))
    child = os.fork()
    if child == 0:
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with own.connect() as again:
        again.put("more", again.get("kept"))
        print([info.name for info in again.ls()], "listening" in own.log())
""",
    )
    assert out == "['kept', 'more'] True\n"


def test_a_server_that_is_forgotten_ends_with_the_interpreter(server, name):
    pid = run(server, name, "own = airlane.serve()\nprint(own.pid)").strip()
    assert not os.path.exists(f"/proc/{pid}")


def test_a_table_passes_by_shared_memory_and_a_fork_leaves_its_leases_alone(tmp_path, monkeypatch, name):
    monkeypatch.setenv("AIRLANE_LOCAL_SOCKET", str(tmp_path / "private" / "local.sock"))
    with airlane.serve() as server, server.connect() as client:
        table = pa.table({"n": range(ROWS), "text": [str(n) for n in range(ROWS)]})
        client.put(name, table, durability="ephemeral")
        out = run(
            server,
            name,
            """
with airlane.connect(url) as client:
    held = client.get(name)
    print(held.transport, held.to_arrow().num_rows, flush=True)
    child = os.fork()
    if child == 0:
        print(sum(held.to_arrow()["n"].to_pylist()), flush=True)
        del held
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    client.drop(name)
    # The memory is still the parent's.
    print(sum(held.to_arrow()["n"].to_pylist()), flush=True)
""",
        )
        total = sum(range(ROWS))
        assert out.split("\n") == [f"shared memory {ROWS}", str(total), str(total), ""]
