"""The client, and how it connects."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from . import _answers, _calls, _input, _native, _progress, _rules
from ._answers import Listing, Receipt, SignedTicket, TableInfo
from ._input import ArrowSchemaExportable, Data
from ._result import Result
from ._rules import TicketRules, Time

if TYPE_CHECKING:
    import types

    import pandas

#: The server of this machine: at its local door, else at the usual port.
URL_DEFAULT = ""

Mode = Literal["replace", "append"]
Compatibility = Literal["backward", "forward", "full", "none"]
ContractMode = Literal["reject", "coerce", "quarantine", "coerce_quarantine"]


@runtime_checkable
class HasTicket(Protocol):
    """What knows a ticket: a receipt, what :meth:`Client.info` answers, a signed ticket."""

    @property
    def ticket(self) -> str: ...


#: What can be read: a name, a ticket, or what has one.
Source: TypeAlias = "str | HasTicket"


def connect(
    url: str | None = None,
    *,
    token: str | None = None,
    user: str | None = None,
    password: str | None = None,
    tls_ca: str | os.PathLike[str] | None = None,
    tls_certificate: str | os.PathLike[str] | None = None,
    tls_key: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    resume_for: float | None = None,
    progress: bool | None = None,
) -> Client:
    """Connects to a server.

    Args:
        url: ``grpc://host:port``, ``grpc+tls://host:port`` or ``grpc+unix:///path/of/socket``; ``None``: the variable
            ``AIRLANE_URL``, else the server of this machine: at its local door, else at the usual port.
        token: A token; ``None``: the variable ``AIRLANE_TOKEN``, unless there is a user.
        user: A user, in place of a token; ``None``: the variable ``AIRLANE_USER``.
        password: Their password; ``None``: the variable ``AIRLANE_PASSWORD``.
        tls_ca: A file of the authorities (PEM) that a server is trusted by; ``None``: ``AIRLANE_TLS_CA``, else those of the system.
        tls_certificate: A file with the certificate (PEM) to show to servers that ask for one; goes together with ``tls_key``.
            ``None``: ``AIRLANE_TLS_CLIENT_CERTIFICATE``.
        tls_key: A file with its private key (PEM); ``None``: ``AIRLANE_TLS_CLIENT_KEY``.
        timeout: Seconds that each call may take; ``None``: as long as it takes.
        resume_for: Seconds for which it is tried to go on with a read whose connection broke; ``None``: 30.
        progress: Whether long transfers show a line on the standard error; ``None``: in terminals and notebooks.

    Raises:
        UnavailableError: ``server_unreachable``.
        InvalidArgumentError: ``option_invalid`` for an address or credentials of another form.
    """
    words: _native.ConnectWords = {
        **_credentials(token, user, password),
        "authorities": _file(tls_ca if tls_ca is not None else _variable("AIRLANE_TLS_CA")),
        "certificate": _file(tls_certificate if tls_certificate is not None else _variable("AIRLANE_TLS_CLIENT_CERTIFICATE")),
        "key": _text(_file(tls_key if tls_key is not None else _variable("AIRLANE_TLS_CLIENT_KEY"))),
        "resume_for": resume_for,
    }
    address = url if url is not None else _variable("AIRLANE_URL") or URL_DEFAULT
    return Client(_native.Connection.connect(address, words, _calls.new(timeout)), timeout, progress)


def _credentials(token: str | None, user: str | None, password: str | None) -> _native.Credentials:
    if token is None and user is None and password is None:
        token, user = _variable("AIRLANE_TOKEN"), _variable("AIRLANE_USER")
    if user is not None and password is None:
        password = _variable("AIRLANE_PASSWORD")
    return {"token": token, "user": user, "password": password}


def _file(path: str | os.PathLike[str] | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


def _text(pem: bytes | None) -> str | None:
    return None if pem is None else pem.decode(errors="replace")


def _variable(name: str) -> str | None:
    """What a variable says; an empty one says nothing, as for the command line."""
    return os.environ.get(name) or None


class Client:
    """A connection to a server, for any number of threads. With ``with`` it closes itself; results that were read stay.

    Every method raises :class:`airlane.Error`, with a code, a place and a hint. ``timeout`` is in seconds, for one call, in place
    of the client's.
    """

    def __init__(self, connection: _native.Connection, timeout: float | None, progress: bool | None) -> None:
        self._open: _native.Connection | None = connection
        self._url = connection.url
        self._timeout = timeout
        self._progress = progress

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._url

    def put(
        self,
        name: str,
        data: Data,
        mode: Mode = "replace",
        durability: _answers.Durability | None = None,
        ttl: Time | None = None,
        reads: int | None = None,
        *,
        schema: ArrowSchemaExportable | None = None,
        format: str | None = None,
        idle: Time | None = None,
        versions: int | None = None,
        window: Time | None = None,
        pinned: bool | None = None,
        idempotency_key: str | uuid.UUID | None = None,
        bytes_expected: int | None = None,
        ticket: TicketRules | None = None,
        timeout: float | None = None,
    ) -> Receipt:
        """Puts a table. When it answers, the version is committed, and kept as the receipt says.

        Args:
            name: The table, such as ``eu/prices``.
            data: An object with ``__arrow_c_stream__`` or ``__arrow_c_array__`` (pyarrow, polars, pandas, DuckDB), the path of a
                file (CSV, NDJSON, Parquet, Arrow), or an iterable of such objects with a ``schema``.
            mode: ``replace`` gives the table a new content, ``append`` adds to the one it has.
            durability: ``durable`` (on the disk) or ``ephemeral`` (in memory); ``None``: the table's own, for a new one durable.
            ttl: The table goes this long after its last put.
            reads: The table goes when it was read so often.
            schema: The schema of an iterable.
            format: The format of a file; ``None``: by the ending of its name, else by its first bytes.
            idle: The table goes when it was neither read nor put for this long.
            versions: So many of its newest versions can be read.
            window: Rows that were put longer ago than this go.
            pinned: Neither the table nor its rows go by themselves, whatever the other rules say.
            idempotency_key: What makes the put safe to repeat: the same key, rows and options are one put.
            bytes_expected: How many bytes come, about, for a large stream of known size: by shared memory its segments are made to suit
                that, and its last rows are handed over so that the commit does not wait for them. Of tables and frames in memory it is
                known.
            ticket: Has the receipt carry a signed ticket with these rules, such as ``{"ttl": 600, "reads": 1}``, in place of a plain one.

        Raises:
            InvalidArgumentError: A bad name, option or batch.
            FailedPreconditionError: Another schema or durability than the table has.
            ResourceExhaustedError: A limit, or no room.
            UnavailableError: ``connection_broken``: repeat it if it has a key; without one look at the table's version first.
            PermissionDeniedError: No right to write there.
            TypeError: ``data`` is nothing that can be put.
        """
        if bytes_expected is not None and bytes_expected < 0:
            raise ValueError(f"`bytes_expected` is a number of bytes, and not {bytes_expected}")
        batches, known = _input.native(data, schema, format)
        words: _native.PutWords = {
            "mode": mode,
            "durability": durability,
            "retention": _rules.of_table(ttl=ttl, idle=idle, reads=reads, versions=versions, window=window, pinned=pinned),
            "key": None if idempotency_key is None else str(idempotency_key),
            "bytes_expected": known if bytes_expected is None else bytes_expected,
            "ticket": None if ticket is None else _rules.of_receipt(ticket),
        }
        line = _progress.line(f"put {name}", self._progress)
        try:
            return _answers.receipt(self._connection.put(name, batches, words, self._call(timeout, line)))
        finally:
            if line is not None:
                line.close()

    def append(
        self,
        name: str,
        data: Data,
        *,
        schema: ArrowSchemaExportable | None = None,
        format: str | None = None,
        idempotency_key: str | uuid.UUID | None = None,
        timeout: float | None = None,
    ) -> Receipt:
        """Adds rows to a table, and makes it where it is missing: :meth:`put` with ``mode="append"``."""
        return self.put(
            name, data, "append", schema=schema, format=format, idempotency_key=idempotency_key, timeout=timeout
        )

    def get(self, source: Source, *, timeout: float | None = None) -> Result:
        """Reads what a ticket names: ``prices``, ``prices@7``, ``prices@7?rows=0-1000``, a signed ticket, or what has a ticket.

        Rows are read when they are asked for. A read that breaks goes on where it stopped.

        Raises:
            NotFoundError: No such table or version.
            InvalidArgumentError: ``ticket_invalid``.
            UnavailableError: No server, or it is stopping.
        """
        ticket = _ticket(source)
        stream = self._connection.get(ticket, self._call(timeout))
        per_call = self._timeout if timeout is None else timeout
        return Result(stream, _shown(ticket), per_call, self._progress, lambda: self._total(ticket))

    def _total(self, ticket: str) -> int | None:
        """The rows of a whole table, for a line of progress, which does without when they are not known."""
        if ticket.startswith("~") or "?" in ticket:
            return None
        try:
            return int(json.loads(self._connection.describe(ticket, self._call(None))[0])["rows"])
        except Exception:
            return None

    def ls(self, prefix: str = "", *, timeout: float | None = None) -> Listing:
        """The tables whose names begin with ``prefix`` and that the caller may read, in the order of their names."""
        return _answers.listing(self._connection.tables(prefix, self._call(timeout)))

    def info(self, source: Source, *, timeout: float | None = None) -> TableInfo:
        """A table in the version that a ticket names: its rows, bytes, columns, rules.

        Raises:
            NotFoundError: No such table or version.
        """
        answer, schema = self._connection.describe(_ticket(source), self._call(timeout))
        return _answers.table_info(json.loads(answer), schema.fields())

    def drop(self, name: str, *, timeout: float | None = None) -> TableInfo:
        """Drops a table, everywhere, and answers what it was.

        Raises:
            NotFoundError: No such table.
        """
        return _answers.table_info(json.loads(self._connection.drop(name, self._call(timeout))))

    def retain(
        self,
        name: str,
        *,
        ttl: Time | None = None,
        idle: Time | None = None,
        reads: int | None = None,
        versions: int | None = None,
        window: Time | None = None,
        pinned: bool | None = None,
        timeout: float | None = None,
    ) -> TableInfo:
        """Changes how long a table is kept: see :meth:`put`. Rules that are not named stay; ``"none"`` takes a time off."""
        rules = _rules.of_table(ttl=ttl, idle=idle, reads=reads, versions=versions, window=window, pinned=pinned)
        return _answers.table_info(json.loads(self._connection.retain(name, rules, self._call(timeout))))

    def ticket(
        self,
        source: Source,
        columns: list[str] | None = None,
        rows: tuple[int, int] | range | None = None,
        reads: int | None = None,
        ttl: float | None = None,
        *,
        caller: str | None = None,
        at_most_once: bool = False,
        timeout: float | None = None,
    ) -> SignedTicket:
        """Signs a ticket for a table, or for a part of it. Whoever has it may read that, with any Flight client.

        Args:
            source: The table, or a ticket that is to be narrowed.
            columns: The columns, in the order in which they are to be read.
            rows: The first row, and the row after the last.
            reads: How often it can be read.
            ttl: Seconds for which it can be used, whole ones.
            caller: The caller who alone may use it.
            at_most_once: A read counts from its beginning on, whatever becomes of the reader.

        Raises:
            InvalidArgumentError: ``column_not_found``, ``rows_out_of_range``, ``option_invalid``.
            PermissionDeniedError: A ticket cannot grant more than its maker may read.
        """
        if isinstance(rows, range):
            if rows.step != 1:
                raise ValueError("rows of a ticket follow one another: the step of the range is 1")
            rows = (rows.start, rows.stop)
        words: _native.TicketWords = {
            "columns": None if columns is None else list(columns),
            "rows": rows,
            "ttl": ttl,
            "caller": caller,
            "reads": reads,
            "at_most_once": at_most_once,
        }
        return _answers.signed_ticket(self._connection.sign(_ticket(source), words, self._call(timeout)))

    def status(self, *, timeout: float | None = None) -> dict[str, Any]:
        """How the server does: figures by their names."""
        answer: dict[str, Any] = json.loads(self._connection.status(self._call(timeout)))
        return answer

    def contract_add(
        self, name: str, document: str, *, compatibility: Compatibility = "backward", timeout: float | None = None
    ) -> dict[str, Any]:
        """Registers a data contract, or a new version of one: YAML of the Open Data Contract Standard. Answers its facts.

        Args:
            compatibility: What a new version must leave whole: what writers by the old one do (``"backward"``), what readers by it
                expect (``"forward"``), both (``"full"``), or ``"none"``.

        Raises:
            InvalidArgumentError: The document cannot be used; the place is its line.
            AlreadyExistsError: It breaks what the version before promises; the message names each break.
        """
        answer: dict[str, Any] = json.loads(
            self._connection.contract_add(name, document, compatibility, self._call(timeout))
        )
        return answer

    def contract_ls(self, *, timeout: float | None = None) -> list[dict[str, Any]]:
        """The data contracts, those that come with Airlane among them, and what each is bound to."""
        answer: list[dict[str, Any]] = json.loads(self._connection.contracts(self._call(timeout)))
        return answer

    def contract_show(self, name: str, version: int | None = None, *, timeout: float | None = None) -> str:
        """The document of a data contract, as it was registered: of the newest version, or of another one.

        Raises:
            NotFoundError: No such contract or version.
        """
        return self._connection.contract_show(name, version, self._call(timeout))

    def contract_bind(
        self, tables: str, contract: str, *, mode: ContractMode = "reject", timeout: float | None = None
    ) -> None:
        """Has puts into a table, or into all whose names begin alike (``"eu/*"``), keep to a contract.

        Args:
            mode: What happens to rows that break it: they end the put (``"reject"``), after what can be cast without loss was
                (``"coerce"``), or are set aside (``"quarantine"``, ``"coerce_quarantine"``).

        Raises:
            NotFoundError: No such contract.
        """
        self._connection.contract_bind(tables, contract, mode, self._call(timeout))

    def contract_unbind(self, tables: str, *, timeout: float | None = None) -> dict[str, Any]:
        """Takes a contract off tables, named as they were bound, and answers the binding that was there.

        Raises:
            NotFoundError: Nothing is bound there.
        """
        answer: dict[str, Any] = json.loads(self._connection.contract_unbind(tables, self._call(timeout)))
        return answer

    def upload_dataframe(self, frame: Data, path: str, *, timeout: float | None = None) -> Receipt:
        """Puts a frame of pandas or polars as the table ``path``: :meth:`put` by another name."""
        return self.put(path, frame, timeout=timeout)

    def download_dataframe(self, path: Source, *, timeout: float | None = None) -> pandas.DataFrame:
        """A table as a frame of pandas, with the index that it was put with. Needs pandas and pyarrow."""
        return self.get(path, timeout=timeout).to_pandas()

    def upload_csv(self, file: str | os.PathLike[str], path: str, *, timeout: float | None = None) -> Receipt:
        """Puts a CSV file with a header line as the table ``path``. Types are found in its first MiB; a later value that does not
        fit is an error that names its line, never a silent change of type."""
        return self.put(path, file, format="csv", timeout=timeout)

    def download_csv(self, path: Source, file: str | os.PathLike[str], *, timeout: float | None = None) -> int:
        """Writes a table into a CSV file, in bounded memory, and answers the number of rows. CSV keeps neither types nor the
        difference between a null and an empty text."""
        return self.get(path, timeout=timeout).to_file(file, format="csv")

    def close(self) -> None:
        """Closes the connection. Reads that run go on; every later call raises ``ValueError``."""
        self._open = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<airlane.Client of {self._url}{'' if self._open else ', closed'}>"

    @property
    def _connection(self) -> _native.Connection:
        if self._open is None:
            raise ValueError("the client is closed")
        return self._open

    def _call(self, timeout: float | None, progress: _progress.Progress | None = None) -> _native.Call:
        return _calls.new(self._timeout if timeout is None else timeout, progress)


def _ticket(source: Source) -> str:
    if isinstance(source, str):
        return source
    if isinstance(source, HasTicket):
        return source.ticket
    raise TypeError(f"a {type(source).__name__} names no table: give a name, a ticket, or what has a ticket")


def _shown(ticket: str) -> str:
    """What may be shown of a ticket: never a signed one."""
    return "a signed ticket" if ticket.startswith("~") else ticket
