"""Takes the figures: starts the processes, loads them, and times single requests for the tail."""

import http.client
import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec

from mlsys.iris import LABELS

from .. import load
from ..process import Running
from .processes import Process

BODY = '{"data": [[5.1, 3.5, 1.4, 0.2]]}'
MANY = 32
CALLERS = 4


class Sample(msgspec.Struct, frozen=True):
    """One round of a server under load: of one client the median in microseconds, of many the requests a second."""

    p50_us: int
    per_second: float = 0.0
    p99_us: int = 0


class Tail(msgspec.Struct, frozen=True):
    """One round of a way to cut the tail: milliseconds of each request, and the share with all three predictions."""

    ms: list[float]
    complete: float


class Bench:
    """The started processes by name, in a folder for their logs."""

    def __init__(self, stack: ExitStack, scratch: Path) -> None:
        self._stack = stack
        self._scratch = scratch
        self._running: dict[str, Running] = {}

    def start(self, processes: Iterable[Process]) -> None:
        """Start them, and wait until they are ready. Raises: RuntimeError if one does not start."""
        for process in processes:
            known = {name: str(one.port) for name, one in self._running.items()}
            scratch = self._scratch / process.name.replace(" ", "_")
            scratch.mkdir()
            one = Running(process.name, process.command, process.environment, known, scratch)
            self._running[process.name] = self._stack.enter_context(one)
        for process in processes:
            one = self._running[process.name]
            one.until_ready()
            one.until(one.at_rest)

    def one_client(self, process: Process, seconds: int) -> int:
        """Median microseconds of one client's requests. Raises: RuntimeError if a request fails."""
        return self._load(process, seconds, 1).p50_us

    def sample(self, process: Process, seconds: int) -> Sample:
        """Of one client and of many. Raises: RuntimeError if a request fails."""
        one, many = self.one_client(process, seconds), self._load(process, seconds, MANY)
        return Sample(one, many.per_second, many.p99_us)

    def tail(self, process: Process, requests: int) -> Tail:
        """Each of so many requests, by some clients at a time. Raises: RuntimeError if one is refused.

        One that nobody answered in time is timed as well, and is not complete.
        """
        port = self._running[process.name].port
        with ThreadPoolExecutor(CALLERS) as pool:
            parts = list(pool.map(lambda _: _timed(port, requests // CALLERS), range(CALLERS)))
        found = [one for part in parts for one in part]
        return Tail([ms for ms, _ in found], sum(whole for _, whole in found) / len(found))

    def _load(self, process: Process, seconds: int, connections: int) -> load.Load:
        port = str(self._running[process.name].port)
        return load.run(load.command(port, "/predict", BODY, seconds, connections=connections))


def _timed(port: int, count: int) -> list[tuple[float, bool]]:
    """Milliseconds of each request over one connection, and whether all services are in its answer."""
    connection, found = http.client.HTTPConnection("127.0.0.1", port, timeout=10), []
    try:
        for _ in range(count):
            began = time.perf_counter()
            connection.request("POST", "/predict", BODY, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            ms = (time.perf_counter() - began) * 1000
            if response.status not in (http.client.OK, http.client.GATEWAY_TIMEOUT):
                raise RuntimeError(f"A request was answered by {response.status}: {answer!r}")
            content = json.loads(answer)
            found.append((ms, all("prediction" in content.get(name, {}) for name in LABELS)))
    finally:
        connection.close()
    return found
