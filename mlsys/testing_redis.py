"""The pytest plugin of what needs Redis: a server, emptied for each test. Loaded by the conftest.py in the root."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests, which keeps nothing on the disk. A test that stops one takes `own_redis`."""
    with RedisServer(tmp_path_factory.mktemp("redis"), durable=False) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of an empty Redis, for this test alone."""
    from .redis import connect_blocking  # not every environment that runs tests has the category `redis`

    with connect_blocking(redis_server.url()) as client:
        client.flushall()
    return redis_server.url()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, to stop, kill and start again; what it has acknowledged it still knows then."""
    with RedisServer(tmp_path / "redis") as server:
        yield server
