"""The memory in Redis: what is asked at one moment goes in one round trip, and what is invalidated is not deleted."""

import asyncio
from functools import partial
from typing import Any, NamedTuple

import redis

from mlsys.redis import Redis

from .breaker import Breaker, reason
from .key import Scopes
from .memory import Claim, Found, Unavailable

TAG = "{predictions}:"
"""Of every key, so that in a cluster all are in one place, and one command may name several."""
MARKS = TAG + "marks"
_POLL_S = 0.01

# What the caller saw is compared, so that one who read before another had finished does not begin anew.
_CLAIM = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 'changed' end
if redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[2]) then return 'ours' end
return 'anothers'
"""
# A mark is the server's time, in microseconds, from which nothing is left that is older than the invalidation: a number
# that each next one exceeds. Then it is removed, whoever writes the next one; but only then, since services with other
# times may share it. It has no TTL, so that `volatile-lru` evicts none, and what was invalidated does not come back.
# What is over is removed first, after which also a Redis that is full takes the new one.
_MARK = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local last = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
local ends = math.max(now + ARGV[2] * 1000000, last + 1)
return redis.call('ZADD', KEYS[1], string.format('%.0f', ends), ARGV[1])
"""


class _Asked(NamedTuple):
    key: str
    scopes: Scopes
    answer: asyncio.Future[Found]


class RedisStore:
    """A Store. `breaker` says how long Redis is waited for, and whether it is asked at all."""

    def __init__(self, client: Redis, breaker: Breaker) -> None:
        self._client, self._within = client, breaker
        self._asked: list[_Asked] = []
        self._reading: asyncio.Task[None] | None = None

    async def get(self, key: str, scopes: Scopes) -> Found:
        """As Store. What is asked while an answer is on its way goes after it, together: a burst is a few round trips
        over one connection, and if Redis hangs all who wait know it at the same moment.
        """
        asked = _Asked(key, scopes, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return await asked.answer

    async def put(self, key: str, content: bytes, keep_s: float) -> None:
        """As Store. Raises: Unavailable, also if it is full."""
        together = self._client.pipeline(transaction=False)
        together.set(TAG + key, content, px=max(1, int(keep_s * 1000)))
        together.delete(_claim(key))
        await self._within(together.execute)

    async def claim(self, key: str, seen: bytes | None, for_s: float) -> Claim:
        """As Store. What is granted when nobody waits for it any more is given back; others would wait for nobody."""
        names, values = [TAG + key, _claim(key)], [seen or b"", max(1, int(for_s * 1000))]
        wanted = True

        async def ask() -> Claim:
            claim = Claim((await self._eval(_CLAIM, names, values)).decode())
            if claim is Claim.OURS and not wanted:
                await self._client.delete(_claim(key))
            return claim

        try:
            return await self._within(ask)
        finally:
            wanted = False

    async def release(self, key: str) -> None:
        """As Store."""
        await self._within(lambda: self._client.delete(_claim(key)))

    async def wait(self, key: str, within_s: float) -> None:
        """As Store: it is asked every 10 ms."""
        for _ in range(round(within_s / _POLL_S)):
            if not await self._within(lambda: self._client.exists(_claim(key))):
                return
            await asyncio.sleep(_POLL_S)

    async def mark(self, scope: str, keep_s: float) -> None:
        """As Store; but it is tried also while Redis rests, and for as long as the client waits."""
        try:
            await self._eval(_MARK, [MARKS], [scope, int(keep_s) + 1])
        except redis.RedisError as error:
            raise Unavailable(reason(error)) from error

    async def ready(self) -> str:
        """What /ready says: ok, or why the cache is bypassed, which is no reason not to be ready."""
        try:
            await self._within(self._client.ping)
        except Unavailable as error:
            return f"bypassed: {error.reason}"
        return "ok"

    async def close(self) -> None:
        """Give up what is still waited for, and close the connections."""
        await self._within.end()
        await self._client.aclose()

    async def _read(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            try:
                found = await self._within(partial(self._fetch, asked))
            except Exception as error:  # theirs, who wait for it
                for each in asked:
                    if not each.answer.done():  # it is, where a caller has gone away
                        each.answer.set_exception(error)
            else:
                for each, one in zip(asked, found, strict=True):
                    if not each.answer.done():
                        each.answer.set_result(one)

    async def _fetch(self, asked: list[_Asked]) -> list[Found]:
        together = self._client.pipeline(transaction=False)
        together.mget([TAG + each.key for each in asked])
        together.zmscore(MARKS, [scope for each in asked for scope in each.scopes])
        contents, marks = await together.execute()
        rows = zip(contents, marks[::2], marks[1::2], strict=True)
        return [Found(content, (model or 0.0, item or 0.0)) for content, model, item in rows]

    def _eval(self, script: str, keys: list[str], values: list[Any]) -> Any:  # noqa: ANN401  # what the script returns
        return self._client.eval(script, len(keys), *keys, *values)


def _claim(key: str) -> str:
    return f"{TAG}{key}:claim"
