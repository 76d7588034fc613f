"""What the demo's callers do: they send pictures, and one of them keeps looking at the queue."""

import base64
import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from mlsys import pictures

CALLERS = 4
EVERY_S = 0.1
NONSENSE = b"no picture"


class Answer(NamedTuple):
    """One request: its answer, and how long it took."""

    status: int
    headers: dict[str, str]
    json: Any
    ms: float


class Look(NamedTuple):
    """The queue at a moment (seconds since the start): jobs not done, jobs by worker, and the watched job's state."""

    at: float
    depth: int
    workers: dict[str, int]
    watched: dict[str, Any] | None


class Caller:
    """One kept-alive connection. Raises: OSError if there is no answer within 10 s."""

    def __init__(self, netloc: str) -> None:
        self._connection = http.client.HTTPConnection(netloc, timeout=10)

    def ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """One request, with a body that is JSON."""
        began = time.perf_counter()
        self._connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = self._connection.getresponse()
        content = response.read()
        took = (time.perf_counter() - began) * 1000
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, json.loads(content), took)


class Traffic:
    """All callers of the service at netloc. looks: what was seen so far; watched: the job that is looked at too."""

    def __init__(self, netloc: str) -> None:
        self.netloc = netloc
        self._began = time.monotonic()
        self._done = threading.Event()
        self.looks: list[Look] = []
        self.watched: str | None = None

    def now(self) -> float:
        """Seconds since the first look."""
        return time.monotonic() - self._began

    def ask(self, requests: Sequence[tuple[str, str, bytes | None]]) -> list[Answer]:
        """Send requests (method, path, body) by CALLERS connections at a time; the answers are in their order."""
        with ThreadPoolExecutor(CALLERS) as pool:
            parts = pool.map(self._ask, (requests[number::CALLERS] for number in range(CALLERS)))
        answers: list[Answer | None] = [None] * len(requests)
        for number, part in enumerate(parts):
            answers[number::CALLERS] = part
        return [answer for answer in answers if answer]

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look at the queue every EVERY_S seconds, until the end of the block."""
        self._done.clear()
        self._began = time.monotonic()
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _ask(self, requests: Sequence[tuple[str, str, bytes | None]]) -> list[Answer]:
        caller = Caller(self.netloc)
        return [caller.ask(*request) for request in requests]

    def _look(self) -> None:
        caller = Caller(self.netloc)
        with suppress(OSError):  # the callers that send notice it too, and tell
            while not self._done.wait(EVERY_S):
                at, watched = self.now(), self.watched
                queue = caller.ask("GET", "/queue").json
                job = caller.ask("GET", f"/job/{watched}").json[watched] if watched else None
                self.looks.append(Look(at, queue["depth"], queue["workers"], job))


def upload(traffic: Traffic, bodies: list[bytes]) -> list[Answer]:
    """The answers to uploads."""
    return traffic.ask([("POST", "/predict", body) for body in bodies])


def photographs(count: int) -> list[bytes]:
    """The bodies of requests."""
    each = [body_of(pictures.content(name)) for name in pictures.NAMES]
    return [each[number % len(each)] for number in range(count)]


def body_of(picture: bytes) -> bytes:
    """A request's body."""
    return json.dumps({"image_data": base64.b64encode(picture).decode()}).encode()


def ids(uploads: list[Answer]) -> list[str]:
    """The jobs that were accepted."""
    return [answer.json["job_id"] for answer in uploads if answer.status == 200]
