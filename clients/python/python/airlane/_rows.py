"""Rows in memory, and one method for each type that they can become."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from . import _native
from ._answers import size, table_html
from ._optional import need

if TYPE_CHECKING:
    import numpy
    import pandas
    import polars
    import pyarrow

#: The rows that a notebook shows.
ROWS_SHOWN = 10


def to_arrow(rows: _native.Table) -> pyarrow.Table:
    return need("pyarrow", "to_arrow()").table(rows)


def to_pandas(rows: _native.Table) -> pandas.DataFrame:
    need("pandas", "to_pandas()")
    frame: pandas.DataFrame = need("pyarrow", "to_pandas()").table(rows).to_pandas()
    return frame


def to_polars(rows: _native.Table) -> polars.DataFrame:
    frame: polars.DataFrame = need("polars", "to_polars()").DataFrame(rows)
    return frame


def to_numpy(rows: _native.Table) -> dict[str, numpy.ndarray[Any, Any]]:
    numpy = need("numpy", "to_numpy()")
    fields = rows.schema.fields()
    names = [name for name, _, _ in fields]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two columns are named {name!r}: to_numpy() answers one array for each name")
    return {name: _array(numpy, rows, index, name) for index, name in enumerate(names)}


def _array(numpy: Any, rows: _native.Table, index: int, name: str) -> Any:
    column = rows.column(index)
    if column is None:
        # What numpy has no type for becomes an array of Python objects, which pyarrow knows how to make.
        kind = rows.schema.fields()[index][1]
        arrow = need("pyarrow", f"to_numpy() of the column {name!r} ({kind})")
        return arrow.table(rows).column(index).to_numpy(zero_copy_only=False)
    if isinstance(column, list):
        made = numpy.empty(len(column), dtype=object)
        made[:] = column
        return made
    values, nulls = column
    array = numpy.asarray(values)
    return array if nulls is None else numpy.ma.MaskedArray(array, mask=numpy.asarray(nulls))


def rows_html(rows: _native.Table, summary: str) -> str:
    fields = rows.schema.fields()
    header = [f"{name}: {kind}" for name, kind, _ in fields]
    return f"<p>{html.escape(summary)}</p>" + table_html(header, rows.texts(ROWS_SHOWN))


class Batch:
    """A record batch: some rows of a read, in memory. It exports ``__arrow_c_array__`` and ``__arrow_c_stream__``, without a copy."""

    def __init__(self, native: _native.Batch) -> None:
        self._native = native

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return self._native.num_rows

    @property
    def nbytes(self) -> int:
        """The bytes of the rows."""
        return self._native.nbytes

    @property
    def columns(self) -> list[tuple[str, str, bool]]:
        """Name, type and whether there may be nulls, of each column."""
        return self._native.schema.fields()

    def to_arrow(self) -> pyarrow.RecordBatch:
        """As a record batch of pyarrow, without a copy. Needs pyarrow."""
        return need("pyarrow", "to_arrow()").record_batch(self._native)

    def to_pandas(self) -> pandas.DataFrame:
        """As a frame of pandas. Needs pandas and pyarrow."""
        return to_pandas(self._native.table())

    def to_polars(self) -> polars.DataFrame:
        """As a frame of polars. Needs polars."""
        return to_polars(self._native.table())

    def to_numpy(self) -> dict[str, numpy.ndarray[Any, Any]]:
        """As an array for each column: see :meth:`Result.to_numpy`. Needs numpy."""
        return to_numpy(self._native.table())

    def __len__(self) -> int:
        return self.num_rows

    def __arrow_c_schema__(self) -> object:
        return self._native.__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        return self._native.__arrow_c_array__(requested_schema)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._native.table().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<airlane.Batch: {self.num_rows:,} rows, {len(self.columns)} columns>"

    def _repr_html_(self) -> str:
        return rows_html(self._native.table(), f"{self.num_rows:,} rows, {size(self.nbytes)}")
