"""Takes the figures: starts the processes, proves that chain and single process answer alike, loads them."""

import http.client
import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from .. import load
from ..process import Running
from .deployments import PROCESSES, TARGETS, Target


class Cell(NamedTuple):
    """One figure: what is asked, by how many at a time."""

    target: str
    clients: int


class Sample(msgspec.Struct, frozen=True):
    """One round of a cell. `cpu_ms` is the processor time that a request takes of all processes together."""

    per_second: float
    p50_us: int
    p99_us: int
    cpu_ms: float


class Bench:
    """The processes, started one after the other in the stack and warm. Raises: RuntimeError if one does not start."""

    def __init__(self, stack: ExitStack, models: Path, seconds: int, scratch: Path) -> None:
        self._seconds = seconds
        self._running: dict[str, Running] = {}
        values = {
            "model": str(models / "iris_svc" / "model.onnx"),
            "outlier_model": str(models / "iris_outlier" / "model.onnx"),
        }
        for process in PROCESSES:
            folder = scratch / process.name
            folder.mkdir()
            known = values | {name: str(running.port) for name, running in self._running.items()}
            running = Running(process.name, process.command, process.environment, known, folder)
            self._running[process.name] = stack.enter_context(running)
            running.until_ready()
        for target in TARGETS:
            self.sample(target, 8)
        for running in self._running.values():
            running.until(running.at_rest)

    def require_agreement(self) -> None:
        """Raises: RuntimeError if the chain and the single process do not answer a target alike."""
        asked: dict[str, Any] = {}
        for target in TARGETS:
            if target.path == "/predict" and (
                asked.setdefault(target.body, found := self._ask(target)) != found  # the models are the same files
            ):
                raise RuntimeError(f"{target.name} answers {found}, and another {asked[target.body]}.")

    def sample(self, target: Target, clients: int) -> Sample:
        """One figure. Raises: RuntimeError if a request fails."""
        before = self._cpu_seconds(target)
        port = str(self._running[target.process].port)
        found = load.run(load.command(port, target.path, target.body, self._seconds, connections=clients))
        used = self._cpu_seconds(target)
        cpu_ms = sum(used[name] - before[name] for name in used) * 1000 / found.requests
        return Sample(found.per_second, found.p50_us, found.p99_us, cpu_ms)

    def _cpu_seconds(self, target: Target) -> Mapping[str, float]:
        return {name: self._running[name].cpu_seconds() for name in target.working}

    def _ask(self, target: Target) -> Any:  # noqa: ANN401  # whatever is answered
        connection = http.client.HTTPConnection("127.0.0.1", self._running[target.process].port, timeout=10)
        try:
            connection.request("POST", target.path, target.body, {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()
