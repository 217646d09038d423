"""Starts the server, finds its port, and ends it by its process id."""

import http.client
import os
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.flight as flight

READY_SECONDS_MAX = 60


class Server:
    """`airlane serve` on a free port of the loopback interface."""

    def __init__(self, data_dir: Path, *arguments: str):
        self.data_dir = Path(data_dir)
        self.arguments = arguments
        self.process = None
        self.port = None
        self.log_path = self.data_dir.parent / f"{self.data_dir.name}.log"

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        port_file = self.data_dir.parent / f"{self.data_dir.name}.port"
        port_file.unlink(missing_ok=True)
        command = [os.environ["AIRLANE_BIN"], "serve", "--port", "0"]
        command += ["--port-file", str(port_file), "--data-dir", str(self.data_dir), *self.arguments]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not (port_file.exists() and port_file.read_text().strip()):
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log()}")
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server is not ready:\n{self.log()}")
            time.sleep(0.01)
        self.port = int(port_file.read_text())
        return self

    def client(self, **options) -> flight.FlightClient:
        return flight.connect(f"grpc://127.0.0.1:{self.port}", **options)

    def metric(self, name) -> float:
        """The sum of a metric over its labels, or of one with these; it must be there."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        found = [line.rsplit(" ", 1) for line in lines if line.startswith((name + " ", name + "{"))]
        assert found, f"/metrics has no {name}"
        return sum(float(value) for _, value in found)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def kill(self):
        """What a crash looks like: no time to finish anything."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Asks it to end, as a service manager does; answers its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, sign) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(sign)
        code = self.process.wait(timeout=60)
        self.process = None
        return code

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))
