"""From what was measured to what is reported: medians, ratios taken round by round, and the targets."""

import statistics
from collections.abc import Callable

import msgspec

from ..verdicts import Target, paired
from . import servers
from .plan import MANY, PEER_FORMS, Cell, Plan
from .servers import DEFAULT, OFF
from .wire import TITLES, Form


class Sample(msgspec.Struct, frozen=True):
    """One cell in one round: requests a second, latencies in µs, processor time of both sides in ms a request."""

    per_second: float
    p50_us: int
    p99_us: int
    server_ms: float
    client_ms: float


Rounds = dict[Cell, list[Sample]]
"""One sample a round, all lists of the same length."""


class Row(msgspec.Struct, frozen=True):
    """One cell over all rounds: medians, and the slowest and the fastest round."""

    per_second: float
    least: float
    most: float
    p50_ms: float
    p99_ms: float
    server_ms: float
    client_ms: float


def row(samples: list[Sample]) -> Row:
    """Summarise a cell's rounds."""

    def median(of: Callable[[Sample], float]) -> float:
        return statistics.median(map(of, samples))

    return Row(
        per_second=median(throughput),
        least=min(map(throughput, samples)),
        most=max(map(throughput, samples)),
        p50_ms=median(lambda s: s.p50_us) / 1000,
        p99_ms=median(lambda s: s.p99_us) / 1000,
        server_ms=median(lambda s: s.server_ms),
        client_ms=median(lambda s: s.client_ms),
    )


def throughput(sample: Sample) -> float:
    """Requests a second."""
    return sample.per_second


def gain(rounds: Rounds, model: str, server: str) -> float:
    """Throughput as a multiple of that without batching, at many clients."""
    return paired(rounds[Cell(server, model, "binary", MANY)], rounds[Cell(OFF, model, "binary", MANY)], throughput)


def lone_cost(rounds: Rounds, model: str) -> float:
    """p50 of one client with batching as a multiple of that without."""
    return paired(rounds[Cell(DEFAULT, model, "binary", 1)], rounds[Cell(OFF, model, "binary", 1)], lambda s: s.p50_us)


def peers(rounds: Rounds, form: Form) -> list[Cell]:
    """MLServer in each configuration that was measured."""
    return [cell for cell in rounds if cell.form == form and cell.server.startswith("mlserver")]


def best_peer(rounds: Rounds, form: Form) -> Cell:
    """That which answers most."""
    return max(peers(rounds, form), key=lambda cell: row(rounds[cell]).per_second)


def over_peer(rounds: Rounds, form: Form) -> float:
    """Our throughput as a multiple of its."""
    ours = Cell(DEFAULT, "cifar10_small", form, MANY)
    return paired(rounds[ours], rounds[best_peer(rounds, form)], throughput)


def shares(rounds: Rounds, plan: Plan) -> dict[tuple[int, int], list[float]]:
    """Of each pair of workers and threads, and each column of the sweep: its part of the best in that column, 0 to 1.

    A column is a network with a number of clients; what counts is throughput, which for one client is 1 / latency.
    """
    columns: dict[tuple[str, int], dict[str, float]] = {}
    for cell in plan.sweep():
        columns.setdefault((cell.model, cell.clients), {})[cell.server] = row(rounds[cell]).per_second
    return {
        pair: [column[servers.threads(*pair)] / max(column.values()) for column in columns.values()]
        for pair in plan.pairs
    }


def winner(shares: dict[tuple[int, int], list[float]]) -> tuple[int, int]:
    """The pair of workers and threads with the greatest mean share (geometric) of the best in each column."""
    return max(shares, key=lambda pair: statistics.geometric_mean(shares[pair]))


def targets(rounds: Rounds, plan: Plan) -> list[Target]:
    """Those of the parts that were measured."""
    found = []
    if "batching" in plan.parts:
        for model, limit in (("cifar10_small", 1.0), ("dense", 3.0)):
            text = f"{model}, {MANY} clients: throughput with batching (as shipped) as a multiple of that without"
            found.append(Target(text, gain(rounds, model, DEFAULT), limit, at_least=True))
    if "single" in plan.parts:
        text = "cifar10_small, one client: p50 with batching (as shipped) as a multiple of that without"
        found.append(Target(text, lone_cost(rounds, "cifar10_small"), 1.05, at_least=False))
    if "peer" in plan.parts:
        for form in PEER_FORMS:
            text = f"cifar10_small, {MANY} clients, {TITLES[form]}: throughput as a multiple of MLServer's best"
            found.append(Target(text, over_peer(rounds, form), 2.0, at_least=True))
    return found
