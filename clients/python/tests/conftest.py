"""The server out of the installed package, and a name of its own for each test's table."""

import itertools
import re
import sys
from pathlib import Path

import pytest

import airlane

ROOT = Path(__file__).resolve().parents[3]
# The tables of every type, which the tests of stock clients use too.
sys.path.insert(0, str(ROOT / "conformance/python"))

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server():
    with airlane.serve() as running:
        yield running


@pytest.fixture(scope="session")
def client(server):
    with server.connect() as connected:
        yield connected


@pytest.fixture
def name(request):
    """A table name that no other test uses."""
    test = re.sub(r"[^A-Za-z0-9_]", "_", request.node.name)[:100]
    return f"t/{test}_{next(_numbers)}"
