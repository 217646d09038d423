"""The server as a process, and a name of its own for each test's table."""

import itertools
import os
import re
from pathlib import Path

import pytest

from server import Server


def pytest_configure(config):
    binary = os.environ.get("AIRLANE_BIN")
    if not binary or not Path(binary).is_file():
        pytest.exit("set AIRLANE_BIN to the server's binary (`cargo xtask test` does)", returncode=2)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server that all tests share; each test works on tables of its own."""
    running = Server(tmp_path_factory.mktemp("data"))
    try:
        running.start()
    except RuntimeError as error:
        pytest.exit(str(error), returncode=2)
    yield running
    # A4: whatever the tests sent, nothing made the decoder panic.
    assert running.metric("airlane_decode_panics_total") == 0
    assert running.stop() == 0, running.log()


@pytest.fixture(scope="session")
def client(server):
    with server.client() as connected:
        yield connected


_numbers = itertools.count()


@pytest.fixture
def name(request):
    """A table name that no other test uses."""
    test = re.sub(r"[^A-Za-z0-9_]", "_", request.node.name)[:100]
    return f"t/{test}_{next(_numbers)}"
