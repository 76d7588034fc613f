"""The circuit breaker before Redis: some milliseconds for an answer, and after a failure a while without asking."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import redis
import structlog

from mlsys.redis import end, said

from .memory import Unavailable

T = TypeVar("T")
_FIRST_REST_S = 0.05
_STEP_S = 0.001
_LANES = 16
"""Asked at a time, each over a connection. More would be opened in a burst, and Redis be blamed for what that takes."""


class Breaker:
    """budget_s: seconds for one answer. rest_s: the longest pause after failures; the first is 50 ms, each next twice,
    until there was none for so long.

    So an outage costs a request at most one budget for each thing that it asks, and most requests nothing. It is Redis'
    budget: time in which this process did other things does not count.
    """

    def __init__(self, *, budget_s: float, rest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget_s, self._longest_s, self._clock = budget_s, rest_s, clock
        self._rest_s, self._rests_until, self._why = 0.0, 0.0, ""
        self._refusals: set[str] = set()
        self._late: set[asyncio.Future[Any]] = set()
        self._lanes = asyncio.Semaphore(_LANES)

    async def __call__(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` gives. Raises: Unavailable if it gives nothing in time, or fails, or is not asked now."""
        async with self._lanes:
            if self._clock() < self._rests_until:
                raise Unavailable(self._why)
            # It is not cancelled when the time is over: a connection that takes 30 ms would then never be made.
            task = asyncio.ensure_future(ask())
            self._late.add(task)
            task.add_done_callback(self._ended)
            # In steps, of which each counts once however late it ends: a process that is itself too busy to read the
            # answer, as in the burst for which there is a cache, must not take Redis for slow.
            left_s = self._budget_s
            while left_s > 0 and not task.done():
                await asyncio.wait({task}, timeout=min(_STEP_S, left_s))
                left_s -= _STEP_S
            if not task.done():
                raise self._rest("slow", f"no answer within {self._budget_s * 1000:g} ms")
            return self._result(task)

    async def end(self) -> None:
        """Give up what is still waited for."""
        await end(self._late)

    def _result(self, task: "asyncio.Future[T]") -> T:
        try:
            result = task.result()
        except redis.RedisError as error:
            if (why := reason(error)) in ("down", "slow"):
                raise self._rest(why, said(error)) from error
            if why not in self._refusals:  # the first; the others are counted
                self._refusals.add(why)
                structlog.get_logger("prediction_cache").warning("Redis refuses", reason=why, said=said(error))
            raise Unavailable(why) from error  # it answers: what it refuses is one thing, reading goes on
        # Not at the first answer: one that comes and goes would be told of each time, and never rest for long.
        if self._rest_s and self._clock() >= self._rests_until + self._longest_s:
            structlog.get_logger("prediction_cache").info("Redis is used again")
            self._rest_s = 0.0
        return result

    def _rest(self, why: str, words: str) -> Unavailable:
        if not self._rest_s:
            structlog.get_logger("prediction_cache").warning("Redis is bypassed", reason=why, said=words)
        if self._clock() >= self._rests_until:  # not once more for each of those who waited together
            self._rest_s = min(self._longest_s, self._rest_s * 2 or _FIRST_REST_S)
            self._rests_until, self._why = self._clock() + self._rest_s, why
        return Unavailable(why)

    def _ended(self, task: "asyncio.Future[Any]") -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # of one that is late nobody else hears


def reason(error: redis.RedisError) -> str:
    """A word for what happened: down, slow, full, or refused (by a replica, a script that is not allowed, …)."""
    if isinstance(error, redis.OutOfMemoryError) or "OOM" in str(error) or "MISCONF" in str(error):
        return "full"  # no memory, the same said by a script, no disk for its log
    if isinstance(error, redis.TimeoutError):
        return "slow"
    return "refused" if isinstance(error, redis.ResponseError) else "down"
