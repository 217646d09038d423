"""Refusals: the right type of error, with the place and the way out; and the server goes on."""

import http.client

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from flights import command, get, headers, info, put
from tables import floats

INVALID = pa.ArrowInvalid
NOT_FOUND = pa.ArrowKeyError
NOT_IMPLEMENTED = pa.ArrowNotImplementedError

BAD_NAMES = ["../x", "a/../b", "x" * 300, "a//b", "a b", "-rf", "%2e%2e", "C:", "a/b/c/d/e/f/g/h/i", "a\0b", "PLAN-1"]


def refused(kind, work) -> str:
    with pytest.raises(kind) as raised:
        work()
    text = str(raised.value)
    assert "hint:" in text, text
    return text


@pytest.mark.parametrize("bad", BAD_NAMES)
def test_s7_a_bad_name_is_refused_everywhere(client, bad):
    refused(INVALID, lambda: put(client, bad, floats(1)))
    refused(INVALID, lambda: put(client, command(path=bad), floats(1)))
    refused(INVALID, lambda: info(client, bad))


def test_s7_an_empty_path_is_refused(client):
    refused(INVALID, lambda: put(client, flight.FlightDescriptor.for_path(), floats(1)))
    refused(INVALID, lambda: put(client, "", floats(1)))


@pytest.mark.parametrize("ticket", ["no_such_table", "no/such@7", "no_such?rows=0-1"])
def test_an_unknown_ticket(client, ticket):
    text = refused(NOT_FOUND, lambda: get(client, ticket))
    assert "no" in text


def test_an_unknown_version(client, name):
    put(client, name, floats(1))
    refused(NOT_FOUND, lambda: get(client, f"{name}@2"))


@pytest.mark.parametrize("ticket", [b"prices?limit=3", b"a@0", b"\xff\xfe", b"", b"a?rows=5-1"])
def test_a_malformed_ticket(client, ticket):
    refused(INVALID, lambda: client.do_get(flight.Ticket(ticket)).read_all())


@pytest.mark.parametrize("ticket", ["plan:forecast", "PLAN-123"])
def test_forms_of_tickets_that_come_later(client, ticket):
    refused(NOT_IMPLEMENTED, lambda: get(client, ticket))


def test_rows_outside_the_table(client, name):
    put(client, name, floats(10))
    refused(INVALID, lambda: get(client, f"{name}?rows=0-11"))


@pytest.mark.parametrize(
    ("fields", "quoted"),
    [({"mode": "upsert"}, "upsert"), ({"durability": "forever"}, "forever"), ({"colour": "red"}, "colour")],
)
def test_an_unknown_option_is_quoted(client, name, fields, quoted):
    assert quoted in refused(INVALID, lambda: put(client, command(path=name, **fields), floats(1)))


def test_an_unknown_option_in_a_header(client, name):
    refused(INVALID, lambda: put(client, name, floats(1), options=headers(mode="upsert")))
    refused(INVALID, lambda: put(client, name, floats(1), options=headers(colour="red")))


def test_a_durability_that_differs_from_the_table(client, name):
    put(client, name, floats(1), options=headers(durability="ephemeral"))
    refused(pa.ArrowException, lambda: put(client, name, floats(1), options=headers(durability="durable", mode="append")))


def test_an_unknown_action_lists_the_known_ones(client):
    with pytest.raises(INVALID) as raised:
        list(client.do_action("no-such-action"))
    assert "no-such-action" in str(raised.value)
    assert "drop" in str(raised.value)


def test_what_comes_later_is_named(client):
    with pytest.raises(NOT_IMPLEMENTED):
        client.do_exchange(flight.FlightDescriptor.for_path("x"))[1].read_all()


def test_a6_text_that_is_not_utf8_is_refused(client, name):
    """A producer may claim that bytes are text; a reader must never meet them."""
    offsets = pa.py_buffer(b"\0\0\0\0\x02\0\0\0")
    text = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xff\xfe")])
    batch = pa.RecordBatch.from_arrays([text], ["note"])
    with pytest.raises(INVALID) as raised:
        put(client, name, [batch], batch.schema)
    assert "note" in str(raised.value), "the message names the column"


def test_a6_offsets_that_go_backwards_are_refused(client, name):
    offsets = pa.py_buffer(b"\0\0\0\0\x09\0\0\0\x02\0\0\0")
    text = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"abcdefghi")])
    batch = pa.RecordBatch.from_arrays([text], ["note"])
    with pytest.raises(INVALID):
        put(client, name, [batch], batch.schema)


def test_a6_a_dictionary_index_without_a_value_is_refused(client, name):
    indices = pa.array([0, 5], pa.int8())
    column = pa.DictionaryArray.from_arrays(indices, pa.array(["only"]), safe=False)
    batch = pa.RecordBatch.from_arrays([column], ["label"])
    with pytest.raises(INVALID) as raised:
        put(client, name, [batch], batch.schema)
    assert "label" in str(raised.value)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_http_on_the_same_port(server, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200
    body = answer.read().decode()
    assert path != "/metrics" or "airlane_" in body


def test_an_unknown_http_path(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/no/such/page")
    assert connection.getresponse().status == 404


@pytest.mark.parametrize("bytes_sent", [b"\0" * 64, b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64])
def test_garbage_on_the_port_harms_nobody(server, client, name, bytes_sent):
    import socket

    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(bytes_sent)
        connection.settimeout(0.5)
        try:
            connection.recv(1024)
        except OSError:
            pass
    put(client, name, floats(3))
    assert get(client, name).num_rows == 3


def test_a_call_whose_time_is_over(client, name):
    table = floats(10)
    with pytest.raises(flight.FlightTimedOutError):
        options = flight.FlightCallOptions(timeout=0.2)
        writer, reader = client.do_put(flight.FlightDescriptor.for_path(name), table.schema, options)
        # The put goes on for as long as nobody ends it, and the end of the call is the end of its answers.
        assert reader.read() is None
        writer.close()
    put(client, name, table)
    assert get(client, name).num_rows == 10
