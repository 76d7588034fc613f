"""Tests of the queue on a real Redis: an empty one for each, and time that passes when it is told to."""

import asyncio
from collections.abc import Awaitable, Callable

from mlsys.redis import Redis, connect

from ..jobs import GROUP, STREAM, Jobs
from ..records import Lease, Policy

POLICY = Policy(
    max_queue=100,
    lease_ms=60_000,
    max_attempts=3,
    retry_ms=1000,
    result_ttl_s=600,
    dead_ttl_s=6000,
    max_dead=1000,
)
Scenario = Callable[[Jobs, Redis], Awaitable[None]]


def play(url: str, scenario: Scenario, **policy: int) -> None:
    """Run a scenario against the Redis at the URL."""

    async def run() -> None:
        async with connect(url, connect_timeout_s=30, timeout_s=30, max_connections=50, pool_timeout_s=30) as client:
            await scenario(Jobs(client, POLICY._replace(**policy)), client)

    asyncio.run(run())


def queued(**policy: int) -> Callable[[Scenario], Callable[[str], None]]:
    """Make a test of a scenario; it gets an empty Redis, and a queue with these numbers."""

    def decorate(scenario: Scenario) -> Callable[[str], None]:
        def test(redis_url: str) -> None:
            play(redis_url, scenario, **policy)

        test.__name__ = scenario.__name__
        return test

    return decorate


async def lapse(client: Redis) -> None:
    """Let so much time pass that all leases have run out."""
    for pending in await client.xpending_range(STREAM, GROUP, "-", "+", 1000):
        entry, consumer = pending["message_id"], pending["consumer"]
        assert isinstance(entry, bytes)
        assert isinstance(consumer, bytes)
        await client.xclaim(STREAM, GROUP, consumer.decode(), 0, [entry], idle=10 * POLICY.lease_ms, justid=True)


async def idle_ms(client: Redis, lease: Lease) -> int:
    """Milliseconds since a job was delivered or extended, as Redis sees it."""
    (pending,) = await client.xpending_range(STREAM, GROUP, lease.entry, lease.entry, 1)
    return int(pending["time_since_delivered"])
