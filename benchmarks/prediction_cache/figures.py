"""What is computed from what was measured."""

import statistics
from collections.abc import Sequence

import msgspec

from ..verdicts import Target

HIT_SHARE = 1 / 10
HITS_PER_SECOND = 6000


class Times(msgspec.Struct, frozen=True):
    """Of one round of requests, one after another: milliseconds."""

    n: int
    p50_ms: float
    p99_ms: float
    mean_ms: float


class Traffic(msgspec.Struct, frozen=True):
    """One round of traffic: its times, the share of hits, processor milliseconds of a request, calls of the model."""

    times: Times
    hit_rate: float
    cpu_ms: float
    calls: int


class Stampede(msgspec.Struct, frozen=True):
    """One round of identical requests at once: calls of the model, milliseconds until the last has its answer."""

    calls: int
    last_ms: float


def times(milliseconds: Sequence[float]) -> Times:
    """Raises: statistics.StatisticsError of fewer than two."""
    percentiles = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return Times(len(milliseconds), percentiles[49], percentiles[98], statistics.fmean(milliseconds))


def break_even(hit_ms: float, miss_ms: float, without_ms: float) -> float:
    """The hit rate from which the cache gains: h · hit + (1 - h) · miss = without. 0 if a miss costs nothing more.

    Above 1, a hit is dearer than no cache.
    """
    if miss_ms <= without_ms:
        return 0.0
    if miss_ms <= hit_ms:
        return float("inf")
    return (miss_ms - without_ms) / (miss_ms - hit_ms)


AS_SHIPPED = "cache × 2"
"""The variant that `make run` starts: two workers, and no memory in the process."""


def targets(hit_ms: Sequence[float], miss_ms: Sequence[float], hits: dict[str, float]) -> list[Target]:
    """What was promised. hit_ms, miss_ms: the medians of each round; hits: hits a second by variant."""
    ratio = statistics.median(hit / miss for hit, miss in zip(hit_ms, miss_ms, strict=True))
    return [
        Target("p50 of a hit, of a miss with cifar10_large", ratio, HIT_SHARE, at_least=False),
        Target(f"hits a second on two cores ({AS_SHIPPED})", hits[AS_SHIPPED], HITS_PER_SECOND, at_least=True),
    ]
