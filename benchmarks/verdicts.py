"""What was promised, measured side by side, and whether it was kept."""

import statistics
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Target(msgspec.Struct, frozen=True):
    """A figure that was promised. `at_least`: whether the limit is a floor or a ceiling."""

    text: str
    measured: float
    limit: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the measured figure is on the right side."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def verdicts(targets: Sequence[Target]) -> list[str]:
    """One line for each target: the figure, the limit, met or missed."""
    return [
        f"- {'met' if target.met else '**missed**'}: {target.text}: {target.measured:.2f} "
        f"(at {'least' if target.at_least else 'most'} {target.limit:g})"
        for target in targets
    ]


def median(samples: Sequence[object], of: str) -> float:
    """Over the rounds, of an attribute of each sample; its name may have dots."""
    return statistics.median(float(attrgetter(of)(sample)) for sample in samples)


def paired(samples: Sequence[T], others: Sequence[T], of: Callable[[T], float]) -> float:
    """Median of the ratios within each round, in which both met the same state of the machine."""
    return statistics.median(of(one) / of(other) for one, other in zip(samples, others, strict=True))
