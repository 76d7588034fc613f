"""From what was measured to what is reported: medians, ratios taken round by round, and the targets."""

import statistics
from collections.abc import Callable

import msgspec

from ..verdicts import Target, paired

MEGABYTE = 1e6


class Sample(msgspec.Struct, frozen=True):
    """One server in one round: requests a second, latencies in microseconds, resident bytes after the load."""

    per_second: float
    p50_us: int
    p99_us: int
    processes: int
    rss_total: int
    rss_largest: int

    @property
    def tail(self) -> float:
        """p99/p50."""
        return self.p99_us / self.p50_us


Rounds = dict[str, list[Sample]]
"""By server name, one sample a round, all lists of the same length."""


class Row(msgspec.Struct, frozen=True):
    """One server over all rounds: medians, where the name says nothing else. `ratio` is to the bare app."""

    per_second: float
    least: float
    most: float
    ratio: float
    p50_ms: float
    p99_ms: float
    tail: float
    processes: float
    rss_total_mb: float
    rss_largest_mb: float


def row(samples: list[Sample], bare: list[Sample]) -> Row:
    """Summarise a server's rounds, beside the bare app's in the same rounds."""

    def median(of: Callable[[Sample], float]) -> float:
        return statistics.median(map(of, samples))

    return Row(
        per_second=median(lambda s: s.per_second),
        least=min(s.per_second for s in samples),
        most=max(s.per_second for s in samples),
        ratio=paired(samples, bare, lambda s: s.per_second),
        p50_ms=median(lambda s: s.p50_us) / 1000,
        p99_ms=median(lambda s: s.p99_us) / 1000,
        tail=median(lambda s: s.tail),
        processes=median(lambda s: s.processes),
        rss_total_mb=median(lambda s: s.rss_total) / MEGABYTE,
        rss_largest_mb=median(lambda s: s.rss_largest) / MEGABYTE,
    )


def targets(rounds: Rounds, starts: dict[int, float]) -> list[Target]:
    """The targets whose servers were measured. `starts`: seconds to ready by number of workers."""
    found = []
    for name, how in (("ours", "access log off"), ("ours_access_log", "access log on, as shipped")):
        if name in rounds:
            found += _of_ours(rounds[name], rounds["bare"], how)
    for peer in ("litserve", "litserve_zmq", "mlserver", "mlserver_parallel"):
        if "ours" in rounds and peer in rounds:
            ratio = paired(rounds["ours"], rounds[peer], lambda s: s.per_second)
            found.append(Target(f"throughput as a multiple of {peer}'s (access logs off)", ratio, 6.0, True))
    for workers, seconds in starts.items():
        found.append(Target(f"seconds from exec to ready, WORKERS={workers}", seconds, 1.5, False))
    return found


def _of_ours(samples: list[Sample], bare: list[Sample], how: str) -> list[Target]:
    memory = row(samples, bare).rss_largest_mb
    return [
        Target(
            f"throughput as a multiple of the bare app's ({how})",
            paired(samples, bare, lambda s: s.per_second),
            0.30,
            True,
        ),
        Target(
            f"p99/p50 as a multiple of the bare app's own ({how})", paired(samples, bare, lambda s: s.tail), 1.5, False
        ),
        Target(f"MB resident, largest process ({how})", memory, 110.0, False),
    ]
