"""The ways by which a table goes from one process to another. Each is given, and gives back, a table of Arrow or a frame of pandas."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

import airlane
import pandas as pd
import pyarrow as pa
import pyarrow.flight as flight

from frames import BATCH_ROWS

Kind = Literal["arrow", "pandas"]
Data: TypeAlias = "pa.Table | pd.DataFrame"


class Way(Protocol):
    def put(self, data: Data) -> str:
        """Hands it over, and answers what the other side needs to get it."""

    def get(self, ticket: str, kind: Kind, like: Data | None) -> Data:
        """Takes it. `like` is what both sides know of its types beforehand, where that is needed."""


class Airlane:
    """The package; by shared memory where the server has that, else by Flight."""

    def __init__(self, url: str, table: str, transport: str) -> None:
        self._client = airlane.connect(url, progress=False)
        self._table = table
        self._transport = transport

    def put(self, data: Data) -> str:
        return self._client.put(self._table, data, durability="ephemeral").ticket

    def get(self, ticket: str, kind: Kind, like: Data | None) -> Data:
        result = self._client.get(ticket)
        data = result.to_arrow() if kind == "arrow" else result.to_pandas()
        if result.transport != self._transport:
            raise RuntimeError(f"the table came by {result.transport}")
        return data

    def drop(self) -> None:
        self._client.drop(self._table)


class Flight:
    """Stock pyarrow at both ends, and whatever server is there."""

    def __init__(self, url: str, table: str) -> None:
        self._client = flight.connect(url)
        self._table = table

    def put(self, data: Data) -> str:
        table = data if isinstance(data, pa.Table) else pa.Table.from_pandas(data)
        writer, _ = self._client.do_put(flight.FlightDescriptor.for_path(self._table), table.schema)
        writer.write_table(table, max_chunksize=BATCH_ROWS)
        writer.close()
        return self._table

    def get(self, ticket: str, kind: Kind, like: Data | None) -> Data:
        table = self._client.do_get(flight.Ticket(ticket.encode())).read_all()
        return table if kind == "arrow" else table.to_pandas()


class Json:
    """JSON of lists, by columns, as base64 through a pipe: what is done where nothing else is at hand. By rows it is slower."""

    def __init__(self, path: str) -> None:
        self._path = path

    def put(self, data: Data) -> str:
        lists = data.to_pydict() if isinstance(data, pa.Table) else data.to_dict(orient="list")
        text = base64.b64encode(json.dumps(lists, default=_time).encode())
        with open(self._path, "wb") as pipe:
            pipe.write(text)
        return self._path

    def get(self, ticket: str, kind: Kind, like: Data | None) -> Data:
        assert like is not None, "JSON does not say what is a time"
        with open(self._path, "rb") as pipe:
            text = pipe.read()
        lists = json.loads(base64.b64decode(text))
        return _frame(lists, like) if kind == "pandas" else _table(lists, like)


def _time(value: Any) -> str | None:
    return None if value is pd.NaT else value.isoformat()


def _frame(lists: dict[str, list[Any]], like: pd.DataFrame) -> pd.DataFrame:
    frame = pd.DataFrame(lists)
    for name, kind in like.dtypes.items():
        if pd.api.types.is_datetime64_any_dtype(kind):
            frame[name] = pd.to_datetime(frame[name], format="ISO8601").astype(kind)
        elif frame[name].dtype != kind:
            frame[name] = frame[name].astype(kind)
    return frame


def _table(lists: dict[str, list[Any]], like: pa.Table) -> pa.Table:
    def column(field: pa.Field) -> pa.Array:
        if pa.types.is_timestamp(field.type):
            return pa.array(lists[field.name], pa.string()).cast(field.type)
        return pa.array(lists[field.name], field.type)

    return pa.table([column(field) for field in like.schema], schema=like.schema)


def make(name: str, request: dict[str, Any]) -> Way:
    """The way of a name."""
    makers: dict[str, Callable[[], Way]] = {
        "airlane": lambda: Airlane(request["url"], request["table"], request["transport"]),
        "flight": lambda: Flight(request["url"], request["table"]),
        "json": lambda: Json(request["path"]),
    }
    if name == "json" and not os.path.exists(request["path"]):
        os.mkfifo(request["path"], 0o600)
    return makers[name]()
