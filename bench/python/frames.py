"""The tables that are handed over, the same in every process that makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

#: Rows of a record batch of a table of several.
BATCH_ROWS = 65_536
#: Different texts of a column that is said to have many.
TEXTS = 50_000


def mixed(rows: int) -> pa.Table:
    """Twenty columns: five of integers, six of floats, one of truth values, five of texts, three of times; some with nulls."""
    random = np.random.default_rng(7)

    def nulls(share: float) -> np.ndarray:
        return random.random(rows) < share

    def texts(kinds: int, length: int, mask: np.ndarray | None = None) -> pa.Array:
        letters = random.integers(ord("a"), ord("z") + 1, (kinds, length), dtype=np.uint8)
        known = pa.array([bytes(row[: 1 + length // 2 + index % (length // 2 + 1)]).decode() for index, row in enumerate(letters)])
        return known.take(pa.array(random.integers(0, kinds, rows), mask=mask))

    def times(step: int, mask: np.ndarray | None = None) -> pa.Array:
        start = 1_700_000_000_000_000
        return pa.array(start + step * np.arange(rows), mask=mask).cast(pa.timestamp("us"))

    columns: dict[str, Any] = {
        "id": np.arange(rows),
        "account": random.integers(0, 1 << 40, rows),
        "volume": random.integers(0, 100_000, rows),
        "quantity": random.integers(-1_000, 1_000, rows, dtype=np.int32),
        "venue": random.integers(0, 100, rows, dtype=np.int32),
        "bid": random.integers(0, 1_000_000, rows) / 100,
        "ask": random.integers(0, 1_000_000, rows) / 100,
        "last": pa.array(random.integers(0, 1_000_000, rows) / 100, mask=nulls(0.05)),
        "weight": random.random(rows),
        "score": random.standard_normal(rows),
        "risk": pa.array(random.standard_normal(rows), mask=nulls(0.2)),
        "is_open": random.random(rows) < 0.5,
        "symbol": texts(3_000, 8),
        "name": texts(TEXTS, 24),
        "note": texts(TEXTS, 40, nulls(0.3)),
        "city": texts(50, 12, nulls(0.05)),
        "code": texts(TEXTS, 12),
        "placed": times(1_000_000),
        "changed": times(1_003_007),
        "settled": times(999_983, nulls(0.1)),
    }
    return pa.table(columns)


def floats(rows: int) -> pa.Table:
    """Eight columns of floats, in batches."""
    random = np.random.default_rng(7)
    batches = [
        pa.record_batch({f"c{index}": random.random(BATCH_ROWS) for index in range(8)})
        for _ in range(max(1, rows // BATCH_ROWS))
    ]
    return pa.Table.from_batches(batches)


def total(table: pa.Table | pd.DataFrame) -> float:
    """A sum over all columns that looks at every value: numbers and times as they are, the bytes of texts."""
    if isinstance(table, pd.DataFrame):
        return sum(_total_of_series(table[name]) for name in table.columns)
    return sum(_total_of_array(column) for column in table.columns)


def _total_of_array(column: pa.ChunkedArray) -> float:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        # The lengths alone would not touch the texts.
        bytes_seen = sum(int(np.frombuffer(buffer, np.uint8).sum()) for buffer in _values(column))
        return bytes_seen + (pc.sum(pc.binary_length(column)).as_py() or 0)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return float(pc.sum(column).as_py() or 0)


def _values(column: pa.ChunkedArray) -> list[pa.Buffer]:
    return [buffer for chunk in column.chunks if (buffer := chunk.buffers()[2]) is not None]


def _total_of_series(series: pd.Series) -> float:
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return float(series.to_numpy().view("i8").sum())
    if pd.api.types.is_numeric_dtype(series.dtype):
        return float(series.sum())
    return float(series.str.len().sum())
