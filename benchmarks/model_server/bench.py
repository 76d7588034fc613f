"""Takes the figures: starts the servers, proves that they answer rightly, loads them."""

import resource
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path

import grpc
import numpy as np

from .. import load
from ..process import Running
from . import wire
from .figures import Sample
from .networks import Array, Case
from .plan import Cell
from .relay import Relay
from .servers import Server

TOLERANCE = 1e-4
"""Relative and absolute: a batch adds up in another order than a row alone."""


class Bench:
    """What all measurements share: the networks, the seconds of one load, and a folder for files."""

    def __init__(self, cases: dict[str, Case], seconds: int, scratch: Path) -> None:
        self._cases = cases
        self._expected = {name: case.expected() for name, case in cases.items()}
        self._seconds = seconds
        self._scratch = scratch

    def start(self, stack: ExitStack, server: Server, cells: Sequence[Cell]) -> Running:
        """Start a server, check its answers to many callers at a time, warm it up and leave it paused.

        Raises: RuntimeError if it does not start, or answers other than ONNX Runtime.
        """
        scratch = self._scratch / server.name
        scratch.mkdir()
        values = {
            "models": ":".join(str(case.folder) for case in self._cases.values()),
            "small": str(self._cases["cifar10_small"].folder / "model.onnx"),
        }
        running = stack.enter_context(Running(server.name, server.command, server.environment, values, scratch))
        for form, model in dict.fromkeys((cell.form, cell.model) for cell in cells):
            case = self._cases[model]
            running.until(partial(_answers, running, wire.request(form, case, case.rows[0])))
            verify(server.name, running.ports, form, case, self._expected[model])
            self._load(
                running.ports, max(cell for cell in cells if (cell.form, cell.model) == (form, model)), seconds=1
            )
        running.until(running.at_rest)
        running.pause()
        return running

    def sample(self, running: Running, cell: Cell) -> Sample:
        """One figure. Raises: RuntimeError if a request fails."""
        running.resume()
        case = self._cases[cell.model]
        wire.ask(wire.request(cell.form, case, case.rows[0]), running.ports)
        server, client = running.cpu_seconds(), _client_seconds()
        found = self._load(running.ports, cell, self._seconds)
        server = running.cpu_seconds() - server
        client = found.cpu_us / 1e6 or _client_seconds() - client  # of gRPC's, importing is not counted
        running.pause()
        each = 1000 / found.requests
        return Sample(found.per_second, found.p50_us, found.p99_us, server * each, client * each)

    def sizes(self, running: Running, cell: Cell) -> tuple[float, float]:
        """Bytes of a request and of its answer in TCP, framing included: means over a second."""
        running.resume()
        with Relay(running.ports[1 if cell.form == "grpc" else 0]) as relay:
            found = self._load([relay.port, relay.port], cell, seconds=1)
        running.pause()
        return relay.sent / found.requests, relay.received / found.requests

    def _load(self, ports: Sequence[int], cell: Cell, seconds: int) -> load.Load:
        case = self._cases[cell.model]
        request = wire.request(cell.form, case, case.rows[0])
        body = self._scratch / f"{cell.model}.{cell.form}"
        body.write_bytes(request.body)
        return load.run(command(request, ports, body, cell.clients, seconds))


def verify(name: str, ports: Sequence[int], form: wire.Form, case: Case, expected: Array) -> None:
    """Ask for different rows at the same time, so that those that share a batch must not be mixed up.

    Raises: RuntimeError if an answer is another than expected.
    """
    requests = [wire.request(form, case, row) for row in case.rows]
    with ThreadPoolExecutor(len(requests)) as pool:
        found = np.stack(list(pool.map(lambda request: wire.ask(request, ports), requests)))
    if not np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE):
        far = np.abs(found - expected).max()
        raise RuntimeError(f"{name} answers {case.name} by {form} up to {far:g} beside ONNX Runtime.")


def command(request: wire.Request, ports: Sequence[int | str], body: Path, clients: int, seconds: int) -> list[str]:
    """What makes the load: wrk for REST, our own client for gRPC."""
    if request.form == "grpc":
        words = [ports[1], body, clients, seconds]
        return [sys.executable, "-m", "benchmarks.model_server.grpc_load", *map(str, words)]
    headers = [f"{name}: {value}" for name, value in request.headers.items()]
    return load.command(str(ports[0]), request.path, f"@{body}", seconds, connections=clients, headers=headers)


def _answers(running: Running, request: wire.Request) -> bool:
    with suppress(OSError, ValueError, HTTPException, grpc.RpcError):  # not listening yet, or no model yet
        wire.ask(request, running.ports)
        return True
    return False


def _client_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
