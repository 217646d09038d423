"""Starts the services of `examples/fastapi` before a server, each on a free port, and ends them by their process ids."""

import http.client
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
FASTAPI = ROOT / "examples/fastapi"


class Service:
    """`uvicorn NAME:app`. The socket is bound here, so its port is free and takes connections from the first moment on."""

    def __init__(self, name, airlane, log_path):
        self.log_path = log_path
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        command = [sys.executable, "-m", "uvicorn", f"{name}:app", "--fd", str(listener.fileno())]
        environment = os.environ | {"AIRLANE_URL": airlane, "PYTHONDONTWRITEBYTECODE": "1"}
        with listener, open(log_path, "wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=FASTAPI,
                env=environment,
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, headers=None):
        """The status, the headers and the body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, quote(path, safe="/?=&@"), body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except OSError as error:
            raise AssertionError(f"{error}\n{self.log()}") from error
        finally:
            connection.close()

    def ask_json(self, method, path, body=None, headers=None):
        if isinstance(body, dict):
            body, headers = json.dumps(body), {"content-type": "application/json"}
        status, _, answer = self.ask(method, path, body, headers)
        return status, json.loads(answer)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=60)
