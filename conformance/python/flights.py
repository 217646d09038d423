"""What the tests do over and over: a put with its receipt, a get, a read by endpoints."""

import json

import pyarrow as pa
import pyarrow.flight as flight


def put(client, descriptor, data, schema=None, options=None):
    """Puts a table or a list of batches and returns the receipt."""
    if isinstance(descriptor, str):
        descriptor = flight.FlightDescriptor.for_path(descriptor)
    batches = data.to_batches() if isinstance(data, pa.Table) else data
    writer, reader = client.do_put(descriptor, data.schema if schema is None else schema, options)
    with writer:
        for batch in batches:
            writer.write_batch(batch)
        writer.done_writing()
        return last_receipt(reader)


def last_receipt(reader):
    """The last `PutResult` before the stream ends."""
    receipt = None
    while (message := reader.read()) is not None:
        receipt = json.loads(message.to_pybytes())
    return receipt


def command(**fields):
    return flight.FlightDescriptor.for_command(json.dumps(fields))


def headers(**fields):
    """Options of a put as gRPC headers."""
    named = [(f"airlane-{key}".encode(), value.encode()) for key, value in fields.items()]
    return flight.FlightCallOptions(headers=named)


def get(client, ticket, options=None) -> pa.Table:
    return client.do_get(flight.Ticket(ticket), options).read_all()


def info(client, name):
    return client.get_flight_info(flight.FlightDescriptor.for_path(name))


def exists(client, name) -> bool:
    try:
        info(client, name)
    except pa.ArrowKeyError:
        return False
    return True


def same(left: pa.Table, right: pa.Table):
    """Equal in schema (metadata too) and in every value; the cut into batches is no part of a table."""
    assert left.schema.equals(right.schema, check_metadata=True), f"\n{left.schema}\n!=\n{right.schema}"
    assert left.num_rows == right.num_rows
    right.validate(full=True)
    if left.num_columns == 0:
        return
    if left.equals(right):
        return
    # NaN differs from itself in `equals`, and dictionaries may be unified: compare the values.
    assert repr(left.to_pylist()) == repr(right.to_pylist())
