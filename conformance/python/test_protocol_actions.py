"""The actions that the Flight protocol defines, as a client without methods for them calls them."""

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from flights import get, info, put
from tables import floats


def act(client, action, body=b"") -> bytes:
    results = list(client.do_action(flight.Action(action, body)))
    assert len(results) == 1
    return results[0].body.to_pybytes()


def field(number, value: bytes) -> bytes:
    """A protobuf field of bytes."""
    length, size = [], len(value)
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + value


NOT_CANCELLABLE = b"\x08\x03"
CLOSED = b"\x08\x01"
INVALID_NAME = b"\x08\x01"


def test_a_flight_info_is_not_cancellable(client, name):
    put(client, name, floats(10))
    found = info(client, name)
    assert act(client, "CancelFlightInfo", field(1, found.serialize())) == NOT_CANCELLABLE
    assert get(client, found.endpoints[0].ticket.ticket).num_rows == 10


def test_an_endpoint_that_does_not_expire_comes_back_as_it_is(client, name):
    put(client, name, floats(10))
    endpoint = info(client, name).endpoints[0]
    renewed = flight.FlightEndpoint.deserialize(act(client, "RenewFlightEndpoint", field(1, endpoint.serialize())))
    assert renewed == endpoint
    assert renewed.expiration_time is None


@pytest.mark.parametrize("action", ["CancelFlightInfo", "RenewFlightEndpoint"])
def test_rubbish_is_refused(client, action):
    for body in [b"", b"rubbish", field(1, b""), field(1, b"rubbish")]:
        with pytest.raises(pa.ArrowInvalid) as raised:
            act(client, action, body)
        assert "hint:" in str(raised.value)


def test_a_table_that_is_gone_cannot_be_renewed(client, name):
    put(client, name, floats(10))
    endpoint = info(client, name).endpoints[0]
    act(client, "drop", name.encode())
    with pytest.raises(pa.ArrowKeyError):
        act(client, "RenewFlightEndpoint", field(1, endpoint.serialize()))


def test_there_are_no_session_options(client):
    option = field(1, b"catalog") + field(2, field(1, b"sales"))
    refused = field(1, b"catalog") + field(2, INVALID_NAME)
    assert act(client, "SetSessionOptions", field(1, option)) == field(1, refused)
    assert act(client, "SetSessionOptions") == b""
    assert act(client, "GetSessionOptions") == b""
    assert act(client, "CloseSession") == CLOSED


def test_each_action_is_listed(client):
    listed = {action.type: action.description for action in client.list_actions()}
    for action in ("CancelFlightInfo", "RenewFlightEndpoint", "SetSessionOptions", "GetSessionOptions", "CloseSession"):
        assert "Result:" in listed[action]
