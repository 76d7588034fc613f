"""One metric over a model's versions as the coordinates of a drawing; templates/plot.html draws it."""

import math
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

WIDTH, HEIGHT = 340.0, 200.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 14.0, 16.0, 42.0
"""Margins. Like all lengths here they are pixels: a phone shows the drawing as it is, and its text at its size."""
SIZE = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "bottom": BOTTOM}
LABELS = 3
"""Versions that are named below the axis; the others say their names when they are pointed at."""
_EXTREME = 1e300  # sums and steps of numbers beyond it, or below its inverse, are infinite, or nothing


class Measured(NamedTuple):
    """A version and what the metric was. `champion`: it is the one now."""

    name: str
    link: str
    value: float
    champion: bool


class Tick(NamedTuple):
    """A place on an axis, and what is written there; of a long name the beginning."""

    at: float
    text: str


class Mark(NamedTuple):
    """A point of the drawing."""

    x: float
    y: float
    of: Measured
    title: str


class Plot(NamedTuple):
    """What is drawn of one metric."""

    metric: str
    marks: list[Mark]
    line: str
    across: list[Tick]
    up: list[Tick]
    summary: str


def plot(metric: str, measured: Sequence[Measured]) -> Plot:
    """The drawing of at least one version, in the order given."""
    values = [float(one.value) for one in measured]
    ticks = _round_numbers(min(values), max(values))
    low, high = ticks[0], ticks[-1]

    def y(value: float) -> float:
        # Halves, because the difference of two finite numbers need not be finite.
        share = (value / 2 - low / 2) / (high / 2 - low / 2)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def x(index: int) -> float:
        share = index / (len(measured) - 1) if len(measured) > 1 else 0.5
        return round(LEFT + 8 + share * (WIDTH - LEFT - RIGHT - 16), 1)

    marks = [
        Mark(x(index), y(one.value), one, f"{one.name}: {number(one.value)}{' (champion)' if one.champion else ''}")
        for index, one in enumerate(measured)
    ]
    return Plot(
        metric=metric,
        marks=marks,
        line=" ".join(f"{mark.x},{mark.y}" for mark in marks),
        across=[Tick(marks[index].x, marks[index].of.name[:16]) for index in _spread(len(marks))],
        up=[Tick(y(value), text) for value, text in zip(ticks, _texts(ticks), strict=True)],
        summary=f"{metric} of {len(marks)} versions, from {marks[0].title} to {marks[-1].title}",
    )


def number(value: float) -> str:
    """Four significant digits; whole numbers whole, up to a million millions."""
    if abs(value) < 1e12 and value == int(value):
        return f"{int(value):,}"
    # An int may be beyond any float; and PostgreSQL gives a large float back as an int.
    return f"{value:.4g}" if abs(value) <= sys.float_info.max else f"{Decimal(value):.4g}"


def _round_numbers(low: float, high: float) -> list[float]:
    """Three to seven round numbers, evenly spaced, that enclose both."""
    largest = max(abs(low), abs(high))
    if largest > _EXTREME:
        return [-sys.float_info.max, 0.0, sys.float_info.max]
    span = (high - low) / 2
    if span <= max(1e-9 * largest, 1 / _EXTREME):  # all the same, as far as a reader could see
        span = 0.05 * largest if largest > 1 / _EXTREME else 0.5
        low, high = low - span, high + span
    magnitude = 10.0 ** math.floor(math.log10(span / 2))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor >= span / 2.5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(index * step, 15) if step > 1e-12 else index * step for index in range(first, last + 1)]


def _texts(ticks: Sequence[float]) -> list[str]:
    """The numbers of an axis, with as many decimals as tell one from the next."""
    step = ticks[1] - ticks[0]
    if max(map(abs, ticks)) >= 1e7 or step < 1e-5:
        return [f"{tick:.4g}" for tick in ticks]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{tick:,.{decimals}f}" for tick in ticks]


def _spread(count: int) -> list[int]:
    """At most LABELS indices below `count`, first and last among them."""
    if count <= LABELS:
        return list(range(count))
    return [round(index * (count - 1) / (LABELS - 1)) for index in range(LABELS)]
