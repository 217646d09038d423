"""A process of the hand-over benchmark. It does what its standard input says, a JSON object a line, and answers the same way.

    {"do": "hello"}                                       what is installed
    {"do": "connect", "name": N, "way": W, ...}           a way of `ways.py`, kept under a name
    {"do": "make", "shape": S, "rows": R, "kind": K}      a table of `frames.py`, as Arrow or pandas, kept as the one to put
    {"do": "put", "name": N}                              hands it over
    {"do": "get", "name": N, "ticket": T, "kind": K}           takes one and keeps it
    {"do": "sum"}                                         sums all columns of what is kept
    {"do": "check"}                                       what is kept is the same as what was made here
    {"do": "forget"}                                      lets go of what is kept
    {"do": "drop", "name": N}                             drops the table of a server

Times are those of the machine's monotonic clock, which all processes share, in nanoseconds; CPU is seconds of this process, user and system,
from the end of the answer before to the end of this one.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import airlane
import pandas as pd
import pyarrow as pa

import frames
import ways


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Worker:
    def __init__(self) -> None:
        self._ways: dict[str, ways.Way] = {}
        self._made: ways.Data | None = None
        self._got: ways.Data | None = None

    def hello(self, request: dict[str, Any]) -> dict[str, Any]:
        native = airlane._native
        return {"build": native.BUILD, "pandas": pd.__version__, "python": sys.version.split()[0]}

    def connect(self, request: dict[str, Any]) -> dict[str, Any]:
        self._ways[request["name"]] = ways.make(request["way"], request)
        return {}

    def make(self, request: dict[str, Any]) -> dict[str, Any]:
        # First, so that there are never two of them.
        self._made = None
        table = {"mixed": frames.mixed, "floats": frames.floats}[request["shape"]](request["rows"])
        self._made = table if request["kind"] == "arrow" else table.to_pandas()
        return {"rows": table.num_rows, "bytes": table.nbytes}

    def put(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._made is not None
        way = self._ways[request["name"]]
        begin = time.monotonic_ns()
        ticket = way.put(self._made)
        return {"begin": begin, "end": time.monotonic_ns(), "ticket": ticket}

    def get(self, request: dict[str, Any]) -> dict[str, Any]:
        way = self._ways[request["name"]]
        begin = time.monotonic_ns()
        self._got = way.get(request["ticket"], request["kind"], self._made)
        end = time.monotonic_ns()
        return {"begin": begin, "end": end, "rows": len(self._got)}

    def sum(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._got is not None
        begin = time.perf_counter()
        frames.total(self._got)
        return {"seconds": time.perf_counter() - begin}

    def check(self, request: dict[str, Any]) -> dict[str, Any]:
        made, got = self._made, self._got
        if isinstance(made, pd.DataFrame):
            pd.testing.assert_frame_equal(made, got)
        elif made is None or not made.equals(got):
            raise RuntimeError("what came is not what was put")
        return {}

    def drop(self, request: dict[str, Any]) -> dict[str, Any]:
        way = self._ways[request["name"]]
        if isinstance(way, ways.Airlane):
            way.drop()
        return {}

    def forget(self, request: dict[str, Any]) -> dict[str, Any]:
        self._got = None
        return {}

    def run(self) -> None:
        used = cpu()
        for line in sys.stdin:
            request = json.loads(line)
            answer = getattr(self, request["do"])(request)
            now = cpu()
            print(json.dumps({**answer, "cpu": now - used}), flush=True)
            used = now


if __name__ == "__main__":
    Worker().run()
