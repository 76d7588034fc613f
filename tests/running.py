"""A pattern as a person runs it: `make run` in its folder, on free ports instead of its own."""

import contextlib
import http.client
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mlsys import folder, ports, secret
from mlsys.catalogue import ROOT
from mlsys.testing import Answer, eventually


class Running:
    """The processes that one `make run` started; what they print goes to `log`."""

    def __init__(self, directory: Path, log: Path, **environment: str) -> None:
        defaults = {"PORT": 8000, **folder.ports(directory)}
        chosen = ports.free(defaults)
        self.port = chosen["PORT"]
        self.log = log
        self._directory = directory
        self._moved = {default: chosen[name] for name, default in defaults.items()}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["make", "run", *(f"{name}={port}" for name, port in chosen.items())],
                cwd=directory,
                env=os.environ | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @classmethod
    @contextlib.contextmanager
    def ready(cls, directory: Path, log: Path, **environment: str) -> Iterator["Running"]:
        """The pattern, ready; stopped at the end. What it keeps, its database too, is its own and new."""
        run = cls(directory, log, **{"RUN_PATH": str(log.parent / "kept"), **environment})
        try:
            eventually(run.is_ready, deadline_s=60)
            yield run
        finally:
            if run.process.poll() is None:
                run.stop()

    def is_ready(self) -> bool:
        """Whether /ready answers. Raises: AssertionError with the log if the process has ended."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("GET", "/ready").status == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Send one request with a body declared to be JSON. Raises: OSError if there is no answer within 10 s."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if method != "GET" else {})
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
        finally:
            connection.close()

    def printed(self, command: str) -> str:
        """What a command of the README prints in a shell at the root that has the pattern's secrets, told to use the
        ports that were free.
        """
        typed = re.sub(r":(\d+)\b", lambda port: f":{self._moved.get(int(port[1]), port[1])}", command)
        done = subprocess.run(
            ["bash", "-c", typed],
            cwd=ROOT,
            env=os.environ | secret.read(self._directory),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.strip()

    def stop(self) -> int:
        """Ctrl-C, as a terminal sends it: to the whole foreground process group. The exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=30)
