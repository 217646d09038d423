"""The calls that run, so that whoever waits for them elsewhere can end them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ._native import Call

_here = threading.local()


class Scope:
    """The calls of one piece of work; :meth:`cancel` ends those that run and any that follows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._is_cancelled = False

    def cancel(self) -> None:
        with self._lock:
            self._is_cancelled = True
            for call in self._calls:
                call.cancel()

    def add(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)
            if self._is_cancelled:
                call.cancel()


@contextmanager
def inside(scope: Scope) -> Iterator[None]:
    """The calls of this thread belong to the scope."""
    _here.scope = scope
    try:
        yield
    finally:
        _here.scope = None


def new(timeout: float | None, progress: Callable[[int, int], object] | None = None) -> Call:
    """A call of this thread. ``timeout`` is in seconds from now."""
    call = Call(timeout, progress)
    scope: Scope | None = getattr(_here, "scope", None)
    if scope is not None:
        scope.add(call)
    return call
