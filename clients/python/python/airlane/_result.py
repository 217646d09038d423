"""The rows of a read."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from . import _calls, _native, _progress, _rows
from ._answers import size
from ._errors import FailedPreconditionError
from ._rows import Batch

if TYPE_CHECKING:
    import numpy
    import pandas
    import polars
    import pyarrow


class Result:
    """The rows that a ticket names. Nothing but the schema is read before it is asked for.

    The first method that needs all rows reads them and keeps them, and every later one uses the same memory: pyarrow and polars
    get it without a copy. Iterating keeps nothing: it yields each batch as it arrives, once, unless all rows were read before.
    It exports ``__arrow_c_stream__``, so ``pyarrow.table(result)``, ``polars.DataFrame(result)`` and DuckDB's ``from result`` work.

    A result can be used by several threads. After a fork the child can use what was read before it.
    """

    def __init__(
        self,
        stream: _native.Stream,
        what: str,
        timeout: float | None,
        progress: bool | None,
        total: Callable[[], int | None],
    ) -> None:
        self._stream = stream
        self._what = what
        self._timeout = timeout
        self._progress = progress
        self._total = total
        self._lock = threading.RLock()
        self._first: list[_native.Batch] = []
        self._is_ended = False
        self._table: _native.Table | None = None
        self._is_spent = False

    @property
    def columns(self) -> list[tuple[str, str, bool]]:
        """Name, type and whether there may be nulls, of each column."""
        return self._stream.schema.fields()

    @property
    def transport(self) -> str:
        """How the rows come: ``shared memory`` from a server of this machine, ``flight`` from others."""
        return self._stream.transport(self._call())

    @property
    def num_rows(self) -> int:
        """The number of rows; reads them all."""
        return self.read()._rows.num_rows

    @property
    def nbytes(self) -> int:
        """The bytes of all rows; reads them all."""
        return self.read()._rows.nbytes

    @property
    def _rows(self) -> _native.Table:
        assert self._table is not None
        return self._table

    def read(self, *, timeout: float | None = None) -> Result:
        """Reads all rows that were not read yet, and answers this result.

        Args:
            timeout: Seconds that this may take; ``None``: what the client was told.

        Raises:
            FailedPreconditionError: The rows were iterated over, and are gone.
            Error: What the server answers in the midst; ``connection_broken`` when a read that broke cannot go on.
        """
        self._read(timeout)
        return self

    def _read(self, timeout: float | None = None) -> _native.Table:
        with self._lock:
            if self._table is None:
                self._refuse_spent()
                line = self._line()
                try:
                    self._table = self._stream.read(self._call(timeout, line), self._first)
                except BaseException:
                    # What has come so far is gone with the attempt: a part must never pass for the whole.
                    self._is_spent = True
                    raise
                finally:
                    if line is not None:
                        line.close()
                self._first = []
            return self._table

    def _call(self, timeout: float | None = None, progress: _progress.Progress | None = None) -> _native.Call:
        return _calls.new(self._timeout if timeout is None else timeout, progress)

    def _line(self) -> _progress.Progress | None:
        # The total takes a call of its own, which is made where somebody sees the line.
        return _progress.line(f"get {self._what}", self._progress, self._total)

    def to_arrow(self) -> pyarrow.Table:
        """As a table of pyarrow, without a copy. Needs pyarrow."""
        return _rows.to_arrow(self._read())

    def to_pandas(self) -> pandas.DataFrame:
        """As a frame of pandas, with the index that a frame was put with. Needs pandas and pyarrow."""
        return _rows.to_pandas(self._read())

    def to_polars(self) -> polars.DataFrame:
        """As a frame of polars. Needs polars."""
        return _rows.to_polars(self._read())

    def to_numpy(self) -> dict[str, numpy.ndarray[Any, Any]]:
        """As one array for each column, of shape ``(rows,)``. Needs numpy.

        Integers, floats, truth values, times and durations have numpy's types; texts and bytes are objects. A null is ``nan`` in a
        column of floats, ``NaT`` in one of times, ``None`` among objects, and masked in any other (`numpy.ma.MaskedArray`). Types
        that numpy does not have, such as lists and decimals, become objects and need pyarrow. Arrays may be read-only: they are
        the memory of the result where that can be.

        Raises:
            ValueError: Two columns have one name.
        """
        return _rows.to_numpy(self._read())

    def to_file(self, path: str | os.PathLike[str], *, format: str | None = None, timeout: float | None = None) -> int:
        """Writes the rows into a file as they arrive, in bounded memory, and answers their number. They are gone then, unless all
        were read before. The file gets its name when it is whole.

        Args:
            path: The file; what was there is replaced.
            format: ``csv``, ``ndjson``, ``json``, ``parquet``, ``arrow`` (a file) or ``arrows`` (a stream); ``None``: by the ending of the name.

        Raises:
            InvalidArgumentError: ``option_invalid`` for another format; ``file_invalid`` for a type that the format does not have.
            Error: ``file_failed`` when the file cannot be written; what the server answers in the midst.
        """
        with self._lock:
            if self._table is not None or self._first:
                raise FailedPreconditionError(
                    "rows of this result were read before",
                    code="rows_gone",
                    hint="get it again, and write it to the file at once",
                )
            self._refuse_spent()
            self._is_spent = True
            line = self._line()
            try:
                return self._stream.write(self._call(timeout, line), path, format or _ending(path))
            finally:
                if line is not None:
                    line.close()

    def head(self, rows: int = 5) -> Batches:
        """The first rows, which stay part of the result. Reads no more than it needs."""
        with self._lock:
            if self._table is None:
                self._refuse_spent()
                self._look(rows)
                return Batches(_native.Table.of(self._stream.schema, self._first).head(rows))
            return Batches(self._table.head(rows))

    def batches(self) -> Iterator[Batch]:
        """The batches as they arrive, each once. The same as iterating.

        Raises:
            FailedPreconditionError: They were iterated over before.
        """
        with self._lock:
            if self._table is not None:
                return iter([Batch(batch) for batch in self._table.batches()])
            self._refuse_spent()
            self._is_spent = True
            first, self._first = self._first, []
        return self._arriving(first)

    def _arriving(self, first: list[_native.Batch]) -> Iterator[Batch]:
        for batch in first:
            yield Batch(batch)
        while not self._is_ended:
            batch_or_end = self._stream.next(self._call())
            if batch_or_end is None:
                self._is_ended = True
            else:
                yield Batch(batch_or_end)

    def _look(self, rows: int) -> None:
        """Reads ahead until there are so many rows, or all."""
        while not self._is_ended and sum(batch.num_rows for batch in self._first) < rows:
            batch = self._stream.next(self._call())
            if batch is None:
                self._is_ended = True
            else:
                self._first.append(batch)

    def _refuse_spent(self) -> None:
        if self._is_spent:
            raise FailedPreconditionError(
                "the rows of this result were read as they arrived, or in vain, and were not kept",
                code="rows_gone",
                hint="get it again, or call read() before you iterate",
            )

    def __iter__(self) -> Iterator[Batch]:
        return self.batches()

    def __len__(self) -> int:
        return self.num_rows

    def __bool__(self) -> bool:
        # Without this, `if result:` would read the whole table.
        return True

    def __arrow_c_schema__(self) -> object:
        return self._stream.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._read().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<airlane.Result: {self._what}, {len(self.columns)} columns, {self._state()}>"

    def _state(self) -> str:
        if self._table is not None:
            return f"{self._table.num_rows:,} rows, {size(self._table.nbytes)}"
        return "iterated over" if self._is_spent else "not read yet"

    def _repr_html_(self) -> str:
        with self._lock:
            if self._table is None and not self._is_spent:
                self._look(_rows.ROWS_SHOWN)
                shown = _native.Table.of(self._stream.schema, self._first)
            else:
                shown = self._table or _native.Table.of(self._stream.schema, [])
            return _rows.rows_html(shown, f"{self._what}: {self._state()}")


class Batches:
    """Rows in memory: what :meth:`Result.head` answers. It exports ``__arrow_c_stream__``, without a copy."""

    def __init__(self, table: _native.Table) -> None:
        self._table = table

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return self._table.num_rows

    @property
    def columns(self) -> list[tuple[str, str, bool]]:
        """Name, type and whether there may be nulls, of each column."""
        return self._table.schema.fields()

    def to_arrow(self) -> pyarrow.Table:
        """As a table of pyarrow, without a copy. Needs pyarrow."""
        return _rows.to_arrow(self._table)

    def to_pandas(self) -> pandas.DataFrame:
        """As a frame of pandas. Needs pandas and pyarrow."""
        return _rows.to_pandas(self._table)

    def to_polars(self) -> polars.DataFrame:
        """As a frame of polars. Needs polars."""
        return _rows.to_polars(self._table)

    def to_numpy(self) -> dict[str, numpy.ndarray[Any, Any]]:
        """As an array for each column: see :meth:`Result.to_numpy`. Needs numpy."""
        return _rows.to_numpy(self._table)

    def __len__(self) -> int:
        return self.num_rows

    def __iter__(self) -> Iterator[Batch]:
        return iter([Batch(batch) for batch in self._table.batches()])

    def __arrow_c_schema__(self) -> object:
        return self._table.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<airlane.Batches: {self.num_rows:,} rows, {len(self.columns)} columns>"

    def _repr_html_(self) -> str:
        return _rows.rows_html(self._table, f"{self.num_rows:,} rows")


def _ending(path: str | os.PathLike[str]) -> str:
    return os.path.splitext(os.fspath(path))[1].removeprefix(".").lower()
