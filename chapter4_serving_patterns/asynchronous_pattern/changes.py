"""Who waits for a job is woken when it has changed: one subscription for all that wait in this process.

Redis forgets a message once it is sent, so a message is no news but a hint to look. Everybody is woken when the
subscription is new, because of what was missed meanwhile; and nobody should wait for a hint alone.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import redis
import structlog

from mlsys.redis import Redis, end, said

_AGAIN_S = 0.5


class Changes:
    """What is published on `channel` as b"<state> <id> …". silence_s: seconds after which Redis is asked for a sign."""

    def __init__(self, client: Redis, channel: str, silence_s: float) -> None:
        self._client = client
        self._channel = channel
        self._silence_s = silence_s
        self._waiting: dict[str, set[asyncio.Event]] = {}

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    @contextmanager
    def of(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when the job may have changed; who waits clears it, looks, and waits again."""
        changed = asyncio.Event()
        self._waiting.setdefault(job_id, set()).add(changed)
        try:
            yield changed
        finally:
            self._waiting[job_id].discard(changed)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    @asynccontextmanager
    async def heard(self) -> AsyncIterator[None]:
        """Be subscribed for as long as the block lasts, also after Redis was away."""
        task = asyncio.create_task(self._stay_subscribed())
        try:
            yield
        finally:
            await end([task])

    async def _stay_subscribed(self) -> None:
        while True:
            try:
                await self._hear()
            except redis.RedisError as error:
                structlog.get_logger(__name__).warning("no news of jobs", reason=said(error))
            except Exception:  # to end would make every stream late for as long as the process lives
                structlog.get_logger(__name__).exception("unexpected error")
            await asyncio.sleep(_AGAIN_S)

    async def _hear(self) -> None:
        """Pass messages on. Raises: redis.RedisError if the connection breaks, or is dead and does not say so."""
        async with self._client.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            asked = False
            while True:
                message = await subscription.get_message(timeout=self._silence_s)
                if message:
                    self._pass_on(message)
                elif asked:
                    raise redis.TimeoutError("it does not answer to a PING")
                else:
                    await subscription.ping()
                asked = not message

    def _pass_on(self, message: dict[str, Any]) -> None:
        woken: set[asyncio.Event] = set()
        if message["type"] == "message":
            ids = message["data"].decode(errors="replace").split(" ")[1:]
            woken = woken.union(*(self._waiting.get(job_id, ()) for job_id in ids))
        elif message["type"] == "subscribe":  # also that of a client which has connected again by itself
            woken = woken.union(*self._waiting.values())
        for changed in woken:
            changed.set()
