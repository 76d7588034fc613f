"""The lesson: remember what the model said, and let no memory do harm.

A prediction follows from the model, from how the picture was prepared and from the item: all are in the key, so that
a new model finds nothing of the old one. One computation answers all who ask for the same at once, in all processes.
What cannot be read, or was made before an invalidation, is not there. A store that is down, slow or full is bypassed.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple

from .entry import MAX_BYTES, Entry, Marks, decode, encode
from .key import Key
from .memory import Claim, Found, Store, Unavailable

Compute = Callable[[], Awaitable["Outcome"]]


class Outcome(NamedTuple):
    """What was computed. refused: by the item's own fault (a damaged picture), so that it will be again."""

    content: bytes
    refused: bool = False


class Result(StrEnum):
    """What X-Cache says. miss: the model was waited for; stale: past its time, and being made anew."""

    HIT, MISS, STALE, BYPASS = "hit", "miss", "stale", "bypass"


class Answer(NamedTuple):
    """An outcome, where it comes from, its age, and why the cache was bypassed, if it was."""

    result: Result
    outcome: Outcome
    age_s: float = 0.0
    reason: str = ""


class Policy(NamedTuple):
    """Seconds that a prediction is fresh, that it may be answered while a new one is made, that a refusal is known.

    jitter: share of `fresh_s` by which lives differ, so that what was made together does not end together.
    claim_s: seconds that others wait for the one who computes; longer than a computation may take.
    """

    fresh_s: float = 3600.0
    stale_s: float = 600.0
    refused_s: float = 10.0
    jitter: float = 0.1
    claim_s: float = 6.0


class Cache:
    """Answers from the store if it can, else by `compute`. clock: seconds since 1970; chance: a number from 0 to 1."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store, self._policy, self._clock, self._chance = store, policy, clock, chance
        self._flights: dict[Key, tuple[Marks | None, asyncio.Task[Answer]]] = {}

    async def answer(self, key: Key, compute: Compute) -> Answer:
        """The outcome for the key. Raises: what `compute` raises, which goes on for others when this caller leaves."""
        try:
            found = await self._store.get(str(key), key.scopes)
        except Unavailable as error:
            return await asyncio.shield(self._flight(key, compute, None, error.reason))
        if (entry := self._usable(found)) is None:
            return await asyncio.shield(self._flight(key, compute, found))
        result = Result.HIT if (age_s := self._age_s(entry)) < entry.fresh_s else Result.STALE
        if result is Result.STALE:
            self._flight(key, compute, found)
        return Answer(result, Outcome(entry.content, entry.refused), age_s)

    async def forget(self, namespace: str, *, model: str = "", item: str = "") -> None:
        """Answer nothing any more that was made before now of this model, or of this item. Raises: Unavailable."""
        scope, policy = Key(namespace, model, "", item).scopes[0 if model else 1], self._policy
        await self._store.mark(scope, policy.claim_s + policy.fresh_s + policy.stale_s)  # nothing older lives so long

    def _age_s(self, entry: Entry) -> float:
        return max(0.0, self._clock() - entry.made_at)  # clocks of two machines differ

    def _usable(self, found: Found) -> Entry | None:
        if not (entry := decode(found.content or b"")) or entry.marks != found.marks:
            return None
        most_s = self._policy.refused_s if entry.refused else self._policy.fresh_s
        entry = entry._replace(fresh_s=min(entry.fresh_s, most_s))  # it may have been written under longer times
        return entry if self._age_s(entry) < entry.fresh_s + self._policy.stale_s * (not entry.refused) else None

    def _flight(self, key: Key, compute: Compute, found: Found | None, reason: str = "") -> asyncio.Task[Answer]:
        """The one in progress; but what began before an invalidation is joined by nobody who has seen that."""
        marks, task = self._flights.get(key, (None, None))
        if task is None or (found and found.marks != marks):
            task = asyncio.create_task(self._fill(key, compute, found) if found else self._bypass(compute, reason))
            task.add_done_callback(lambda task: self._landed(key, task))
            self._flights[key] = found and found.marks, task
        return task

    def _landed(self, key: Key, task: asyncio.Task[Answer]) -> None:
        if self._flights.get(key, (None, None))[1] is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # a refresh that failed has nobody who waits for it

    async def _bypass(self, compute: Compute, reason: str) -> Answer:
        return Answer(Result.BYPASS, await compute(), reason=reason)

    async def _fill(self, key: Key, compute: Compute, found: Found) -> Answer:
        marks, claim_s = found.marks, self._policy.claim_s
        try:
            while (claim := await self._store.claim(str(key), found.content, claim_s)) is not Claim.OURS:
                if claim is Claim.ANOTHERS:
                    await self._store.wait(str(key), claim_s)
                found = await self._store.get(str(key), key.scopes)
                if entry := self._usable(found):
                    return Answer(Result.MISS, Outcome(entry.content, entry.refused))
        except Unavailable as error:
            return await self._bypass(compute, error.reason)
        reason = "failed"
        try:
            outcome = await compute()
            reason = await self._keep(key, outcome, marks)
            return Answer(Result.BYPASS if reason else Result.MISS, outcome, reason=reason)
        finally:
            if reason:
                with suppress(Unavailable):  # then the claim ends by itself
                    await self._store.release(str(key))

    async def _keep(self, key: Key, outcome: Outcome, marks: Marks) -> str:
        """Store what was computed under the marks that were found before; why not, if it cannot be."""
        if len(outcome.content) > MAX_BYTES:
            return "large"
        policy = self._policy
        fresh_s = policy.refused_s if outcome.refused else policy.fresh_s * (1 - policy.jitter * self._chance())
        entry = Entry(outcome.refused, self._clock(), fresh_s, marks, outcome.content)
        try:
            await self._store.put(str(key), encode(entry), fresh_s + policy.stale_s * (not outcome.refused))
        except Unavailable as error:
            return error.reason
        return ""
