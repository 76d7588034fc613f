"""What is measured, and what comes of it."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

MODELS = SMALL, LARGE = "cifar10_small", "cifar10_large"
DIRECT, TOLD, POLLED = "model server, asked directly", "job, told by an event", "job, polled"
ALONE, DRAINED, WHOLE = "model server alone", "workers, queue filled before", "API and workers"
BY_API, BY_CALL = "POST /predict", "Jobs.enqueue"
LATENCY, THROUGHPUT, ENQUEUEING = (DIRECT, TOLD, POLLED), (ALONE, DRAINED, WHOLE), (BY_API, BY_CALL)


class Cell(NamedTuple):
    """One figure: which model, and what is done."""

    model: str
    what: str


class Sample(msgspec.Struct, frozen=True):
    """One round of a cell: times of single jobs, or jobs a second with the processor time for one, by process."""

    p50_us: int = 0
    p99_us: int = 0
    per_second: float = 0.0
    cpu_ms: dict[str, float] = {}


CELLS = [
    *(Cell(model, what) for model in MODELS for what in (*LATENCY, *THROUGHPUT)),
    *(Cell(SMALL, what) for what in ENQUEUEING),
]
Rounds = dict[Cell, list[Sample]]


def times(seconds: Sequence[float]) -> Sample:
    """Median and 99th percentile."""
    ordered = sorted(seconds)
    p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    return Sample(p50_us=round(p50 * 1e6), p99_us=round(p99 * 1e6))


def rate(jobs: int, seconds: float, used: dict[str, float]) -> Sample:
    """Jobs a second, and the milliseconds of each process's time for one."""
    if not jobs:
        raise RuntimeError(f"Nothing was done in {seconds:.1f} s.")
    return Sample(per_second=jobs / seconds, cpu_ms={name: spent * 1000 / jobs for name, spent in used.items()})
