"""What is measured, and one measurement of it."""

from typing import NamedTuple

import msgspec

ONE, TWO, SMALL, ROW_BY_ROW, SHARES = "one job", "two jobs", "one job, a tenth of the rows", "row by row", "shares"
STEPS = ("read", "Python", "model", "write")
"""What a job's time goes to. write: COPY with its packing, the claim, the mark and the commit."""


class Sample(msgspec.Struct, frozen=True):
    """One measurement. per_second: rows, from the plan to the end of the run. peak_mb: the largest job's memory (RSS).

    wall_s: seconds of the processes, their start included. seconds: of each step, where that was measured.
    """

    per_second: float
    peak_mb: float = 0.0
    wall_s: float = 0.0
    seconds: dict[str, float] = {}


class Way(NamedTuple):
    """A way to have rows predicted: by so many jobs. tenth: a tenth of the rows."""

    jobs: int
    tenth: bool = False


WAYS = {ONE: Way(1), TWO: Way(2), SMALL: Way(1, tenth=True)}
Rounds = dict[str, list[Sample]]
