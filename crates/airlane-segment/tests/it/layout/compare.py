"""Opens segments with stock pyarrow and compares them with the same table written by stock arrow-rs.

usage: compare.py FOLDER; the folder holds N-0.arrow, N-1.arrow … (the segments of table N), N-0.by_lz4, N-0.by_zstd …
(the streams that readers get of them who ask for compression) and N.arrows.
Prints the number of tables that are equal, or the first that is not.
"""

import pathlib
import sys

import pyarrow as pa
from pyarrow import ipc


def open_segments(files):
    batches = []
    schema = None
    for file in files:
        with pa.memory_map(str(file)) as source:
            with ipc.open_file(source) as reader:
                schema = reader.schema
                for index in range(reader.num_record_batches):
                    batches.append(reader.get_batch(index))
    return pa.Table.from_batches(batches, schema)


def open_streams(files):
    batches = []
    schema = None
    for file in files:
        with ipc.open_stream(str(file)) as reader:
            schema = reader.schema
            batches += list(reader)
    return pa.Table.from_batches(batches, schema)


def check(folder, stream):
    with ipc.open_stream(str(stream)) as reader:
        expected = reader.read_all()
    for suffix, read in [("arrow", open_segments), ("by_lz4", open_streams), ("by_zstd", open_streams)]:
        files = sorted(folder.glob(f"{stream.stem}-*.{suffix}"), key=lambda file: int(file.stem.split("-")[1]))
        assert files, f"no files {suffix}"
        compare(read(files), expected)


def compare(table, expected):
    table.validate(full=True)
    assert table.schema.equals(expected.schema, check_metadata=True), f"{table.schema}\n{expected.schema}"
    assert table.num_rows == expected.num_rows, f"{table.num_rows} rows, expected {expected.num_rows}"
    for field, got, want in zip(table.schema, table.columns, expected.columns):
        # pyarrow compares dictionaries with their indices, some unions with what no row shows, and no NaN with itself.
        same = got.equals(want) or repr(got.to_pylist()) == repr(want.to_pylist())
        assert same, f"column {field} differs"


def main():
    folder = pathlib.Path(sys.argv[1])
    streams = sorted(folder.glob("*.arrows"))
    for stream in streams:
        try:
            check(folder, stream)
        except Exception as error:
            sys.exit(f"{stream.stem}: {type(error).__name__}: {error}")
    print(len(streams))


main()
