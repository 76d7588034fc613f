"""Server-sent events: a caller is told what a job is, and again each time that it has changed, and need not poll.

What is told is always the job's record. A stream reads it when it is woken, and every `check_s` seconds in any case, so
that a message which was lost makes it late and not wrong. Source of the format: html.spec.whatwg.org, section 9.2.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import msgspec

from mlsys.errors import NotReady, OverCapacity

from .answers import JobState
from .changes import Changes

ENDS = frozenset({"done", "dead", "gone"})
"""States after which a stream ends."""
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}  # else a proxy keeps events until it has many
_RETRY = b"retry: 1000\n\n"  # milliseconds until a browser connects again
_STILL_THERE = b":\n\n"  # a comment, so that nobody between takes the connection for dead


class Limits(NamedTuple):
    """How many streams may be open at a time, how long one lasts, and how often each looks without being woken."""

    streams: int
    stream_s: float
    check_s: float


class Events:
    """The streams of one process.

    look: what a job is now, None if there is no such job; raises NotReady while Redis is away.
    stopping: whether the process was told to stop: then streams end, and their readers connect to another one.
    """

    def __init__(
        self,
        changes: Changes,
        look: Callable[[str], Awaitable[JobState | None]],
        stopping: Callable[[], bool],
        limits: Limits,
    ) -> None:
        self._changes = changes
        self._look = look
        self._stopping = stopping
        self._limits = limits

    async def of(self, job_id: str) -> AsyncGenerator[bytes, None]:
        """The job now, and each time that it has changed, until it ends, the stream is old, or the process stops.

        Raises: OverCapacity if as many streams are open as may be.
        """
        if self._changes.waiting >= self._limits.streams:
            raise OverCapacity(f"{self._limits.streams} event streams are open here; poll the job, or try again.")
        stream = self._of(job_id)
        await anext(stream)  # it counts from here on; else all who come while its answer begins would find room too
        return stream

    async def _of(self, job_id: str) -> AsyncGenerator[bytes, None]:
        told, end = None, time.monotonic() + self._limits.stream_s
        with self._changes.of(job_id) as changed:
            yield b""
            yield _RETRY
            while not self._stopping() and time.monotonic() < end:
                changed.clear()  # before the look: what changes after it sets it again
                state = await self._state(job_id)
                if state is None or _worth_telling(state) == told:
                    yield _STILL_THERE
                else:
                    told = _worth_telling(state)
                    yield b"data: %s\n\n" % msgspec.json.encode({job_id: state})
                if state and state["state"] in ENDS:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), self._limits.check_s)

    async def _state(self, job_id: str) -> JobState | None:
        """What the job is; None while Redis is away, which is no reason to end."""
        try:
            return await self._look(job_id) or {"prediction": "", "state": "gone"}
        except NotReady:
            return None


def _worth_telling(state: JobState) -> object:
    """All but the estimate, which changes all the time."""
    return state["state"], state.get("attempts"), state.get("position")
