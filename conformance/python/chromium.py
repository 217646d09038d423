"""Chromium without a window, driven over two pipes by its own protocol (Chrome DevTools Protocol)."""

import itertools
import json
import os
import subprocess
import threading

SECONDS_MAX = 120


class Chromium:
    """One page. It resolves no name, so it reaches the loopback by number and nothing else."""

    def __init__(self, folder):
        self.log_path = folder / "chromium.log"
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # The pipes are expected as the descriptors 3 and 4, which a shell can say.
        shell = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'
        flags = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"]
        flags += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={folder / 'profile'}"]
        flags += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-proxy-server"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", shell, str(theirs_in), str(theirs_out), "chromium", *flags, "about:blank"],
                pass_fds=[theirs_in, theirs_out],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in = os.fdopen(ours_in, "rb")
        self._out = os.fdopen(ours_out, "wb", buffering=0)
        self._numbers = itertools.count(1)
        self._session = None
        # A browser that hangs is ended, which ends every wait for it.
        self._watch = threading.Timer(SECONDS_MAX, self.process.kill)
        self._watch.start()
        pages = self.call("Target.getTargets")["targetInfos"]
        page = next(found["targetId"] for found in pages if found["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._watch.cancel()
        self._out.close()
        self._in.close()
        self.process.terminate()
        self.process.wait(timeout=60)

    def call(self, method, **parameters):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            # Events come in between.
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self):
        found = bytearray()
        while (byte := self._in.read(1)) != b"\0":
            assert byte, f"Chromium has ended:\n{self.log_path.read_text(errors='replace')}"
            found += byte
        return json.loads(found)

    def evaluate(self, expression):
        """The value of an expression, waited for if it is a promise."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, url):
        self.call("Page.enable")
        self.call("Page.navigate", url=url)
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def choose(self, selector, path):
        """What a person does in the dialog of a file input."""
        document = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])
