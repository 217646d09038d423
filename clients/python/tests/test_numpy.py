"""Each type of column as numpy has it, and what becomes of nulls."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

DAY = datetime.date(2026, 11, 26)
MOMENT = datetime.datetime(2026, 11, 26, 12, 0, 1)

WITHOUT_NULLS = {
    **{kind: pa.array([1, 2, 3], kind) for kind in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    **{kind: pa.array([1.5, 2.5, 3.5], kind) for kind in ("float16", "float32", "float64")},
    "bool": pa.array([True, False, True]),
    "date32": pa.array([DAY] * 3, pa.date32()),
    "date64": pa.array([DAY] * 3, pa.date64()),
    **{f"timestamp_{unit}": pa.array([MOMENT] * 3, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
    **{f"duration_{unit}": pa.array([1, 2, 3], pa.duration(unit)) for unit in ("s", "ms", "us", "ns")},
    "string": pa.array(["a", "", "zwölf"]),
    "string_view": pa.array(["a", "", "zwölf"], pa.string_view()),
    "binary": pa.array([b"a", b"", b"\0"]),
    "dictionary": pa.array(["a", "b", "a"]).dictionary_encode(),
    "list": pa.array([[1], [], [2, 3]]),
}


def columns(client, name, made):
    client.put(name, pa.table(made), durability="ephemeral")
    return client.get(name).to_numpy()


def test_as_pyarrow_makes_them(client, name):
    arrays = columns(client, name, WITHOUT_NULLS)
    assert list(arrays) == list(WITHOUT_NULLS)
    for column, made in WITHOUT_NULLS.items():
        expected = made.to_numpy(zero_copy_only=False)
        assert arrays[column].shape == (3,)
        if column in ("date64", "dictionary"):
            assert arrays[column].tolist() == ([datetime.datetime(2026, 11, 26)] * 3 if column == "date64" else ["a", "b", "a"])
            continue
        assert arrays[column].dtype == expected.dtype, column
        assert [np.asarray(v).tolist() for v in arrays[column]] == [np.asarray(v).tolist() for v in expected], column


def test_nulls(client, name):
    made = {
        "int": pa.array([1, None, 3]),
        "bool": pa.array([True, None, False]),
        "float": pa.array([1.5, None, 2.5], "float32"),
        "when": pa.array([MOMENT, None, MOMENT], pa.timestamp("us", tz="UTC")),
        "text": pa.array(["a", None, "c"]),
    }
    arrays = columns(client, name, made)
    assert arrays["int"].dtype == "int64" and arrays["int"].tolist() == [1, None, 3]
    assert arrays["bool"].tolist() == [True, None, False]
    assert arrays["float"].dtype == "float32" and np.isnan(arrays["float"]).tolist() == [False, True, False]
    assert arrays["when"].dtype == "datetime64[us]" and np.isnat(arrays["when"]).tolist() == [False, True, False]
    assert arrays["text"].tolist() == ["a", None, "c"]


def test_offsets_and_pieces(client, name):
    for _ in range(3):
        client.append(name, pa.table({"n": range(10), "b": [True, False] * 5}), idempotency_key=None)
    arrays = client.get(f"{name}?rows=3-25").to_numpy()
    assert arrays["n"].tolist() == (list(range(10)) * 3)[3:25]
    assert arrays["b"].tolist() == ([True, False] * 15)[3:25]


def test_arrays_outlive_the_result(client, name):
    client.put(name, pa.table({"n": range(100_000)}))
    array = client.get(name).to_numpy()["n"]
    assert not array.flags.writeable
    assert array.sum() == 4_999_950_000


def test_two_columns_of_one_name_are_refused(client, name):
    client.put(name, pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]))
    with pytest.raises(ValueError, match="two columns"):
        client.get(name).to_numpy()
