"""Every Python example of the documentation runs as it stands, against a server of its own."""

import re
from pathlib import Path

import pytest

from server import Server

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
# What the pages write for the address of the server.
ADDRESS = "grpc://localhost:8815"


def examples():
    for page in PAGES:
        text = page.read_text()
        for match in BLOCK.finditer(text):
            line = text[: match.start()].count("\n") + 2
            yield pytest.param(match.group(1), id=f"{page.relative_to(ROOT)}:{line}")


@pytest.fixture(scope="module")
def example_server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("docs")) as running:
        yield running


@pytest.mark.parametrize("source", list(examples()))
def test_an_example_of_the_documentation(source, example_server, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert ADDRESS in source, f"an example connects to {ADDRESS}"
    program = source.replace(ADDRESS, f"grpc://127.0.0.1:{example_server.port}")
    exec(compile(program, "example", "exec"), {"__name__": "__main__"})
