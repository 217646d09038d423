"""A line that tells how far a long transfer is: in terminals and notebooks, and nowhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from ._answers import size

#: A transfer that is done by then never shows a line, in seconds.
QUIET = 0.5
#: The time between two changes of the line, in seconds.
BETWEEN = 0.1
_WIDTH = 24


def line(what: str, wanted: bool | None, rows_total: Callable[[], int | None] = lambda: None) -> Progress | None:
    """A line for a transfer, if one is wanted; ``None``: where somebody can see it."""
    shown = _is_seen() if wanted is None else wanted
    return Progress(what, rows_total()) if shown else None


def _is_seen() -> bool:
    """Whether the output is a terminal or a notebook."""
    try:
        if sys.stderr.isatty():
            return True
    except (AttributeError, ValueError):
        return False
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return running is not None and type(running).__name__ == "ZMQInteractiveShell"


class Progress:
    """Called with the rows and bytes so far; a line of text on the standard error."""

    def __init__(self, what: str, rows_total: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._rows_total = rows_total
        self._clock = clock
        self._begun = clock()
        self._told = self._begun + QUIET - BETWEEN
        self._width = 0

    def __call__(self, rows: int, size_so_far: int) -> None:
        now = self._clock()
        if now - self._told >= BETWEEN:
            self._told = now
            self._write(self.text(rows, size_so_far, now - self._begun))

    def text(self, rows: int, bytes_so_far: int, seconds: float) -> str:
        """The line."""
        rate = f"{size(int(bytes_so_far / seconds))}/s" if seconds > 0 else ""
        done = f"{rows:,} rows, {size(bytes_so_far)}, {rate}"
        if not self._rows_total:
            return f"{self._what}: {done}"
        share = min(rows / self._rows_total, 1.0)
        bar = ("#" * round(share * _WIDTH)).ljust(_WIDTH, ".")
        return f"{self._what}: {share:4.0%} [{bar}] {done}"

    def close(self) -> None:
        """Takes the line away."""
        if self._width:
            self._write("")
            sys.stderr.write("\r")
            sys.stderr.flush()

    def _write(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)
