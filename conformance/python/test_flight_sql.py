"""Flight SQL as drivers speak it: ADBC from Python, and what pandas, polars and DuckDB build on it."""

import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import duckdb
import pandas
import polars
import pyarrow
import pyarrow.flight as flight
import pytest

ROWS = pyarrow.table({
    "id": pyarrow.array([1, 2, 3, None], pyarrow.int64()),
    "name": ["a", "b", None, "d"],
    "price": [1.5, 2.5, 3.5, 4.5],
    "day": pyarrow.array([0, 1, 2, 3], pyarrow.date32()),
})


@pytest.fixture
def connection(server):
    with adbc_driver_flightsql.dbapi.connect(f"grpc://127.0.0.1:{server.port}", autocommit=True) as connected:
        yield connected


@pytest.fixture
def table(client, name):
    """A table, as SQL writes its name."""
    writer, _ = client.do_put(flight.FlightDescriptor.for_path(name), ROWS.schema)
    writer.write_table(ROWS)
    writer.close()
    return f'"{name}"'


def test_a_query_gives_the_rows_in_their_types(connection, table):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        assert cursor.fetch_arrow_table() == ROWS
        cursor.execute(f"SELECT name, price * 2 AS twice FROM {table} WHERE id >= 2 ORDER BY id")
        assert cursor.fetchall() == [("b", 5.0), (None, 7.0)]
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_parameters_are_bound_and_rows_inserted_for_each(connection, table):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT name FROM {table} WHERE id = ?", (2,))
        assert cursor.fetchall() == [("b",)]
        cursor.execute(f"SELECT name FROM {table} WHERE price > $1 AND name <> $2 ORDER BY 1", (2.0, "d"))
        assert cursor.fetchall() == [("b",)]
        rows = [(10, "x", 1.0), (11, "y", 2.0)]
        cursor.executemany(f"INSERT INTO {table} (id, name, price) VALUES (?, ?, ?)", rows)
        cursor.execute(f"SELECT id, name, price, day FROM {table} WHERE id >= 10 ORDER BY id")
        assert cursor.fetchall() == [(*row, None) for row in rows]


@pytest.mark.parametrize("how", ["create", "append", "replace", "create_append"])
def test_adbc_ingest_puts_a_table_in_all_its_modes(connection, name, how):
    namespace, rest = name.split("/")
    there = "append" in how or how == "replace"

    def ingest(mode, rows=ROWS):
        with connection.cursor() as cursor:
            return cursor.adbc_ingest(rest, rows, mode=mode, db_schema_name=namespace)

    def count():
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT count(*) FROM "{name}"')
            return cursor.fetchone()[0]

    if how == "append":
        with pytest.raises(adbc_driver_manager.Error, match="no table"):
            ingest("append")
    assert ingest("create" if how != "create_append" else how) == 4
    if there:
        assert ingest(how) == 4
        assert count() == (4 if how == "replace" else 8)
    else:
        with pytest.raises(adbc_driver_manager.Error, match="there already"):
            ingest("create")
        assert count() == 4


def test_statements_that_change_tables_do_so_once(connection, table, name):
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE TABLE "{name}.copy" AS SELECT * FROM {table} WHERE id > 1')
        assert cursor.fetchall() == [(2,)]
        cursor.execute(f'INSERT INTO "{name}.copy" SELECT * FROM {table}')
        assert cursor.fetchall() == [(4,)]
        cursor.execute(f'SELECT count(*) FROM "{name}.copy"')
        assert cursor.fetchone() == (6,)
        assert cursor.executescript(f'DROP TABLE "{name}.copy"') is None
        with pytest.raises(adbc_driver_manager.Error, match="no table"):
            cursor.execute(f'SELECT count(*) FROM "{name}.copy"')


def test_what_there_is_is_told_as_the_driver_wants_it(connection, table, name):
    namespace, rest = name.split("/")
    assert connection.adbc_get_table_types() == ["TABLE"]
    info = connection.adbc_get_info()
    assert info["vendor_name"] == "Airlane"
    assert connection.adbc_get_table_schema(rest, db_schema_filter=namespace) == ROWS.schema
    objects = connection.adbc_get_objects(depth="all", db_schema_filter=namespace, table_name_filter=rest)
    [catalog] = objects.read_all().to_pylist()
    assert catalog["catalog_name"] == "airlane"
    [schema] = catalog["catalog_db_schemas"]
    assert schema["db_schema_name"] == namespace
    [found] = schema["db_schema_tables"]
    assert (found["table_name"], found["table_type"]) == (rest, "TABLE")
    assert [column["column_name"] for column in found["table_columns"]] == ROWS.schema.names


def test_faults_come_with_place_and_hint(connection, table):
    with connection.cursor() as cursor:
        # The driver shows the first line; place and hint are in the lines after it, which Flight clients show.
        with pytest.raises(adbc_driver_manager.Error, match="no column `prise`"):
            cursor.execute(f"SELECT prise FROM {table}")
        with pytest.raises(adbc_driver_manager.Error, match="found: SELEKT"):
            cursor.execute("SELEKT 1")
        with pytest.raises(adbc_driver_manager.Error, match="(?i)division"):
            cursor.execute(f"SELECT 1 / (id - id) FROM {table}")
            cursor.fetchall()
        # The connection is well after each.
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_q1_nothing_reaches_the_host(connection, tmp_path):
    victim = tmp_path / "file.csv"
    victim.write_text("a\n1\n")
    for text in [
        f"CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{victim}'",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"SELECT * FROM '{victim}'",
        f"SELECT * FROM read_csv('{victim}')",
        "SET datafusion.execution.batch_size = 1",
    ]:
        with connection.cursor() as cursor, pytest.raises(adbc_driver_manager.Error):
            cursor.execute(text)
            cursor.fetchall()
    assert [path.name for path in tmp_path.iterdir()] == ["file.csv"]


def test_pandas_reads_and_writes(connection, table, name):
    read = pandas.read_sql(f"SELECT id, price FROM {table} WHERE id IS NOT NULL ORDER BY id", connection)
    assert read["price"].tolist() == [1.5, 2.5, 3.5]
    namespace, rest = name.split("/")
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert frame.to_sql(f"{rest}_frame", connection, schema=namespace, index=False) == 2
    assert frame.to_sql(f"{rest}_frame", connection, schema=namespace, index=False, if_exists="append") == 2
    back = pandas.read_sql(f'SELECT * FROM "{name}_frame"', connection)
    assert back["a"].tolist() == [1, 2, 1, 2]


def test_polars_reads_and_writes(connection, table, name):
    read = polars.read_database(f"SELECT name, price FROM {table} ORDER BY price", connection)
    assert read["price"].to_list() == [1.5, 2.5, 3.5, 4.5]
    namespace, rest = name.split("/")
    frame = polars.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    frame.write_database(f"{namespace}.{rest}_frame", connection, engine="adbc")
    back = polars.read_database(f'SELECT * FROM "{name}_frame" ORDER BY a', connection)
    assert back["b"].to_list() == ["x", "y"]


def test_duckdb_reads_the_stream_and_its_result_is_ingested(connection, table, name):
    namespace, rest = name.split("/")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        reader = cursor.fetch_record_batch()
        result = duckdb.sql("SELECT sum(price) AS total FROM reader").to_arrow_table()
        assert result["total"].to_pylist() == [12.0]
        assert cursor.adbc_ingest(f"{rest}_total", result, db_schema_name=namespace) == 1
        cursor.execute(f'SELECT total FROM "{name}_total"')
        assert cursor.fetchone() == (12.0,)


def test_a_stock_flight_client_reads_a_query_by_ticket_and_by_descriptor(client, table):
    text = f"SELECT id FROM {table} WHERE id IS NOT NULL ORDER BY id DESC"
    assert client.do_get(flight.Ticket(text)).read_all()["id"].to_pylist() == [3, 2, 1]
    assert client.do_get(flight.Ticket(f"sql:{text}")).read_all()["id"].to_pylist() == [3, 2, 1]
    info = client.get_flight_info(flight.FlightDescriptor.for_command(text))
    [endpoint] = info.endpoints
    read = client.do_get(endpoint.ticket).read_all()
    assert read.schema == info.schema == client.get_schema(info.descriptor).schema
    assert read["id"].to_pylist() == [3, 2, 1]
    with pytest.raises(pyarrow.ArrowInvalid, match="line 1, column 8"):
        client.get_flight_info(flight.FlightDescriptor.for_command(f"SELECT nothing FROM {table}"))


def test_a_planned_query_reads_the_versions_of_its_plan(client, table, name):
    info = client.get_flight_info(flight.FlightDescriptor.for_command(f"SELECT count(*) AS n FROM {table}"))
    writer, _ = client.do_put(flight.FlightDescriptor.for_command(f'{{"path": "{name}", "mode": "append"}}'), ROWS.schema)
    writer.write_table(ROWS)
    writer.close()
    assert client.do_get(info.endpoints[0].ticket).read_all()["n"].to_pylist() == [4]
    assert client.do_get(flight.Ticket(f"SELECT count(*) AS n FROM {table}")).read_all()["n"].to_pylist() == [8]
