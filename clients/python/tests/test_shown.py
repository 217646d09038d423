"""What people see: notebooks, and the line of a long transfer."""

import io
import sys

import IPython
import IPython.display
import pyarrow as pa

import airlane
from airlane import _progress


def test_a_notebook_shows_rows_and_never_markup_of_them(client, name):
    client.put(name, pa.table({"<script>": ["<b>bold</b>", None], "n": [1, 2]}))
    result = client.get(name)
    for shown in (result._repr_html_(), result.read()._repr_html_(), result.head()._repr_html_(), next(iter(result))._repr_html_()):
        assert "&lt;b&gt;bold&lt;/b&gt;" in shown and "&lt;script&gt;" in shown and "<i>null</i>" in shown
        assert "<script>" not in shown and "<b>bold" not in shown
    listing = client.ls(name)._repr_html_()
    assert name in listing and listing.startswith("<table>")
    assert "&lt;script&gt;" in client.info(name)._repr_html_()


def test_a_notebook_shows_a_few_rows_of_many_and_nested_ones(client, name):
    client.put(name, pa.table({"l": [[1, None]] * 1000, "when": pa.array([0] * 1000, pa.timestamp("us", tz="America/New_York"))}))
    result = client.get(name)
    assert result._repr_html_().count("<tr>") == 11
    assert result.num_rows == 1000


def progress(rows_total, seconds):
    clock = iter(seconds)
    return _progress.Progress("get t", rows_total, lambda: next(clock))


def test_a_line_of_progress(monkeypatch):
    output = io.StringIO()
    monkeypatch.setattr(sys, "stderr", output)
    line = progress(1000, [0.0, 0.1, 0.6, 0.65, 2.0])
    for rows in (10, 250, 260, 1000):
        line(rows, rows * 1024)
    line.close()
    shown = output.getvalue().split("\r")
    assert shown[1] == "get t:  25% [######..................] 250 rows, 250.0 KiB, 416.7 KiB/s"
    assert shown[2].startswith("get t: 100% [########################] 1,000 rows")
    assert len(shown) == 5 and not shown[3].strip() and shown[4] == ""


def test_a_short_transfer_shows_nothing(monkeypatch):
    output = io.StringIO()
    monkeypatch.setattr(sys, "stderr", output)
    line = progress(None, [0.0, 0.1, 0.2])
    line(1, 1)
    line(2, 2)
    line.close()
    assert output.getvalue() == ""


def test_a_line_is_shown_where_somebody_sees_it(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert _progress.line("x", None) is None and _progress.line("x", True) is not None
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert _progress.line("x", None) is not None and _progress.line("x", False) is None


def test_a_notebook_with_widgets_shows_a_bar(monkeypatch):
    class ZMQInteractiveShell:
        pass

    shown = []
    monkeypatch.setattr(IPython, "get_ipython", ZMQInteractiveShell)
    monkeypatch.setattr(IPython.display, "display", shown.append)
    clock = iter([0.6, 1.6])
    line = _progress.line("get <t>", None, lambda: 1000)
    line._clock = lambda: next(clock)
    line._begun, line._told = 0.0, 0.0
    line(250, 1024)
    [box] = shown
    bar, text = box.children
    assert (bar.value, bar.bar_style) == (0.25, "") and text.value.startswith("get &lt;t&gt;: 250 rows, 1.0 KiB")
    line(1000, 4096)
    assert bar.value == 1.0 and len(shown) == 1
    line.close()
    assert box.comm is None
    # Without an end to come.
    line = _progress.line("put t", None)
    line._told = 0.0
    line(1, 1)
    assert shown[1].children[0].bar_style == "info"
    # Without widgets it is a line.
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    output = io.StringIO()
    monkeypatch.setattr(sys, "stderr", output)
    line = _progress.line("put t", None)
    line._told = 0.0
    line(1, 1)
    assert output.getvalue().startswith("\rput t: 1 rows")


def test_a_transfer_tells_its_rows(server, name, monkeypatch):
    told = []
    monkeypatch.setattr(_progress.Progress, "__call__", lambda self, rows, size: told.append((self._what, self._rows_total, rows, size)))
    with airlane.connect(server.url, progress=True) as client:
        client.put(name, pa.table({"n": range(1000)}))
        client.get(name).read()
    assert told[-1] == (f"get {name}", 1000, 1000, 8000)
    assert (f"put {name}", None, 1000, 8000) in told
