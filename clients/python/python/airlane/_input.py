"""What can be put."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ._native import Input
from ._optional import have


@runtime_checkable
class ArrowStreamExportable(Protocol):
    """Exports a stream of record batches: a table of pyarrow, a frame of polars or pandas, a relation of DuckDB …"""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...


@runtime_checkable
class ArrowArrayExportable(Protocol):
    """Exports a record batch, as pyarrow's ``RecordBatch`` does."""

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any: ...


@runtime_checkable
class ArrowSchemaExportable(Protocol):
    """Exports a schema, as pyarrow's ``Schema`` does."""

    def __arrow_c_schema__(self) -> Any: ...


#: What can be put: an object that exports Arrow data, the path of a file, or with a schema an iterable of such objects.
Data: TypeAlias = "ArrowStreamExportable | ArrowArrayExportable | str | os.PathLike[str] | Iterable[Any]"


def native(data: Data, schema: ArrowSchemaExportable | None, format: str | None) -> tuple[Input, int | None]:
    """The batches of what is put, and how many bytes they are, about, where that is known.

    Raises:
        TypeError: It is nothing that can be put.
    """
    if isinstance(data, (str, os.PathLike)):
        return Input.of_file(data, format), None
    if format is not None:
        raise TypeError("`format` is for files: `data` is no path")
    if schema is not None:
        if not isinstance(data, Iterable) or not isinstance(schema, ArrowSchemaExportable):
            raise TypeError("with `schema`, a schema such as pyarrow's, `data` is an iterable of record batches")
        return Input.of_iterable(data, schema), None
    exported = _with_index(data)
    if isinstance(exported, (ArrowStreamExportable, ArrowArrayExportable)):
        return Input.of(exported), _size(exported)
    raise TypeError(
        f"a {type(data).__name__} cannot be put: give an object with __arrow_c_stream__ or __arrow_c_array__ (a table of pyarrow, "
        "a frame of polars or pandas, a relation of DuckDB), the path of a file, or an iterable of record batches and its `schema`"
    )


def _with_index(data: object) -> object:
    """A frame of pandas as pyarrow has it: with what makes its index and its types come back as they were."""
    kind = type(data)
    if kind.__name__ != "DataFrame" or kind.__module__.partition(".")[0] != "pandas":
        return data
    arrow = have("pyarrow")
    return data if arrow is None else arrow.Table.from_pandas(data)


def _size(exported: object) -> int | None:
    """The bytes of a table or batch of pyarrow, or of a frame of polars; a stream has no size."""
    try:
        size = getattr(exported, "nbytes", None)
        estimated = getattr(exported, "estimated_size", None)
        if size is None and callable(estimated):
            size = estimated()
    # Libraries have types whose size they do not tell, and it is a hint alone.
    except Exception:
        return None
    return size if isinstance(size, int) else None
