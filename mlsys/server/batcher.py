"""Dynamic batching: requests that wait for the same model are computed together, and none waits for company.

`Queue` decides what runs together, as plain calls that are given the time. `Engine` is the threads that ask the queues
for work, and `Batcher` what a caller awaits.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from ..errors import DeadlineExceeded, InternalError, NotReady, OverCapacity

Run = Callable[[list[Any]], list[Any]]
"""Computes a batch of payloads: as many results, in the same order. An exception is the failure of all of them."""
Observe = Callable[[int, Sequence[float], float], None]
"""Is told of each batch: rows, seconds that each of its requests has waited, seconds of computing."""


@dataclass(frozen=True)
class Limits:
    """Of one model. max_batch: rows that are stacked; 1 switches batching off. max_delay_s: seconds for which a request
    may be held back for others while the model is at work on earlier ones. max_queue: requests that wait.
    """

    max_batch: int = 16
    max_delay_s: float = 0.0
    max_queue: int = 128


@dataclass(eq=False, slots=True)
class Item:
    """One request. Only requests of an equal `key` are stacked; `since` is when it was queued, in seconds."""

    payload: Any
    rows: int
    key: Hashable
    future: "asyncio.Future[Any]"
    since: float


@dataclass
class Queue:
    """The requests of one model that wait. `running` counts the batches that are being computed."""

    limits: Limits
    running: int = 0
    _items: deque[Item] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Raises: OverCapacity if `max_queue` requests wait already."""
        if len(self._items) >= self.limits.max_queue:
            raise OverCapacity(f"{len(self._items)} requests wait for this model already; try again.")
        self._items.append(item)

    def discard(self, item: Item) -> None:
        """Forget an item that nobody waits for any more, unless it has been taken."""
        if item in self._items:
            self._items.remove(item)

    def due(self) -> float | None:
        """The time from which `take` is right; None if nothing waits.

        At once, if the model is idle or a batch is full; else when the oldest has been held back long enough.
        """
        if not self._items:
            return None
        oldest = self._items[0].since
        if not self.running or not self.limits.max_delay_s:
            return oldest
        return oldest if self._is_full() else oldest + self.limits.max_delay_s

    def take(self) -> list[Item]:
        """The oldest and what can be stacked on it, in order. A request larger than `max_batch` is alone, and whole."""
        first = self._items.popleft()
        batch, rows, left = [first], first.rows, deque[Item]()
        for item in self._items:
            if item.key == first.key and rows + item.rows <= self.limits.max_batch:
                batch.append(item)
                rows += item.rows
            else:
                left.append(item)
        self._items = left
        return batch

    def _is_full(self) -> bool:
        key = self._items[0].key
        return sum(item.rows for item in self._items if item.key == key) >= self.limits.max_batch


class Engine:
    """`threads` inference threads that serve all models: each takes the batch whose oldest request has waited longest.

    They start with the first request, and end with the process or by `close`.
    """

    def __init__(self, threads: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.changed = threading.Condition()
        self._batchers: list[Batcher] = []
        self._threads = [threading.Thread(target=self._work, daemon=True, name=f"infer-{n}") for n in range(threads)]
        self._started = self._closed = False

    def add(self, batcher: "Batcher") -> None:
        """Serve this one too."""
        with self.changed:
            self._batchers.append(batcher)

    def remove(self, batcher: "Batcher") -> None:
        """Forget it; it must have been drained."""
        with self.changed:
            self._batchers.remove(batcher)

    def wake(self) -> None:
        """Something was queued; the lock is held."""
        if not self._started:
            self._started = True
            for thread in self._threads:
                thread.start()
        self.changed.notify()

    def close(self) -> None:
        """End the threads when they have finished what they compute; what waits is not computed."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    def _work(self) -> None:
        while True:
            with self.changed:
                while (found := self._next()) is None:
                    if self._closed:
                        return
                batcher, batch = found
                batcher.queue.running += 1
                if any(len(other.queue) for other in self._batchers):
                    self.changed.notify()  # a thread may be waiting that this one was woken instead of
            try:
                batcher.compute(batch)
            except BaseException:  # a thread that ended would be missed by every request from then on
                structlog.get_logger("mlsys.server").exception("unexpected error")
            with self.changed:
                batcher.queue.running -= 1
            del found, batcher, batch  # an idle thread must not hold a model that is unloaded meanwhile

    def _next(self) -> "tuple[Batcher, list[Item]] | None":
        """The next batch; None after waiting, for news or until something is due."""
        now = self.now()
        waiting = [(due, batcher) for batcher in self._batchers if (due := batcher.queue.due()) is not None]
        if self._closed or not waiting:
            if not self._closed:
                self.changed.wait()
            return None
        due, batcher = min(waiting, key=lambda pair: pair[0])
        if due > now:
            self.changed.wait(due - now)
            return None
        return batcher, batcher.queue.take()


class Batcher:
    """What the requests for one model go through. `run` is called in an inference thread."""

    def __init__(self, engine: Engine, run: Run, limits: Limits, observe: Observe) -> None:
        self.queue = Queue(limits)
        self._engine = engine
        self._run = run
        self._observe = observe
        self._pending: set[asyncio.Future[Any]] = set()
        self._closed = False
        engine.add(self)

    async def submit(self, payload: object, *, rows: int, key: Hashable, timeout_s: float | None = None) -> Any:  # noqa: ANN401
        """The result for one payload, or the exception of computing it. A caller that is cancelled leaves the queue.

        Raises: OverCapacity, DeadlineExceeded; NotReady after `close`.
        """
        if self._closed:
            raise NotReady("The model was unloaded meanwhile; try again.")
        future = asyncio.get_running_loop().create_future()
        item = Item(payload, rows, key, future, self._engine.now())
        with self._engine.changed:
            self.queue.put(item)
            self._engine.wake()
        self._pending.add(future)
        try:
            if timeout_s is None:
                return await future
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise DeadlineExceeded(f"The answer was not ready within {timeout_s:g} s.") from None
        finally:
            self._pending.discard(future)
            if future.cancelled():
                with self._engine.changed:
                    self.queue.discard(item)

    async def close(self) -> None:
        """Wait until every request has its answer, and leave the engine."""
        while self._pending:
            await asyncio.wait(self._pending)
        self._closed = True
        self._engine.remove(self)

    def compute(self, batch: list[Item]) -> None:
        """Compute a batch in this thread and hand the results to those who await them."""
        began = self._engine.now()
        results: list[Any] = []
        try:
            results = self._results([item.payload for item in batch])
        finally:  # whatever happens, nobody waits in vain
            seconds = self._engine.now() - began
            with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody awaits them any more
                batch[0].future.get_loop().call_soon_threadsafe(
                    _deliver, batch, results or [InternalError() for _ in batch]
                )
        self._observe(sum(item.rows for item in batch), [began - item.since for item in batch], seconds)

    def _results(self, payloads: list[Any]) -> list[Any]:
        """If a batch fails, each is computed by itself, so that only those fail that do so alone."""
        try:
            results = self._run(payloads)
            if len(results) != len(payloads):
                raise ValueError(f"{len(results)} results of {len(payloads)} requests")
            return results
        except Exception as error:  # whatever computing raises belongs to whoever asked for it
            return [error] if len(payloads) == 1 else [self._results([one])[0] for one in payloads]


def _deliver(batch: list[Item], results: list[Any]) -> None:
    for item, result in zip(batch, results, strict=True):
        if item.future.done():  # cancelled meanwhile
            continue
        if isinstance(result, Exception):
            item.future.set_exception(result)
        else:
            item.future.set_result(result)
