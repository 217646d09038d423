"""The same server over a Unix socket."""

import json

import pyarrow.flight as flight
import pytest

from flights import get, put, same
from server import Server
from tables import mixed

# gRPC's C++ core sends the path of the socket as `:authority`, percent-encoded, which strict HTTP/2 libraries refuse. It
# must just work; so must clients that were told to send another.
AUTHORITIES = {"as it comes": [], "localhost": [("grpc.default_authority", "localhost")]}


@pytest.fixture(scope="module")
def socket(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unix")
    path = folder / "airlane.sock"
    with Server(folder / "data", "--unix-socket", str(path)):
        yield path


@pytest.mark.parametrize("authority", AUTHORITIES)
def test_put_and_get(socket, authority):
    with flight.connect(f"grpc+unix://{socket}", generic_options=AUTHORITIES[authority]) as client:
        put(client, "a", mixed(10_000))
        same(mixed(10_000), get(client, "a"))
        assert json.loads(next(iter(client.do_action(("describe", b"a")))).body.to_pybytes())["rows"] == 10_000


def test_the_socket_belongs_to_its_user(socket):
    assert socket.stat().st_mode & 0o077 == 0
