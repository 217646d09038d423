"""A program in Rust with Airlane inside starts a worker of this package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_program_hands_its_worker_a_table_and_takes_one_back() -> None:
    examples = os.environ.get("AIRLANE_EXAMPLES")
    if not examples:
        pytest.skip("AIRLANE_EXAMPLES names no folder of examples")
    example = Path(examples) / "embedded_worker"
    ended = subprocess.run([example, sys.executable], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "put desk/orders@1 with 100000 rows",
        "the worker read 100000 rows by shared memory",
        "east: 100002",
        "north: 99997",
        "west: 99996",
    ]
