"""How far a long transfer is: a line in terminals, a bar in notebooks that have widgets, a line in others, and nothing elsewhere."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from ._answers import size
from ._optional import have

#: A transfer that is done by then never shows anything, in seconds.
QUIET = 0.5
#: The time between two changes of what is shown, in seconds.
BETWEEN = 0.1
_WIDTH = 24


def line(what: str, wanted: bool | None, rows_total: Callable[[], int | None] = lambda: None) -> Progress | None:
    """The progress of a transfer, if it is wanted; ``None``: where somebody can see it."""
    in_notebook = _is_notebook()
    is_shown = _is_terminal() or in_notebook if wanted is None else wanted
    if not is_shown:
        return None
    return Progress(what, rows_total(), shown=_bar() if in_notebook else None)


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def _is_notebook() -> bool:
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return running is not None and type(running).__name__ == "ZMQInteractiveShell"


class Shown(Protocol):
    """Where progress is shown."""

    def show(self, what: str, done: str, share: float | None) -> None:
        """Shows what is transferred, what is done, and which part of all that is where it is known."""

    def close(self) -> None:
        """Takes it away."""


class Progress:
    """Called with the rows and bytes so far."""

    def __init__(
        self,
        what: str,
        rows_total: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        shown: Shown | None = None,
    ) -> None:
        self._what = what
        self._rows_total = rows_total
        self._clock = clock
        self._begun = clock()
        self._told = self._begun + QUIET - BETWEEN
        self._shown = shown or Line()

    def __call__(self, rows: int, size_so_far: int) -> None:
        now = self._clock()
        if now - self._told < BETWEEN:
            return
        self._told = now
        seconds = now - self._begun
        rate = f"{size(int(size_so_far / seconds))}/s" if seconds > 0 else ""
        share = min(rows / self._rows_total, 1.0) if self._rows_total else None
        self._shown.show(self._what, f"{rows:,} rows, {size(size_so_far)}, {rate}", share)

    def close(self) -> None:
        """Takes it away."""
        self._shown.close()


class Line:
    """A line of text on the standard error."""

    def __init__(self) -> None:
        self._width = 0

    def show(self, what: str, done: str, share: float | None) -> None:
        if share is not None:
            bar = ("#" * round(share * _WIDTH)).ljust(_WIDTH, ".")
            done = f"{share:4.0%} [{bar}] {done}"
        self._write(f"{what}: {done}")

    def close(self) -> None:
        if self._width:
            self._write("")
            sys.stderr.write("\r")
            sys.stderr.flush()

    def _write(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)


def _bar() -> Shown | None:
    """A bar, where the notebook has widgets."""
    widgets, display = have("ipywidgets"), have("IPython.display")
    return None if widgets is None or display is None else Bar(widgets, display.display)


class Bar:
    """A widget of a notebook, there from the first that it is to show until it is closed."""

    def __init__(self, widgets: Any, display: Callable[[Any], object]) -> None:
        self._widgets = widgets
        self._display = display
        self._box: Any = None

    def show(self, what: str, done: str, share: float | None) -> None:
        if self._box is None:
            bar = self._widgets.FloatProgress(min=0.0, max=1.0)
            self._box = self._widgets.HBox([bar, self._widgets.HTML()])
            self._display(self._box)
        bar, text = self._box.children
        # Without an end to come, a full bar of another colour says that something happens.
        bar.value, bar.bar_style = (1.0, "info") if share is None else (share, "")
        text.value = html.escape(f"{what}: {done}")

    def close(self) -> None:
        if self._box is not None:
            self._box.close()
