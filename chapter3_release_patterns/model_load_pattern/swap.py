"""The lesson: how a served model is replaced while requests are answered, and why a bad one never gets that far.

    fetched -> verified -> warmed -> tested -> serving -> drained, kept for rollback -> forgotten
                  \\___________\\________\\-> refused: what served goes on serving, and everybody can see why

All that takes time or can fail is done beside the serving model (`inspect`). What remains is to change one reference
(`put`), which no request notices: a request takes the reference once (`use`) and is answered by that model to its end.
"""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mlsys.errors import ModelError
from mlsys.model import Model
from mlsys.network import Array

from . import contract

TIMED = 20
"""Predictions of which the median is compared with the bound."""


class Served:
    """A model that has passed, with the name it was released under. `in_use` requests hold it at the moment."""

    def __init__(self, release: str, model: Model, since: float) -> None:
        self.release = release
        self.model = model
        self.sha256 = model.sha256
        self.since = since
        self.in_use = 0


class Refusal(NamedTuple):
    """A model that is offered and not taken. `at` is Unix time, as `Served.since`; `tag` as in `Release`."""

    release: str
    tag: str
    reason: str
    at: float


class Bounds(NamedTuple):
    """What a model must keep: median seconds of one prediction; share of labels that are those of its predecessor."""

    latency_s: float
    agreement: float


class Swap:
    """The model that serves, the one before it, and the one that was refused."""

    def __init__(
        self, bounds: Bounds, *, clock: Callable[[], float] = time.perf_counter, now: Callable[[], float] = time.time
    ) -> None:
        self.serving: Served | None = None
        self.previous: Served | None = None
        self.refusal: Refusal | None = None
        self._bounds = bounds
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()

    @contextmanager
    def use(self) -> Iterator[Served]:
        """The model that serves now, for one request, which keeps it whatever happens meanwhile.

        Raises: RuntimeError before the first model; a service that waits for it is asked nothing so early.
        """
        with self._lock:
            served = self.serving
            if served is None:
                raise RuntimeError("No model has been put in place.")
            served.in_use += 1
        try:
            yield served
        finally:
            with self._lock:
                served.in_use -= 1

    def inspect(self, release: str, path: Path, sha256: str, *, threads: int = 1) -> Served:
        """A candidate that was verified, warmed and tested; it takes as long as it takes, and what serves is untouched.

        Raises: ModelError with the reason for a refusal.
        """
        known, serving = self.previous, self.serving
        if known and known.sha256 == sha256:  # a rollback: it has served, and nothing may stand in its way
            return Served(release, known.model, self._now())
        model = contract.verified(path, sha256, threads)
        model.warm_up()
        self._test(model, serving.model if serving else None)
        return Served(release, model, self._now())

    def put(self, candidate: Served) -> None:
        """Let the candidate serve. Requests that hold the old model end on it; at the next swap it is forgotten."""
        with self._lock:
            if self.serving and self.serving.sha256 != candidate.sha256:
                self.previous = self.serving
            self.serving = candidate
            self.refusal = None

    def refuse(self, release: str, tag: str, reason: str) -> None:
        """Keep in mind why the model that is offered does not serve."""
        self.refusal = Refusal(release, tag, reason, self._now())

    def refuses(self, tag: str, for_s: float) -> bool:
        """Whether that was refused within the last `for_s` seconds: later it is looked at again, it may be mended.

        A refusal that lies in the future is one from before the clock was set back.
        """
        refusal = self.refusal
        return refusal is not None and refusal.tag == tag and 0 <= self._now() - refusal.at < for_s

    def accept(self) -> None:
        """What is offered serves: there is nothing left to be refused."""
        self.refusal = None

    def _test(self, model: Model, judge: Model | None) -> None:
        """Ask the model what it was trained on, where a good one is sane, quick and much like its predecessor."""
        rows = contract.reference(model.metadata)
        labels = contract.labels_of(model, rows)
        if judge:
            pairs = list(zip(labels, judge.classify(rows), strict=True))
            share = sum(new == old for new, old in pairs) / len(pairs)
            if share < self._bounds.agreement:
                raise ModelError(f"it gives only {share:.0%} of {len(pairs)} reference rows the serving model's label")
        seconds = self._median_s(model, rows[:1])
        if seconds > self._bounds.latency_s:
            allowed = self._bounds.latency_s * 1000
            raise ModelError(f"a prediction takes it {seconds * 1000:.3g} ms, and {allowed:.3g} ms are allowed")

    def _median_s(self, model: Model, row: Array) -> float:
        took = []
        for _ in range(TIMED):
            began = self._clock()
            model.predict(row)
            took.append(self._clock() - began)
        return statistics.median(took)
