"""The types of the package, as programs that use it see them."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

HERE = Path(__file__).parent
CHECKERS = {
    "mypy": ["mypy", "--strict", "--no-incremental", "--config-file", str(ROOT / "clients/python/pyproject.toml")],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}


def check(checker, *paths):
    command = [sys.executable, "-m", *CHECKERS[checker], *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=HERE.parent)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_package_and_a_program_are_typed(checker):
    code, output = check(checker, HERE / "sample.py", HERE.parent / "python" / "airlane")
    assert code == 0, output


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_wrong_program_is_refused_where_it_is_wrong(checker):
    code, output = check(checker, HERE / "sample_wrong.py")
    assert code == 1, output
    first = 5
    for line in range(first, first + 6):
        assert f"sample_wrong.py:{line}:" in output, output


def test_the_stub_names_what_the_native_half_has():
    stub = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "airlane._native", "--ignore-missing-stub"],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=HERE,
    )
    assert stub.returncode == 0, stub.stdout + stub.stderr
