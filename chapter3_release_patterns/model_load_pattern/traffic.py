"""Callers that ask at a steady rate, and what they were answered: the load of the demo."""

import http.client
import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

from mlsys import iris

CALLERS = 4
EVERY_S = 0.01
_BODY = json.dumps({"data": iris.SAMPLE})


class Answer(NamedTuple):
    """One request: when it was sent (seconds since the start), how long it took, and which model answered.

    status is 0 where there was no answer.
    """

    at: float
    ms: float
    status: int
    sha256: str


class Traffic:
    """CALLERS callers, each of which asks every EVERY_S seconds, or as soon as it has its answer."""

    def __init__(self, url: str) -> None:
        self._place = urlsplit(url).netloc
        self._done = threading.Event()
        self._began = time.monotonic()
        self.answers: list[Answer] = []

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Ask until the end of the block."""
        threads = [threading.Thread(target=self._ask) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in threads:
                thread.join()

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def between(self, begin: float, end: float) -> list[Answer]:
        """What was asked in that time."""
        return [answer for answer in list(self.answers) if begin <= answer.at < end]

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._place, timeout=10)
        while not self._done.is_set():
            at, status, sha256 = self.now(), 0, ""
            try:
                connection.request("POST", "/predict", _BODY, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                status, sha256 = response.status, response.headers.get("x-model-sha256", "")
            except (OSError, http.client.HTTPException):
                connection.close()  # the failure is what is counted; the next request opens another
            took = self.now() - at
            self.answers.append(Answer(at, took * 1000, status, sha256))
            self._done.wait(max(0.0, EVERY_S - took))
        connection.close()


def failed(answers: list[Answer]) -> int:
    """How many were not answered by 200."""
    return sum(answer.status != 200 for answer in answers)


def percentile(answers: list[Answer], percent: int) -> float:
    """Milliseconds that so many per cent of the requests took at most."""
    return statistics.quantiles([answer.ms for answer in answers], n=100)[percent - 1]
