"""The services of `examples/fastapi`, from an upload to a total, by Python and by `curl`."""

import json
import shutil
import socket
import subprocess
import time

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
import pytest

from flights import exists, get
from server import Server
from services import ROOT, Service

SECONDS_MAX = 60


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    with Server(folder / "data") as server:
        address = f"grpc://127.0.0.1:{server.port}"
        running = [Service(name, address, folder / f"{name}.log") for name in ("uploads", "totals")]
        try:
            yield server, *running
        finally:
            codes = [service.stop() for service in running]
        assert all(code in (0, -15) for code in codes), [service.log() for service in running]


@pytest.fixture(scope="module")
def flights():
    return pyarrow.parquet.read_table(ROOT / "samples/flights.parquet", columns=["carrier", "distance", "arr_delay"])


@pytest.fixture(scope="module")
def csv_file(flights, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "flights.csv"
    pyarrow.csv.write_csv(flights, path)
    return path


def test_a_file_becomes_a_ticket_and_the_ticket_a_total(services, flights, csv_file):
    server, uploads, totals = services
    with open(csv_file, "rb") as file:
        status, receipt = uploads.ask_json("PUT", "/tables/people/flights?format=csv", file)
    assert status == 201 and receipt["rows"] == flights.num_rows, receipt
    order = {"ticket": receipt["ticket"], "by": "carrier", "of": "distance", "result": "people/distances"}
    status, answer = totals.ask_json("POST", "/totals", order)
    total = pc.sum(flights["distance"]).as_py()
    assert status == 200 and answer["rows"] == flights.num_rows, answer
    assert (answer["groups"], answer["total"]) == (16, total)
    # The result is a table like any other, for whoever has its ticket: here stock pyarrow, and then the other service.
    with server.client() as client:
        sums = get(client, answer["ticket"])
    expected = flights.filter(pc.equal(flights["carrier"], "UA"))
    row = sums.filter(pc.equal(sums["carrier"], "UA")).to_pylist()[0]
    assert row == {"carrier": "UA", "sum": pc.sum(expected["distance"]).as_py(), "count": expected.num_rows}
    status, headers, body = uploads.ask("GET", f"/tickets/{answer['ticket']}")
    assert (status, headers["content-type"]) == (200, "application/vnd.apache.arrow.stream")
    assert pa.ipc.open_stream(body).read_all().equals(sums)


def test_a_file_that_is_wrong_is_refused_with_code_and_place(services):
    server, uploads, _ = services
    status, headers, body = uploads.ask("PUT", "/tables/people/wrong", "a,b\n1,x\n2\n", {"content-type": "text/csv"})
    problem = json.loads(body)
    assert (status, headers["content-type"]) == (400, "application/problem+json"), body
    assert (problem["code"], problem["place"]) == ("file_invalid", "the upload, line 3"), problem
    assert problem["hint"]
    with server.client() as client:
        assert not exists(client, "people/wrong")


def test_a_ticket_that_leads_nowhere_is_a_problem_of_the_second_service(services):
    _, uploads, totals = services
    order = {"ticket": "people/nowhere", "by": "a", "of": "b", "result": "people/nothing"}
    status, problem = totals.ask_json("POST", "/totals", order)
    assert (status, problem["code"]) == (404, "table_not_found"), problem
    status, receipt = uploads.ask_json("PUT", "/tables/people/short", "a,b\n1,2\n", {"content-type": "text/csv"})
    assert status == 201, receipt
    status, problem = totals.ask_json("POST", "/totals", order | {"ticket": receipt["ticket"], "of": "c"})
    assert (status, problem["code"], problem["hint"]) == (400, "column_missing", "the table has a, b"), problem


def test_a_name_is_one_part_of_the_address_whatever_it_holds(services):
    _, uploads, _ = services
    # What the service hands on, with its own credentials, must not become another path or query of Airlane.
    for name in ("..", "people/..", "people/%3Fttl=1", "%2E%2E/uploads/x", "people%2F..%2F..%2Fkeys"):
        path = f"/tables/{name}"
        with socket.create_connection(("127.0.0.1", uploads.port), timeout=SECONDS_MAX) as raw:
            head = f"PUT {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: text/csv\r\n"
            raw.sendall(f"{head}content-length: 4\r\n\r\na\n1\n".encode())
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 400 ") and b'"code":"table_name_invalid"' in answer, (name, answer)


def test_a_file_goes_on_while_it_comes_and_of_one_that_breaks_off_nothing_is_kept(services):
    server, uploads, _ = services
    with socket.create_connection(("127.0.0.1", uploads.port), timeout=SECONDS_MAX) as raw:
        head = "PUT /tables/people/broken HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\ncontent-length: 1000000\r\n\r\n"
        raw.sendall(head.encode() + b"a,b\n" + b"1,x\n" * 1000)
        eventually(lambda: running(server) == 1, "the upload has begun at Airlane")
    eventually(lambda: running(server) == 0, "it has ended there")
    with server.client() as client:
        assert not exists(client, "people/broken")


def running(server):
    """Uploads that Airlane is reading."""
    return server.metric('airlane_requests_open{rpc="PUT /v1/tables/{name}"}')


def eventually(is_so, what):
    deadline = time.monotonic() + SECONDS_MAX
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def curl(*arguments):
    if shutil.which("curl") is None:
        pytest.skip("there is no curl: install the package `curl`")
    ran = subprocess.run(["curl", "-sS", *arguments], capture_output=True, timeout=SECONDS_MAX * 2)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_same_by_curl(services, flights, csv_file):
    _, uploads, totals = services
    receipt = json.loads(curl("-T", str(csv_file), f"{uploads.url}/tables/shell/flights?format=csv"))
    assert receipt["rows"] == flights.num_rows, receipt
    order = {"ticket": receipt["ticket"], "by": "carrier", "of": "distance", "result": "shell/distances"}
    answer = json.loads(curl("--json", json.dumps(order), f"{totals.url}/totals"))
    assert answer["total"] == pc.sum(flights["distance"]).as_py(), answer
    lines = curl(f"{uploads.url}/tickets/{answer['ticket']}?format=csv&limit=2").decode().splitlines()
    assert lines[0] == "carrier,sum,count" and lines[1].startswith("9E,") and len(lines) == 3, lines
    problem = json.loads(curl(f"{uploads.url}/tickets/shell/nowhere"))
    assert problem["code"] == "table_not_found", problem


def test_the_same_by_curl_with_a_form(services, csv_file, flights):
    _, uploads, _ = services
    receipt = json.loads(curl("-X", "PUT", "-F", f"file=@{csv_file};type=text/csv", f"{uploads.url}/tables/shell/form"))
    assert receipt["rows"] == flights.num_rows, receipt


def test_without_airlane_the_service_says_so(tmp_path):
    free = socket.create_server(("127.0.0.1", 0))
    with free:
        port = free.getsockname()[1]
    lost = Service("uploads", f"grpc://127.0.0.1:{port}", tmp_path / "uploads.log")
    try:
        status, problem = lost.ask_json("PUT", "/tables/t", "a\n1\n", {"content-type": "text/csv"})
    finally:
        lost.stop()
    assert (status, problem["code"]) == (502, "server_unreachable"), problem
