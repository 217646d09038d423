"""A server of one's own, for tests and scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import _binary
from ._client import Client, connect

if TYPE_CHECKING:
    import types

_READY_EVERY = 0.01
#: Seconds that a server has to end before it is killed.
_ENDING = 60.0


def serve(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    port: int = 0,
    args: Sequence[str] = (),
    ready_timeout: float = 60.0,
) -> Server:
    """Starts the server of the package on the loopback interface; ``with`` stops it.

    Args:
        data_dir: The folder of its tables; ``None``: a temporary one, which goes with the server.
        port: Its port; 0 takes a free one.
        args: What else ``airlane serve`` takes.
        ready_timeout: Seconds after which a server that does not listen is given up.

    Raises:
        FileNotFoundError: The package was built without the server.
        RuntimeError: It ended at once, or does not listen; the text has its log.
    """
    return Server(data_dir, port, args, ready_timeout)


class Server:
    """A running server. It is stopped by its process id: by :meth:`stop`, at the end of ``with``, or with the interpreter.

    A process that was forked from the one that started it can use it, and does not stop it.
    """

    def __init__(self, data_dir: str | os.PathLike[str] | None, port: int, args: Sequence[str], ready_timeout: float) -> None:
        program = _binary.path()
        scratch = Path(tempfile.mkdtemp(prefix="airlane-"))
        self._log = scratch / "log"
        port_file = scratch / "port"
        folder = Path(data_dir) if data_dir is not None else scratch / "data"
        command = [str(program), "serve", "--port", str(port), "--port-file", str(port_file), "--data-dir", str(folder), *args]
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._made_in = os.getpid()
        self._end = weakref.finalize(self, _end, self._process, scratch, self._made_in)
        try:
            self._port = self._wait(port_file, ready_timeout)
        except BaseException:
            self.stop()
            raise

    @property
    def port(self) -> int:
        """Its port."""
        return self._port

    @property
    def url(self) -> str:
        """Its address."""
        return f"grpc://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def connect(self) -> Client:
        """A client of it, without credentials."""
        return connect(self.url)

    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")

    def stop(self) -> int:
        """Asks it to end, waits for it, and answers its exit code. A server that does not end within a minute is killed.

        Raises:
            RuntimeError: In another process than the one that started it.
        """
        if os.getpid() != self._made_in:
            raise RuntimeError("the server belongs to the process that started it")
        self._end()
        return self._process.wait()

    def _wait(self, port_file: Path, timeout: float) -> int:
        end = time.monotonic() + timeout
        while True:
            text = port_file.read_text().strip() if port_file.exists() else ""
            if text:
                return int(text)
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with {self._process.returncode}:\n{self.log()}")
            if time.monotonic() > end:
                raise RuntimeError(f"the server does not listen after {timeout} s:\n{self.log()}")
            time.sleep(_READY_EVERY)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        # A child that was forked inside `with` leaves it too, and must not stop what is its parent's.
        if os.getpid() == self._made_in:
            self.stop()


def _end(process: subprocess.Popen[bytes], scratch: Path, made_in: int) -> None:
    # A child inherits this, to be run at its end; what it would stop and remove is its parent's.
    if os.getpid() != made_in:
        return
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    shutil.rmtree(scratch, ignore_errors=True)
