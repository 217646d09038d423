"""A server with a rights file: stock clients are refused without credentials, and see what they have rights for."""

import http.client
import os
import signal
import subprocess
import time

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from flights import get, put
from server import Server
from tables import floats

RIGHTS = """
[rights.ada]
"*" = ["read", "write"]

[rights.ci]
eu = ["read"]

[rights.prometheus]
"*" = ["admin"]
"""


def made(*arguments, stdin=None):
    """What `airlane user` or `airlane token` prints: the section of the rights file, and the secret."""
    command = [os.environ["AIRLANE_BIN"], *arguments]
    ran = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)
    return ran.stdout, ran.stderr.split()[-1] if ran.stderr else None


class Guarded:
    def __init__(self, folder):
        self.rights = folder / "rights.toml"
        user, _ = made("user", "ada", stdin="correct horse\n")
        ci, self.ci = made("token", "ci")
        prometheus, self.prometheus = made("token", "prometheus")
        self.sections = user + ci + prometheus
        self.rights.write_text(self.sections + RIGHTS)
        self.server = Server(folder / "data", "--rights-file", str(self.rights))

    def login(self, client, user="ada", password="correct horse"):
        return flight.FlightCallOptions(headers=[client.authenticate_basic_token(user, password)])


def bearer(token):
    return flight.FlightCallOptions(headers=[(b"authorization", b"Bearer " + token.encode())])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    guarded = Guarded(tmp_path_factory.mktemp("access"))
    with guarded.server.start(), guarded.server.client() as client:
        options = guarded.login(client)
        put(client, "eu/prices", floats(10), options=options)
        put(client, "us/prices", floats(10), options=options)
        yield guarded


@pytest.fixture
def client(guarded):
    with guarded.server.client() as connected:
        yield connected


CALLS = {
    "do_get": lambda client, options: get(client, "eu/prices", options),
    "do_put": lambda client, options: put(client, "eu/new", floats(1), options=options),
    "get_flight_info": lambda client, options: client.get_flight_info(
        flight.FlightDescriptor.for_path("eu/prices"), options
    ),
    "get_schema": lambda client, options: client.get_schema(flight.FlightDescriptor.for_path("eu/prices"), options),
    "list_flights": lambda client, options: list(client.list_flights(options=options)),
    "list_actions": lambda client, options: client.list_actions(options),
    "do_action": lambda client, options: list(client.do_action(("describe", b"eu/prices"), options)),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("token", [None, "wrong"])
def test_s5_nobody_gets_in_without_good_credentials(client, call, token):
    options = flight.FlightCallOptions() if token is None else bearer(token)
    # pyarrow has no error of its own for what `get_schema` is refused.
    kind = OSError if call == "get_schema" else flight.FlightUnauthenticatedError
    with pytest.raises(kind) as raised:
        CALLS[call](client, options)
    assert "hint:" in str(raised.value) and "nauthenticated" in str(raised.value)


def test_a_token_reads_what_it_has_rights_for(guarded, client):
    options = bearer(guarded.ci)
    assert get(client, "eu/prices", options).num_rows == 10
    assert [b"/".join(found.descriptor.path) for found in client.list_flights(options=options)] == [b"eu/prices"]


def test_s9_a_forbidden_namespace_looks_absent(guarded, client):
    options = bearer(guarded.ci)
    texts = []
    for name in ["us/prices", "us/absent"]:
        with pytest.raises(pa.ArrowKeyError) as raised:
            get(client, name, options)
        texts.append(str(raised.value).split(". gRPC client debug context")[0].replace("us/absent", "us/prices"))
    assert texts[0] == texts[1]


def test_a_token_that_may_not_write_is_told_so(guarded, client):
    with pytest.raises(flight.FlightUnauthorizedError) as raised:
        put(client, "eu/prices", floats(1), options=bearer(guarded.ci))
    assert "`ci` may not write in the namespace `eu`" in str(raised.value)
    with pytest.raises(flight.FlightUnauthorizedError):
        list(client.do_action(("drop", b"eu/prices"), bearer(guarded.ci)))


def test_a_login_answers_a_token(guarded, client):
    options = guarded.login(client)
    put(client, "ada/t", floats(3), options=options)
    assert get(client, "ada/t", options).num_rows == 3
    names = [b"/".join(found.descriptor.path).decode() for found in client.list_flights(options=options)]
    assert {"eu/prices", "us/prices", "ada/t"} <= set(names)


@pytest.mark.parametrize(("user", "password"), [("ada", "wrong horse"), ("bob", "correct horse"), ("", "")])
def test_s2_a_wrong_password_is_refused(guarded, client, user, password):
    with pytest.raises(flight.FlightUnauthenticatedError):
        guarded.login(client, user, password)


def test_http_asks_for_credentials_where_it_has_something_to_show(guarded):
    def fetch(path, token=None):
        connection = http.client.HTTPConnection("127.0.0.1", guarded.server.port, timeout=10)
        connection.request("GET", path, headers={"authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, answer.headers.get_all("www-authenticate")

    assert fetch("/healthz")[0] == fetch("/readyz")[0] == 200
    status, challenges = fetch("/metrics")
    assert status == 401 and any(challenge.startswith("Bearer") for challenge in challenges)
    assert fetch("/metrics", guarded.ci)[0] == 403
    assert fetch("/metrics", guarded.prometheus)[0] == 200


def test_a_right_that_is_taken_away_is_gone_after_a_hangup(tmp_path):
    guarded = Guarded(tmp_path)
    with guarded.server.start(), guarded.server.client() as client:
        put(client, "eu/prices", floats(10), options=guarded.login(client))
        options = bearer(guarded.ci)
        assert get(client, "eu/prices", options).num_rows == 10
        guarded.rights.write_text(guarded.sections + RIGHTS.replace('eu = ["read"]', 'us = ["read"]'))
        guarded.server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while True:
            try:
                get(client, "eu/prices", options)
            except pa.ArrowKeyError:
                break
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # Readers whose rights did not change noticed nothing.
        assert get(client, "eu/prices", guarded.login(client)).num_rows == 10
