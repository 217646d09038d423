"""A table of every type that pyarrow can make, each with nulls where the type has them."""

import datetime
import decimal
from pathlib import Path

import pyarrow as pa

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
N = 37


def _cycle(values, n=N):
    return [values[i % len(values)] for i in range(n)]


def columns() -> dict[str, pa.Array]:
    d = decimal.Decimal
    day = datetime.date(2013, 1, 1)
    moment = datetime.datetime(2013, 1, 1, 5, 15, 0, 123456)
    strings = _cycle(["", "a", None, "zwölf Boxkämpfer", "x" * 40, "\u0000 \U0001f6eb"])
    made = {
        "null": pa.nulls(N),
        "bool": pa.array(_cycle([True, False, None])),
        "string": pa.array(strings, pa.string()),
        "large_string": pa.array(strings, pa.large_string()),
        "string_view": pa.array(strings, pa.string_view()),
        "binary": pa.array([s and s.encode() for s in strings], pa.binary()),
        "large_binary": pa.array([s and s.encode() for s in strings], pa.large_binary()),
        "binary_view": pa.array([s and s.encode() for s in strings], pa.binary_view()),
        "fixed_binary": pa.array(_cycle([b"abc", None, b"\0\1\2"]), pa.binary(3)),
        "decimal32": pa.array(_cycle([d("1.23"), None, d("-99999.99")]), pa.decimal32(7, 2)),
        "decimal64": pa.array(_cycle([d("1.23"), None, d("-1234567890.12")]), pa.decimal64(18, 2)),
        "decimal128": pa.array(_cycle([d("1.23"), None, d("-1e20")]), pa.decimal128(38, 2)),
        "decimal256": pa.array(_cycle([d("1.23"), None, d("-1e50")]), pa.decimal256(76, 2)),
        "date32": pa.array(_cycle([day, None]), pa.date32()),
        "date64": pa.array(_cycle([day, None]), pa.date64()),
        "month_day_nano": pa.array(_cycle([(1, 2, 3), None, (-1, 0, 10**12)]), pa.month_day_nano_interval()),
        "half": pa.array(_cycle([1.5, None, -0.0]), pa.float16()),
    }
    for width in (8, 16, 32, 64):
        made[f"int{width}"] = pa.array(_cycle([0, None, -(2 ** (width - 1)), 2 ** (width - 1) - 1]), f"int{width}")
        made[f"uint{width}"] = pa.array(_cycle([0, None, 2**width - 1]), f"uint{width}")
    for width in (32, 64):
        made[f"float{width}"] = pa.array(_cycle([1.5, None, float("nan"), float("-inf"), -0.0]), f"float{width}")
    made["time32"] = pa.array(_cycle([1, None, 86_399]), pa.time32("s"))
    made["time64"] = pa.array(_cycle([1, None, 86_399_999_999_999]), pa.time64("ns"))
    for unit in ("s", "ms", "us", "ns"):
        made[f"timestamp_{unit}"] = pa.array(_cycle([0, None, -1, 10**9]), pa.timestamp(unit))
        made[f"duration_{unit}"] = pa.array(_cycle([0, None, -1, 10**9]), pa.duration(unit))
    made["timestamp_zone"] = pa.array(_cycle([moment, None]), pa.timestamp("us", tz="America/New_York"))
    made |= _nested() | _encoded() | _extensions()
    return made


def _nested() -> dict[str, pa.Array]:
    lists = _cycle([[1, None, 3], None, [], [4]])
    rows = _cycle([{"a": 1, "b": "x"}, None, {"a": None, "b": None}])
    union_types = pa.array(_cycle([0, 1, 1]), pa.int8())
    dense_offsets, counts = [], [0, 0]
    for kind in union_types.to_pylist():
        dense_offsets.append(counts[kind])
        counts[kind] += 1
    return {
        "list": pa.array(lists, pa.list_(pa.int32())),
        "large_list": pa.array(lists, pa.large_list(pa.int32())),
        "list_view": pa.array(lists, pa.list_view(pa.int32())),
        "large_list_view": pa.array(lists, pa.large_list_view(pa.int32())),
        "fixed_list": pa.array(_cycle([[1, 2], None, [None, 4]]), pa.list_(pa.int16(), 2)),
        "struct": pa.array(rows, pa.struct({"a": pa.int64(), "b": pa.string()})),
        "map": pa.array(_cycle([[("k", 1), ("l", None)], None, []]), pa.map_(pa.string(), pa.int32())),
        "deep": pa.array(_cycle([[[{"x": ["y"]}]], None, []]), pa.list_(pa.list_(pa.struct({"x": pa.list_(pa.string())})))),
        "sparse_union": pa.UnionArray.from_sparse(union_types, [pa.array(range(N)), pa.array(["s"] * N)], ["i", "s"]),
        "dense_union": pa.UnionArray.from_dense(
            union_types,
            pa.array(dense_offsets, pa.int32()),
            [pa.array(range(counts[0])), pa.array(["s"] * counts[1])],
            ["i", "s"],
        ),
    }


def _encoded() -> dict[str, pa.Array]:
    labels = pa.array(_cycle(["red", None, "green", "blue"]))
    made = {
        f"dictionary_{index}": pa.DictionaryArray.from_arrays(
            pa.array(_cycle([0, None, 2, 1]), index), pa.array(["red", "green", "blue"])
        )
        for index in ("int8", "int16", "int32", "int64", "uint8", "uint32")
    }
    made["dictionary_ordered"] = pa.DictionaryArray.from_arrays(
        pa.array(_cycle([0, 1]), pa.int8()), pa.array(["low", "high"]), ordered=True
    )
    made["dictionary_of_int"] = pa.array(_cycle([10, None, 20])).dictionary_encode()
    made["list_of_dictionary"] = pa.ListArray.from_arrays(
        pa.array(range(N + 1), pa.int32()), labels.dictionary_encode()
    )
    made["run_end"] = pa.RunEndEncodedArray.from_arrays(pa.array([5, 20, N], pa.int32()), pa.array(["a", None, "b"]))
    return made


def _extensions() -> dict[str, pa.Array]:
    uuids = pa.array(_cycle([bytes(range(16)), None]), pa.binary(16))
    made = {"uuid": pa.ExtensionArray.from_storage(pa.uuid(), uuids)}
    made["json"] = pa.ExtensionArray.from_storage(pa.json_(), pa.array(_cycle(['{"a":1}', None])))
    made["bool8"] = pa.ExtensionArray.from_storage(pa.bool8(), pa.array(_cycle([0, 1, None]), pa.int8()))
    tensor = pa.fixed_shape_tensor(pa.float32(), [2, 2])
    storage = pa.array(_cycle([[1.0, 2.0, 3.0, 4.0]]), pa.list_(pa.float32(), 4))
    made["tensor"] = pa.ExtensionArray.from_storage(tensor, storage)
    return made


def floats(rows: int) -> pa.Table:
    """Rows of eight numbers each, different in every row."""
    import numpy as np

    base = np.arange(rows, dtype="float64")
    return pa.table({f"c{i}": base * (i + 1) for i in range(8)})


def mixed(rows: int) -> pa.Table:
    """Text, nulls, labels and numbers."""
    import numpy as np

    numbers = np.arange(rows)
    texts = pa.array([None if i % 7 == 0 else f"row {i}" for i in range(rows)], pa.string())
    labels = pa.DictionaryArray.from_arrays(pa.array(numbers % 3, pa.int16()), pa.array(["low", "mid", "high"]))
    return pa.table({"id": numbers, "text": texts, "label": labels, "value": numbers / 3})
