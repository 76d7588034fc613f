"""What is measured, for five questions: cells of a server, a network, a form of the protocol, a number of clients."""

from collections.abc import Sequence
from typing import NamedTuple

from . import servers
from .servers import DEFAULT, MLSERVERS, OFF
from .wire import TITLES, Form

MANY = 64
PARTS = ("batching", "single", "peer", "protocols", "sweep")
BATCHED = ("cifar10_small", "dense", "iris_rf")
SWEPT = ("cifar10_small", "cifar10_large")
PEER_FORMS: tuple[Form, ...] = ("json", "grpc")
"""MLServer's REST has no binary data."""


class Cell(NamedTuple):
    """One figure to take."""

    server: str
    model: str
    form: Form
    clients: int


class Plan(NamedTuple):
    """How much of it: --quick leaves out the middle."""

    parts: Sequence[str]
    bounds: Sequence[int]
    pairs: Sequence[tuple[int, int]]
    """Of workers and threads."""
    peers: Sequence[str]
    """Names of servers."""

    def cells(self) -> list[Cell]:
        """All that is needed, each once; those that are compared stand near each other."""
        found: list[Cell] = []
        for part in self.parts:
            found += getattr(self, part)()
        return list(dict.fromkeys(found))

    def batching(self) -> list[Cell]:
        """Throughput by bound."""
        return [Cell(servers.bound(each), model, "binary", MANY) for model in BATCHED for each in self.bounds]

    def single(self) -> list[Cell]:
        """What batching costs a lone client."""
        return [Cell(server, model, "binary", 1) for model in BATCHED for server in (OFF, DEFAULT)]

    def peer(self) -> list[Cell]:
        """Ours beside MLServer in all its configurations."""
        names = [DEFAULT, *self.peers]
        return [Cell(name, "cifar10_small", form, MANY) for form in PEER_FORMS for name in names]

    def protocols(self) -> list[Cell]:
        """The three forms."""
        return [Cell(DEFAULT, "cifar10_small", form, clients) for clients in (1, MANY) for form in TITLES]

    def sweep(self) -> list[Cell]:
        """Workers and threads."""
        return [
            Cell(servers.threads(*pair), model, "binary", clients)
            for model in SWEPT
            for clients in (1, MANY)
            for pair in self.pairs
        ]


def plan(parts: Sequence[str], *, quick: bool) -> Plan:
    """The questions named."""
    default = servers.shipped()
    bounds, pairs = {1, default.max_batch}, {(1, 1), (default.workers, default.threads)}
    peers = [server.name for server in MLSERVERS]
    if quick:
        return Plan(parts, sorted(bounds), sorted(pairs), peers[:1])
    pairs |= {(workers, threads) for workers in servers.WORKERS for threads in servers.THREADS}
    return Plan(parts, sorted(bounds | {*servers.BOUNDS}), sorted(pairs), peers)
