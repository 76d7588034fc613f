"""A Redis that is a dictionary, and a source that is one too; both can be told to fail and to take their time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np
import redis.exceptions

from mlsys.errors import NotReady, ServiceError
from mlsys.redis import Redis

from ..cache import Found, Policy, TensorCache
from ..value import Absent, Array, Kind

KIND = Kind("numbers-1", np.dtype(np.uint8), (2, 2))
POLICY = Policy(renew_s=100, expire_s=300, keep_s=1000, absent_s=10, pause_s=5, fetches=4)


def key(item: str) -> str:
    return f"{{items}}:numbers-1:{item}"


def tensor(number: int) -> Array:
    return np.full((2, 2), number, np.uint8)


class Shelf:
    """A cache under test, with all around it. What the source gives is its number, which `now` decides nothing of."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.now = 1_000_000.0
        self.values: dict[str, bytes] = {}
        self.kept_ms: dict[str, int] = {}
        self.trips = 0
        self.fails: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.full = False
        self.numbers: dict[str, int] = {}
        self.fetched: list[str] = []
        self.at_once = self.most_at_once = 0
        self.source_fails: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()
        self.stores = asyncio.Event()
        self.stores.set()
        self.told: Counter[str] = Counter()
        self.cache = TensorCache(
            cast("Redis", self), self.fetch, KIND, policy, lambda: self.now, lambda event: self.told.update([event])
        )

    async def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        self.trips += 1
        await self.answers.wait()
        if self.fails:
            raise self.fails
        return [self.values.get(each) for each in keys]

    async def set(self, name: str, value: bytes, *, px: int) -> None:
        await self.stores.wait()
        if self.fails:
            raise self.fails
        if self.full:
            raise redis.exceptions.OutOfMemoryError("OOM command not allowed when used memory > 'maxmemory'.")
        self.values[name], self.kept_ms[name] = value, px

    async def fetch(self, item: str) -> Array:
        self.fetched.append(item)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.go.wait()
        finally:
            self.at_once -= 1
        if self.source_fails:
            raise self.source_fails
        if item not in self.numbers:
            raise Absent("there is none")
        return tensor(self.numbers[item])

    async def one(self, item: str, *, renew: bool = False) -> Found:
        """The tensor of one item, when all that this began in the background has ended. Raises: ServiceError."""
        found = (await self.cache.get([item], renew=renew))[item]
        await self.settled()
        if isinstance(found, ServiceError):
            raise found
        return found

    async def settled(self) -> None:
        """Until nothing is in progress. A wait for turns of the loop, not for time."""
        for _ in range(20):
            await asyncio.sleep(0)


AWAY = redis.exceptions.ConnectionError("refused")
SOURCE_AWAY = NotReady("The source is away.")
