"""The lesson: one request, two answers: the fast model's now, and the slow model's under a job id, later.

The slow path is a promise for later, so nothing of it may cost the answer of now. The fast model is asked first, and
what it refuses (no picture, no time) nobody queues. Then the queue is given a bounded time to take the job. Full, slow,
away: the fast answer goes out all the same, and says that no better one will come, and why. A caller who was not told
would poll for ever.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import NamedTuple, Protocol

from mlsys.errors import DeadlineExceeded

FAST, SLOW = "cifar10_small", "cifar10_large"
"""The models, by the names under which they answer."""


class WhyNot(StrEnum):
    """Why no better answer will come."""

    SURE = "sure"
    """The fast model is: what the slow one would say is not worth its cost."""
    FULL = "full"
    """The queue takes no more for now."""
    LATE = "late"
    """The queue did not answer in time. It may have taken the job, and then nobody will know of it."""
    DOWN = "down"
    """Nobody is there who could take the job."""
    REFUSED = "refused"
    """The queue does not take this job, or answers what is no answer: a mistake, whose reason the log has."""


class NotQueued(Exception):
    """The queue did not take the job."""

    def __init__(self, why: WhyNot) -> None:
        super().__init__(why.value)
        self.why = why


class Guess(NamedTuple):
    """The fast model's label, and how sure it is: of answers that say 0.9, nine in ten are right."""

    label: str
    probability: float


class Answer(NamedTuple):
    """What the caller gets now. One of `job_id`, under which the better answer will be, and `why_not` is None."""

    label: str
    probability: float
    job_id: str | None
    why_not: WhyNot | None


class Bounds(NamedTuple):
    """Seconds that each of the two may take; no request takes longer than their sum."""

    fast_s: float
    queue_s: float


class Queue(Protocol):
    """Where jobs are left for the slow model."""

    async def enqueue(self, picture: bytes) -> str:
        """The new job's id. Raises: NotQueued."""


class Both:
    """From a picture to two answers. A guess of at least `threshold` is final; with a threshold of 1 none is."""

    def __init__(
        self, guess: Callable[[bytes], Awaitable[Guess]], queue: Queue, bounds: Bounds, threshold: float = 1.0
    ) -> None:
        self._guess = guess
        self._queue = queue
        self._bounds = bounds
        self._threshold = threshold

    async def predict(self, picture: bytes, remaining_s: Callable[[], float]) -> Answer:
        """The fast answer, and the promise of a better one or the reason why there is none.

        `remaining_s` says how long the caller still waits, in seconds.
        Raises: DeadlineExceeded if the fast model is too slow, and what `guess` raises; never because of the queue.
        """
        guess = await self._guess_in_time(picture, remaining_s())
        try:
            job_id = await self._enqueue(picture, guess, remaining_s())
        except NotQueued as refusal:
            return Answer(*guess, job_id=None, why_not=refusal.why)
        return Answer(*guess, job_id=job_id, why_not=None)

    async def _guess_in_time(self, picture: bytes, remaining_s: float) -> Guess:
        seconds = min(self._bounds.fast_s, remaining_s)
        try:
            async with asyncio.timeout(seconds):
                return await self._guess(picture)
        except TimeoutError:
            raise DeadlineExceeded(f"{FAST} did not answer within {seconds:.3g} s.") from None

    async def _enqueue(self, picture: bytes, guess: Guess, remaining_s: float) -> str:
        if self._threshold < 1 and guess.probability >= self._threshold:
            raise NotQueued(WhyNot.SURE)
        try:
            # Half of what is left at most: the answer has still to reach the caller, whose time ends with the edge's.
            async with asyncio.timeout(min(self._bounds.queue_s, remaining_s / 2)):
                return await self._queue.enqueue(picture)
        except TimeoutError:
            raise NotQueued(WhyNot.LATE) from None
