"""Rules of tables and tickets, as users give them and as the server reads them."""

from __future__ import annotations

from typing import TypeAlias, TypedDict

from . import _native

#: A time: seconds, or a number and a unit such as ``"30s"``, ``"10m"``, ``"8h"``, ``"7d"``; ``"none"`` takes a rule off.
Time: TypeAlias = "float | str"


class TicketRules(TypedDict, total=False):
    """The rules of a signed ticket that a receipt carries."""

    #: Seconds for which it can be used, whole ones.
    ttl: float
    #: How often it can be read.
    reads: int
    #: A read counts from its beginning on, whatever becomes of the reader.
    at_most_once: bool
    #: The caller who alone may use it.
    caller: str


def of_receipt(rules: TicketRules) -> _native.TicketWords:
    """The rules of a receipt's ticket. One that is misspelt would be no rule."""
    names = TicketRules.__annotations__
    for name in rules:
        if name not in names:
            raise TypeError(f"a ticket of a receipt has no rule {name!r}: there are {', '.join(names)}")
    return {
        "columns": None,
        "rows": None,
        "ttl": rules.get("ttl"),
        "caller": rules.get("caller"),
        "reads": rules.get("reads"),
        "at_most_once": rules.get("at_most_once", False),
    }


def of_table(
    *,
    ttl: Time | None,
    idle: Time | None,
    reads: int | None,
    versions: int | None,
    window: Time | None,
    pinned: bool | None,
) -> list[tuple[str, str]]:
    """The rules of a table that are given."""
    times = {"ttl": ttl, "idle": idle, "window": window}
    rules = [(name, value if isinstance(value, str) else f"{round(value * 1000)}ms") for name, value in times.items() if value is not None]
    counts = {"reads": reads, "versions": versions}
    rules += [(name, str(value)) for name, value in counts.items() if value is not None]
    return rules if pinned is None else [*rules, ("pinned", "true" if pinned else "false")]
