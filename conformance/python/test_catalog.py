"""Listing, describing and dropping tables."""

import json

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from flights import exists, get, headers, info, put
from tables import floats, mixed


def act(client, action, body):
    results = list(client.do_action(flight.Action(action, body.encode())))
    assert len(results) == 1
    return json.loads(results[0].body.to_pybytes())


def test_list_flights_by_prefix(client, name):
    for leaf in ("b", "a", "c"):
        put(client, f"{name}/{leaf}", floats(10))
    put(client, f"{name}x", floats(10))
    found = list(client.list_flights(f"{name}/".encode()))
    paths = [b"/".join(flight_info.descriptor.path).decode() for flight_info in found]
    assert paths == [f"{name}/a", f"{name}/b", f"{name}/c"]
    assert all(flight_info.total_records == 10 for flight_info in found)
    assert all(flight_info.schema == floats(1).schema for flight_info in found)
    assert get(client, found[0].endpoints[0].ticket.ticket).num_rows == 10


def test_list_flights_without_criteria_lists_all(client, name):
    put(client, name, floats(1))
    paths = [b"/".join(found.descriptor.path).decode() for found in client.list_flights()]
    assert name in paths
    assert paths == sorted(paths)


def test_list_flights_of_an_unknown_prefix_is_empty(client):
    assert list(client.list_flights(b"no/such/prefix")) == []


def test_list_actions_describes_each(client):
    actions = {action.type: action.description for action in client.list_actions()}
    assert {"drop", "describe"} <= set(actions)
    assert all(description for description in actions.values())


def test_describe(client, name):
    receipt = put(client, name, mixed(1000), options=headers(durability="ephemeral"))
    described = act(client, "describe", name)
    for key in ("table", "table_id", "version", "rows", "bytes", "durability"):
        assert described[key] == receipt[key], key
    assert described["segments"] == 1
    assert described["created"] and described["committed"]


def test_drop(client, name):
    put(client, name, floats(10))
    assert act(client, "drop", name)["table"] == name
    assert not exists(client, name)
    with pytest.raises(pa.ArrowKeyError):
        get(client, name)
    with pytest.raises(pa.ArrowKeyError):
        act(client, "drop", name)


def test_a_recreated_name_is_another_table(client, name):
    first = put(client, name, floats(10))
    act(client, "drop", name)
    second = put(client, name, floats(20))
    assert second["version"] == 1
    assert second["table_id"] != first["table_id"]
    with pytest.raises(pa.ArrowKeyError) as raised:
        get(client, f"{name}?id={first['table_id']}")
    assert "hint:" in str(raised.value) or "table_recreated" in str(raised.value)
    assert get(client, f"{name}?id={second['table_id']}").num_rows == 20


def test_a_drop_lets_running_readers_finish(client, name):
    put(client, name, floats(400_000), options=headers(durability="ephemeral"))
    reader = client.do_get(flight.Ticket(name))
    first = reader.read_chunk().data
    act(client, "drop", name)
    assert first.num_rows + reader.read_all().num_rows == 400_000


def test_get_flight_info_of_a_version(client, name):
    put(client, name, floats(10))
    put(client, name, floats(10), options=headers(mode="append"))
    assert info(client, name).total_records == 20
    described = client.get_flight_info(flight.FlightDescriptor.for_command(json.dumps({"path": name})))
    assert described.total_records == 20
