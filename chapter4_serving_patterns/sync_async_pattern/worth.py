"""What a cascade is worth: its accuracy, and the time that it takes of a core and of a caller."""

from typing import NamedTuple

from . import cascade


class Times(NamedTuple):
    """Milliseconds: of a core for each model, and until a caller has each answer (medians).

    fast_wait has the hand-over to the queue in it, which a sure answer is spared: cascades are a little better.
    """

    fast_core: float
    slow_core: float
    fast_wait: float
    slow_wait: float


class Row(NamedTuple):
    """A cascade: shares of pictures asked of the slow model and answered rightly, and what a picture costs, in ms.

    cost: of a core, for the models alone. wait: mean time until the answer that is final.
    """

    threshold: float
    asked: float
    accuracy: float
    cost: float
    wait: float


def row(judged: cascade.Judged, threshold: float, times: Times) -> Row:
    """One cascade, on pictures that nothing was chosen on."""
    point = cascade.at(judged, threshold)
    asks = times.slow_core * point.asked
    waits = (times.slow_wait - times.fast_wait) * point.asked
    return Row(*point, cost=times.fast_core + asks, wait=times.fast_wait + waits)
