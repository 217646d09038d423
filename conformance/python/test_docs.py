"""Every Python example of the documentation and every example of the guide on HTTP runs as it stands, against a server of its own."""

import re
import subprocess
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


HTTP_ADDRESS = "http://localhost:8815"


def test_the_guide_on_http(example_server, tmp_path):
    """One example after the other, as one script: later ones use what earlier ones put."""
    text = (ROOT / "docs/guides/http.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 10 and all(HTTP_ADDRESS in block for block in blocks[1:])
    # A stream that does not end is left by curl with an error, which is not the last of its pipe.
    script = "set -eux\n" + "".join(blocks).replace(HTTP_ADDRESS, f"http://127.0.0.1:{example_server.port}")
    ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
