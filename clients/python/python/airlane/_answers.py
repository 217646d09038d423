"""What the server tells of tables."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

Durability = Literal["ephemeral", "durable"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class TableInfo:
    """A table, as listing and describing show it."""

    #: The table's name.
    name: str
    #: The table's identity: another one whenever a name is created anew.
    table_id: str
    #: The current version, from 1.
    version: int
    #: The rows of the version.
    rows: int
    #: The bytes of the version: what a reader receives.
    bytes: int
    #: The segments that the version is kept in.
    segments: int
    #: What the table survives.
    durability: str
    #: When the name was created.
    created: datetime
    #: When the version was committed.
    committed: datetime
    #: The rules by which the table goes, such as ``{"ttl": "1h"}``.
    retention: dict[str, Any]
    #: When the table goes if it is neither put nor read before; ``None``: by itself never.
    expires: datetime | None
    #: The ticket that reads the version.
    ticket: str
    #: Name, type and whether there may be nulls, of each column; only :meth:`Client.info` tells them.
    columns: list[tuple[str, str, bool]] | None = None

    def _repr_html_(self) -> str:
        rows = [(name, kind, "" if nullable else "no nulls") for name, kind, nullable in self.columns or []]
        return f"<p>{html.escape(_line(self))}</p>" + (table_html(["column", "type", ""], rows) if rows else "")


@dataclass(frozen=True)
class Receipt:
    """What a put is answered with when it is committed."""

    #: The table's name.
    name: str
    #: The table's identity.
    table_id: str
    #: The version that the put committed.
    version: int
    #: The rows of that version.
    rows: int
    #: The bytes of that version.
    bytes: int
    #: The rows that this put brought.
    rows_put: int
    #: The durability reached.
    durability: str
    #: The ticket that reads this version. A signed one (it begins with ``~``) is a secret.
    ticket: str = field(repr=False)
    #: What a data contract had to say, where one is bound to the table: its version, what was cast, how many rows broke which rule, and as
    #: ``rejected_ticket`` what reads those that were set aside.
    contract: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SignedTicket:
    """A ticket that may be passed on: whoever has it can read what it says. ``str()`` of it is the ticket itself."""

    #: The ticket: a secret, to be kept out of logs.
    ticket: str = field(repr=False)
    #: The table's name.
    name: str
    #: The version that it reads.
    version: int
    #: The rows that it lets read.
    rows: int
    #: The columns that it lets read; ``None``: all.
    columns: list[str] | None
    #: From when on it is refused; ``None``: never.
    expires: datetime | None
    #: The caller who alone may use it; ``None``: anybody.
    caller: str | None
    #: How often it can be read; ``None``: without a count.
    reads: int | None

    def __str__(self) -> str:
        return self.ticket


class Listing(list[TableInfo]):
    """Tables in the order of their names; a notebook shows it as a table."""

    def _repr_html_(self) -> str:
        rows = [
            (info.name, str(info.version), f"{info.rows:,}", size(info.bytes), info.durability, f"{info.committed:%Y-%m-%d %H:%M:%S}")
            for info in self
        ]
        return table_html(["table", "version", "rows", "bytes", "durability", "committed (UTC)"], rows)


def table_info(answer: dict[str, Any], columns: list[tuple[str, str, bool]] | None = None) -> TableInfo:
    return TableInfo(
        name=answer["table"],
        table_id=answer["table_id"],
        version=answer["version"],
        rows=answer["rows"],
        bytes=answer["bytes"],
        segments=answer["segments"],
        durability=answer["durability"],
        created=moment(answer["created"]),
        committed=moment(answer["committed"]),
        retention=answer.get("retention", {}),
        expires=optional_moment(answer.get("expires")),
        ticket=answer["ticket"],
        columns=columns,
    )


def listing(text: str) -> Listing:
    return Listing(table_info(answer) for answer in json.loads(text))


def receipt(text: str) -> Receipt:
    answer = json.loads(text)
    names = ("table_id", "version", "rows", "bytes", "rows_put", "durability", "ticket")
    return Receipt(name=answer["table"], contract=answer.get("contract"), **{name: answer[name] for name in names})


def signed_ticket(text: str) -> SignedTicket:
    answer = json.loads(text)
    return SignedTicket(
        ticket=answer["ticket"],
        name=answer["table"],
        version=answer["version"],
        rows=answer["rows"],
        columns=answer.get("columns"),
        expires=optional_moment(answer.get("expires")),
        caller=answer.get("caller"),
        reads=answer.get("reads"),
    )


def moment(micros: int) -> datetime:
    """A moment in UTC, from microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)


def optional_moment(micros: int | None) -> datetime | None:
    return None if micros is None else moment(micros)


def size(count: int) -> str:
    """Bytes for people: ``1.5 MiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def table_html(header: Sequence[str], rows: Sequence[Sequence[str | None]]) -> str:
    """A table for notebooks. Whatever stands in it is text, never markup."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join("<td><i>null</i></td>" if cell is None else f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _line(info: TableInfo) -> str:
    return f"{info.name}, version {info.version}: {info.rows:,} rows, {size(info.bytes)}, {info.durability}"
