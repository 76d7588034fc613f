"""Redis for a service: pooled clients in which every wait has an end, and one error for everything that passes.

`Redis` is asynchronous, for services and workers; `BlockingRedis` is for programs without a loop. Values are bytes. A
command whose connection breaks is sent once more over a new one, so that who comes after a restart of Redis does not
notice it. The first may have been done: what is sent must have the same effect twice.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio
import structlog
from pydantic import SecretStr
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from .errors import NotReady, SettingsError

Redis = redis.asyncio.Redis
BlockingRedis = redis.Redis
_ONCE_MORE = (NoBackoff(), 1, (redis.ConnectionError,))
_PASSING = (
    redis.ConnectionError,  # away, still loading its data, or all connections of the pool in use
    redis.TimeoutError,
    redis.ReadOnlyError,  # it has become a replica
    redis.OutOfMemoryError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
)
_REFUSAL = re.compile(r"(^|-)(OOM|READONLY|MISCONF|LOADING|NOREPLICAS|CLUSTERDOWN|TRYAGAIN) ")
"""A passing refusal that the client knows no class for, or that Redis 6 wraps, since it came inside a script."""


def connect(
    url: SecretStr | str,
    *,
    max_connections: int = 64,
    pool_timeout_s: float = 1.0,
    connect_timeout_s: float = 1.0,
    timeout_s: float = 2.0,
) -> Redis:
    """A client that opens connections as they are needed, and which `aclose` closes.

    url: `redis://:password@host:port/0`, or rediss:// for TLS.
    max_connections: at most. pool_timeout_s: seconds that a command waits for one of them.
    connect_timeout_s, timeout_s: seconds for a connection and for an answer; a blocking command must wait for less.
    Raises: SettingsError if the URL is not one of Redis.
    """
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        _checked(url),
        max_connections=max_connections,
        timeout=pool_timeout_s,
        retry=AsyncRetry(*_ONCE_MORE),
        **_options(connect_timeout_s, timeout_s),
    )
    pool.connection_class = type("Connection", (_Connection, pool.connection_class), {})
    return Redis.from_pool(pool)


def connect_blocking(url: SecretStr | str, *, timeout_s: float = 2.0) -> BlockingRedis:
    """The same for threads, with the other times as they are there. Raises: as `connect`."""
    pool = redis.BlockingConnectionPool.from_url(
        _checked(url), max_connections=8, timeout=1.0, retry=Retry(*_ONCE_MORE), **_options(1.0, timeout_s)
    )
    return BlockingRedis.from_pool(pool)


@contextmanager
def answering() -> Iterator[None]:
    """Turn what passes by itself into NotReady (503); mistakes of ours stay what they are.

    Raises: NotReady if Redis is away, starting, full or too slow.
    """
    try:
        yield
    except redis.RedisError as error:
        if not isinstance(error, _PASSING) and not _REFUSAL.search(str(error)):
            raise
        structlog.get_logger("mlsys.redis").warning("Redis refused", reason=said(error))
        raise NotReady("Redis does not answer; try again.") from error


async def ready(client: Redis) -> None:
    """A check for `Service.ready_when` and `start_when`. Raises: NotReady with what the client said."""
    try:
        await client.ping()
    except redis.RedisError as error:
        raise NotReady(f"Redis cannot be used: {said(error)}") from error


async def end(tasks: "Iterable[asyncio.Future[Any]]") -> None:
    """Cancel tasks that use a client, until all have ended: it loses a cancellation that comes while it connects."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.1)


def said(error: BaseException) -> str:
    """What happened, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


class _Connection(redis.asyncio.Connection):
    """One that says that it is broken: to write to such a one is a RuntimeError with uvloop, and none with asyncio."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: ANN401
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            raise redis.ConnectionError(str(error)) from error


def _options(connect_timeout_s: float, timeout_s: float) -> dict[str, Any]:
    # The second version of the protocol, which every server speaks, and which looks up nothing about the server first.
    return {"socket_connect_timeout": connect_timeout_s, "socket_timeout": timeout_s, "protocol": 2}


def _checked(url: SecretStr | str) -> str:
    text = url.get_secret_value() if isinstance(url, SecretStr) else url
    try:
        host = redis.connection.parse_url(text).get("host")  # type: ignore[no-untyped-call]
    except ValueError:
        host = None
    if not host:
        raise SettingsError("REDIS_URL is not valid: it must be redis://:password@host:port/0.")
    return text
