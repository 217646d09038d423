"""Signed tickets: an action of ours, and from then on nothing but what any Flight client does."""

import datetime
import json

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from flights import get, put
from test_protocol_actions import act, field


def table() -> pa.Table:
    cities = pa.array(["Oslo", "Rome", None, "Lima"] * 2_500).dictionary_encode()
    return pa.table({"id": range(10_000), "city": cities, "price": pa.array([1.5, None] * 5_000)})


def sign(client, ticket, **options) -> dict:
    return json.loads(act(client, "ticket", json.dumps({"ticket": ticket, **options}).encode()))


def by_command(client, ticket) -> flight.FlightInfo:
    return client.get_flight_info(flight.FlightDescriptor.for_command(ticket.encode()))


def test_a_ticket_reads_the_columns_and_rows_that_it_says(client, name):
    put(client, name, table())
    signed = sign(client, name, columns=["price", "city"], rows="100-7600")
    assert (signed["rows"], signed["columns"]) == (7_500, ["price", "city"])
    assert signed["ticket"].startswith("~")
    read = get(client, signed["ticket"])
    assert read.equals(table().select(["price", "city"]).slice(100, 7_500))
    assert read.schema.field("city").type == pa.dictionary(pa.int32(), pa.string())


def test_a_flight_info_of_a_ticket_lets_read_no_more_and_says_when_it_ends(client, name):
    put(client, name, table())
    before = datetime.datetime.now(datetime.timezone.utc)
    signed = sign(client, name, columns=["id"], ttl="1h")
    found = by_command(client, signed["ticket"])
    assert found.schema == pa.schema([pa.field("id", pa.int64())])
    assert (found.total_records, found.total_bytes) == (10_000, -1)
    rows = pa.concat_tables([get(client, endpoint.ticket.ticket) for endpoint in found.endpoints])
    assert rows.equals(table().select(["id"]))
    expires = found.endpoints[0].expiration_time.as_py()
    hour = datetime.timedelta(hours=1)
    assert before + hour <= expires <= datetime.datetime.now(datetime.timezone.utc) + hour


def test_an_endpoint_is_renewed(client, name):
    put(client, name, table())
    endpoint = by_command(client, sign(client, name, ttl="1h")["ticket"]).endpoints[0]
    renewed = flight.FlightEndpoint.deserialize(act(client, "RenewFlightEndpoint", field(1, endpoint.serialize())))
    assert renewed.expiration_time.as_py() > endpoint.expiration_time.as_py()
    assert renewed.ticket != endpoint.ticket
    assert get(client, renewed.ticket.ticket).equals(table())


def test_a_changed_ticket_is_refused(client, name):
    put(client, name, table())
    signed = sign(client, name)["ticket"]
    for changed in [signed[:-1], signed + "A", signed.replace(".", "..", 1), "~" + signed, signed[:20]]:
        with pytest.raises(pa.ArrowKeyError, match="was changed"):
            get(client, changed)
