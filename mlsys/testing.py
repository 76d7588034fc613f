"""The pytest plugin: what tests of several patterns need. Loaded by the conftest.py in the root."""
# ruff: noqa: S101  # assertions are what this module is for

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

import psutil
import pytest

from . import pictures
from .catalogue import ROOT
from .edge import App, Message
from .ports import free_port

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, deadline_s: float, every_s: float = 0.02) -> T:
    """Call `condition` until its result is true, and return that result.

    Raises: AssertionError naming the condition and its last result after `deadline_s` seconds.
    """
    end = time.monotonic() + deadline_s
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{condition} was still {result!r} after {deadline_s} s")
        time.sleep(every_s)
    return result


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of the model files, <name>/model.onnx, and of the sample pictures, as `make models` makes them.

    It is not `models/`: what a person trained there with other parameters must neither decide a test nor be lost by it.
    """
    folder = ROOT / ".run" / "models"
    command = [sys.executable, "-m", "mlsys.train", "all", "--test_size", "0.3", "--output", str(folder)]
    subprocess.run(command, cwd=ROOT, env=unmeasured(), check=True, stdout=subprocess.DEVNULL)
    pictures.write(folder / "pictures")
    return folder


def unmeasured() -> dict[str, str]:
    """The variables for a child whose code is not to be measured by coverage, with which it takes twice as long: where
    it only prepares, or does again what is measured elsewhere.
    """
    return {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}


class Answer(NamedTuple):
    """What an app answered. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401  # whatever the app answers
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """What is inside the error envelope. Raises: AssertionError if the body is no error envelope."""
        error: dict[str, Any] = self.json["error"]
        assert set(self.json) == {"error"}
        assert {"code", "message", "request_id"} <= set(error) <= {"code", "message", "request_id", "details"}
        assert error["request_id"] == self.headers["x-request-id"]
        return error


def call(
    app: App, method: str, path: str, body: bytes | Sequence[bytes] = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    """Send one request to an ASGI app in this process, as the very bytes given; a sequence is a chunked body.

    Unless `headers` is given, the body is declared to be JSON. The path may end in a query. After the body the caller
    waits, and does not leave.
    """
    named = {"content-type": "application/json"} if headers is None else dict(headers)
    if isinstance(body, bytes):
        named.setdefault("content-length", str(len(body)))
        chunks: Sequence[bytes] = [body]
    else:
        named["transfer-encoding"] = "chunked"
        chunks = body
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages[-1]["more_body"] = False
    return asyncio.run(exchange(app, method, path, messages, named))


async def exchange(app: App, method: str, path: str, messages: Iterable[Message], headers: Mapping[str, str]) -> Answer:
    """Hand one request to an ASGI app, in the messages given. The answer's status is 0 if there was none."""
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    for message in messages:
        incoming.put_nowait(message)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    await app(scope, incoming.get, send)
    if not sent:
        return Answer(0, {}, b"")
    received = {name.decode().lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], received, b"".join(message.get("body", b"") for message in sent[1:]))


class Server:
    """A service in processes of its own, started by `python -m mlsys.serve`, in a process group of its own.

    `log` is the file that gets what it prints, standard output and standard error both.
    """

    def __init__(self, target: str, log: Path, environment: Mapping[str, str]) -> None:
        self.port = int(environment["PORT"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlsys.serve", target],
                cwd=ROOT,
                env={"PYTHONPATH": str(ROOT), **os.environ, "TMPDIR": str(log.parent), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def get(self, path: str) -> Answer:
        """GET, on a connection of its own. Raises: OSError if there is no answer within 10 s."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Whether /ready says so. Raises: AssertionError with the log if the process has ended."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/ready").status == 200
        except OSError:
            return False

    def workers(self) -> list[int]:
        """Ids of the worker processes, without those that are dead and not yet buried."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # a zombie has no command line
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child.pid)
        return found

    def stop(self, number: int = signal.SIGTERM, *, deadline_s: float = 15) -> int:
        """Send the signal to the first process, wait for its end, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(deadline_s)

    def kill(self) -> None:
        """End whatever is left of the process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def run_demo(module: str, url: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a pattern's demo (`chapter….pattern`) against the service at the URL, to its end, at most 120 s."""
    return subprocess.run(
        [sys.executable, "-m", f"{module}.demo"],
        cwd=ROOT,
        env={**os.environ, "URL": url, "COLUMNS": "160", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """`start(target, **environment)` starts a service on a free port and does not wait; the test's end kills it."""
    started: list[Server] = []

    def start(target: str, **environment: str) -> Server:
        log = tmp_path / f"server-{len(started)}.log"
        started.append(Server(target, log, {"PORT": str(free_port()), **environment}))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def serve(start: Callable[..., Server]) -> Callable[..., Server]:
    """As `start`, and waits until the service is ready."""

    def serve(target: str, **environment: str) -> Server:
        server = start(target, **environment)
        eventually(server.is_ready, deadline_s=20)
        return server

    return serve
