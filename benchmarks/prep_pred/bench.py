"""Takes the figures: starts the processes, proves that all answer alike, loads them."""

import http.client
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from .. import load
from ..process import Running
from .deployments import Deployment

TOLERANCE = 1e-5


class Cell(NamedTuple):
    """One figure: who is asked, with what, by how many at a time."""

    deployment: str
    payload: str
    clients: int


class Sample(msgspec.Struct, frozen=True):
    """One round of a cell. `cpu_ms` is the processor time that a request takes of each process, by its name."""

    per_second: float
    p50_us: int
    p99_us: int
    cpu_ms: dict[str, float]

    @property
    def cpu(self) -> float:
        """Of all processes together."""
        return sum(self.cpu_ms.values())


class Bench:
    """What all measurements share: payloads, the seconds of one load, and a folder for files."""

    def __init__(self, payloads: dict[str, tuple[str, bytes]], seconds: int, scratch: Path) -> None:
        self._kinds = {name: kind for name, (kind, _) in payloads.items()}
        self._contents = {name: content for name, (_, content) in payloads.items()}
        self._files = {name: scratch / f"payload-{number}" for number, name in enumerate(payloads)}
        for name, file in self._files.items():
            file.write_bytes(self._contents[name])
        self._seconds = seconds
        self._scratch = scratch

    def start(self, stack: ExitStack, deployment: Deployment, values: dict[str, str]) -> list[Running]:
        """Start, warm up and pause the processes. Raises: RuntimeError if they do not start."""
        running: list[Running] = []
        for process in deployment.processes:
            known = values | ({"pred": str(running[-1].ports[1])} if running else {})
            scratch = self._scratch / f"{deployment.name.replace(' ', '_')}-{process.name}"
            scratch.mkdir()
            one = Running(process.name, process.command, process.environment, known, scratch)
            running.append(stack.enter_context(one))
            one.until_ready()
        for payload in self._kinds:
            self._load(running[-1].port, payload, 8, self._seconds)
        running[-1].until(running[-1].at_rest)
        pause(running)
        return running

    def answers(self, running: list[Running]) -> dict[str, list[float]]:
        """The probabilities of each payload."""
        resume(running)
        found = {name: self._ask(running[-1].port, name) for name in self._kinds}
        pause(running)
        return found

    def sample(self, running: list[Running], cell: Cell) -> Sample:
        """One figure. Raises: RuntimeError if a request fails."""
        resume(running)
        self._ask(running[-1].port, cell.payload)
        before = [each.cpu_seconds() for each in running]
        found = self._load(running[-1].port, cell.payload, cell.clients, self._seconds)
        used = {
            each.name: (each.cpu_seconds() - then) * 1000 / found.requests
            for each, then in zip(running, before, strict=True)
        }
        pause(running)
        return Sample(found.per_second, found.p50_us, found.p99_us, used)

    def _load(self, port: int, payload: str, clients: int, seconds: int) -> load.Load:
        headers = [f"Content-Type: {self._kinds[payload]}"]
        file = f"@{self._files[payload]}"
        return load.run(load.command(str(port), "/predict", file, seconds, connections=clients, headers=headers))

    def _ask(self, port: int, payload: str) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("POST", "/predict", self._contents[payload], {"Content-Type": self._kinds[payload]})
            probabilities: list[float] = json.loads(connection.getresponse().read())["prediction"]
            return probabilities
        finally:
            connection.close()


def require_agreement(answers: Sequence[dict[str, list[float]]]) -> None:
    """Raises: RuntimeError if not all deployments answer every payload alike."""
    for payload, expected in answers[0].items():
        for other in answers[1:]:
            if not np.allclose(other[payload], expected, rtol=0, atol=TOLERANCE):
                raise RuntimeError(f"{payload} is answered {expected} and {other[payload]}.")


def pause(running: list[Running]) -> None:
    """Stop the clocks, of those who ask first."""
    for each in reversed(running):
        each.pause()


def resume(running: list[Running]) -> None:
    """Let them go on, those who are asked first."""
    for each in running:
        each.resume()
