"""How long a table is kept, by a client that knows nothing of it but JSON and headers."""

import datetime
import json
import time

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from flights import command, get, headers, info, put
from tables import floats
from test_catalog import act


def test_a_put_says_how_long_its_table_is_kept(client, name):
    put(client, command(path=name, ttl="1h", versions=2), floats(10))
    described = act(client, "describe", name)
    assert described["retention"] == {"ttl": "1h", "versions": 2}
    expires = datetime.datetime.fromtimestamp(described["expires"] / 1e6, datetime.timezone.utc)
    left = expires - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(minutes=50) < left <= datetime.timedelta(hours=1)
    assert all(endpoint.expiration_time is not None for endpoint in info(client, name).endpoints)


def test_headers_say_it_too(client, name):
    put(client, name, floats(10), options=headers(idle="7d", pinned="true"))
    described = act(client, "describe", name)
    assert described["retention"] == {"idle": "7d", "pinned": True}
    assert "expires" not in described


def test_the_action_changes_it(client, name):
    put(client, name, floats(10))
    assert "retention" not in act(client, "describe", name)
    changed = act(client, "retention", json.dumps({"table": name, "ttl": "7d", "versions": 3}))
    assert changed["retention"] == {"ttl": "7d", "versions": 3}
    changed = act(client, "retention", json.dumps({"table": name, "ttl": "none", "versions": "none"}))
    assert "retention" not in changed


def test_versions_beyond_the_newest_are_not_there(client, name):
    for number in range(4):
        put(client, command(path=name, mode="append", versions=2), floats(10))
    assert get(client, name).num_rows == 40
    assert get(client, f"{name}@3").num_rows == 30
    with pytest.raises(pa.ArrowKeyError) as raised:
        get(client, f"{name}@2")
    assert "versions 3 to 4 can be read" in str(raised.value)


def test_a_table_goes_when_its_time_is_over(client, name):
    put(client, command(path=name, ttl="1ms"), floats(10))
    with pytest.raises(pa.ArrowKeyError):
        for _ in range(1000):
            get(client, name)


def test_old_rows_go_and_the_table_stays(client, name):
    put(client, command(path=name, window="1ms"), floats(10))
    assert act(client, "describe", name)["retention"] == {"window": "1ms"}
    for _ in range(1000):
        left = get(client, name)
        if left.num_rows == 0:
            break
        time.sleep(0.05)
    assert left.num_rows == 0
    assert left.schema == floats(10).schema
    assert act(client, "describe", name)["version"] == 2
    with pytest.raises(pa.ArrowKeyError) as raised:
        get(client, f"{name}@1")
    assert "has no version 1" in str(raised.value)


@pytest.mark.parametrize("rules", [{"ttl": "soon"}, {"versions": 0}, {"ttl": 3600}, {"window": "old"}, {"pinned": "maybe"}])
def test_what_is_no_rule_is_refused(client, name, rules):
    with pytest.raises(pa.ArrowInvalid):
        put(client, command(path=name, **rules), floats(10))
    with pytest.raises(pa.ArrowInvalid):
        client_act = flight.Action("retention", json.dumps({"table": name, **rules}).encode())
        list(client.do_action(client_act))
