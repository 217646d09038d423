"""Every Python example of the package's own page runs as it stands, against a server of its own."""

import re
from pathlib import Path

import pytest

import airlane
from conftest import ROOT

PAGE = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
ADDRESS = "grpc://localhost:8815"
EXAMPLES = BLOCK.findall(PAGE.read_text())


@pytest.fixture(scope="module")
def own_server():
    with airlane.serve() as running:
        yield running


def test_there_are_examples():
    assert len(EXAMPLES) > 3


@pytest.mark.parametrize("source", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_of_the_readme(source, own_server, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert ADDRESS in source or "airlane.serve(" in source
    exec(compile(source.replace(ADDRESS, own_server.url), "example", "exec"), {"__name__": "__main__"})
