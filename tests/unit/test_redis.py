"""The clients of Redis, and the embedded server: what it keeps, whom it lets in, what callers see while it is away."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
import redis
import uvloop
from pydantic import SecretStr

from mlsys.catalogue import ROOT
from mlsys.errors import NotReady, SettingsError, StartupError
from mlsys.redis import Redis, answering, connect, connect_blocking, end, ready
from mlsys.redis_server import RedisServer
from mlsys.testing import eventually


def with_client(url: str, work: Callable[[Redis], Awaitable[None]], **options: float) -> None:
    async def run() -> None:
        client = connect(SecretStr(url), **options)  # type: ignore[arg-type]  # seconds
        try:
            await work(client)
        finally:
            await client.aclose()

    asyncio.run(run())


def test_every_test_has_an_empty_redis(redis_url: str) -> None:
    with connect_blocking(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_also_after_another_has_left_something(redis_url: str) -> None:
    with connect_blocking(redis_url) as client:
        assert client.dbsize() == 0


def test_nobody_gets_in_without_the_password(redis_server: RedisServer) -> None:
    with redis.Redis(port=redis_server.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    for name in ("password", "redis.conf"):
        assert (redis_server.folder / name).stat().st_mode & 0o777 == 0o600
    assert redis_server.password not in " ".join(psutil.Process(redis_server.pid).cmdline())


@pytest.mark.parametrize("end", [RedisServer.kill, RedisServer.stop])
def test_what_was_acknowledged_is_there_after_a_kill_and_after_a_stop(
    own_redis: RedisServer, end: Callable[[RedisServer], None]
) -> None:
    with connect_blocking(own_redis.url()) as client:
        for number in range(1000):
            client.set(str(number), number)
    end(own_redis)
    assert own_redis.pid == 0
    own_redis.start()
    with connect_blocking(own_redis.url()) as client:
        assert client.dbsize() == 1000


def test_a_patterns_own_configuration_holds(tmp_path: Path) -> None:
    file = tmp_path / "a pattern.conf"
    file.write_text("maxmemory 10mb\nmaxmemory-policy allkeys-lru\nrequirepass ignored\n")
    with RedisServer(tmp_path / "redis", configuration=file) as server, connect_blocking(server.url()) as client:
        assert client.config_get("maxmemory*")["maxmemory-policy"] == "allkeys-lru"


def test_a_server_that_cannot_start_is_refused_with_what_it_said(tmp_path: Path) -> None:
    file = tmp_path / "bad.conf"
    file.write_text("no-such-setting 1\n")
    with pytest.raises(StartupError, match=r"does not start; it said: .*Bad directive"):
        RedisServer(tmp_path / "redis", configuration=file).start()


def test_two_servers_on_the_same_data_are_refused(own_redis: RedisServer) -> None:
    with pytest.raises(StartupError, match=f"another Redis uses the data in {own_redis.folder}"):
        RedisServer(own_redis.folder).start()


def test_no_server_outlives_a_process_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from mlsys.redis_server import RedisServer\n"
        "server = RedisServer(Path(sys.argv[1])); server.start(); print(server.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=-1
    )
    assert starter.stdout
    server = psutil.Process(int(starter.stdout.readline()))
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    eventually(lambda: not server.is_running(), deadline_s=10)


def test_a_restart_is_not_noticed_by_who_comes_after_it(own_redis: RedisServer) -> None:
    async def work(client: Redis) -> None:
        await asyncio.gather(*(client.set(f"before {number}", 1) for number in range(20)))  # twenty connections
        own_redis.restart()
        found = await asyncio.gather(*(client.get(f"before {number}") for number in range(20)))
        assert found == [b"1"] * 20

    with_client(own_redis.url(), work)


def test_under_uvloop_too_a_connection_that_was_reset_is_replaced(redis_url: str) -> None:
    async def work() -> None:
        client = connect(redis_url, max_connections=1)
        await client.set("kept", 1)
        (connection,) = client.connection_pool._available_connections
        assert connection._writer
        connection._writer.transport.abort()
        assert await client.get("kept") == b"1"
        await client.aclose()

    uvloop.run(work())


def test_a_server_that_is_away_is_a_503_until_it_comes_back(own_redis: RedisServer) -> None:
    async def work(client: Redis) -> None:
        await ready(client)
        own_redis.stop()
        with pytest.raises(NotReady, match="does not answer"), answering():
            await client.get("key")
        with pytest.raises(NotReady, match=r"cannot be used: Error .* connecting"):
            await ready(client)
        own_redis.start()
        with answering():
            assert await client.get("key") is None
        await ready(client)

    with_client(own_redis.url(), work)


def test_a_server_that_hangs_is_waited_for_as_long_as_was_said(own_redis: RedisServer) -> None:
    async def work(client: Redis) -> None:
        await client.ping()
        os.kill(own_redis.pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(NotReady), answering():
            await client.get("key")
        took = time.monotonic() - began
        os.kill(own_redis.pid, signal.SIGCONT)
        assert 0.2 <= took < 2
        await ready(client)

    with_client(own_redis.url(), work, timeout_s=0.2, connect_timeout_s=0.2)


def test_a_full_server_and_a_pool_without_a_free_connection_are_503s(own_redis: RedisServer) -> None:
    async def work(client: Redis) -> None:
        await client.config_set("maxmemory", 1)
        with pytest.raises(NotReady), answering():
            await client.set("key", b"value")
        with pytest.raises(NotReady), answering():
            await client.eval("return redis.call('SET', KEYS[1], 1)", 1, "key")
        blocked = asyncio.ensure_future(client.blpop(["nothing"], timeout=1))
        await asyncio.to_thread(eventually, lambda: is_waiting(own_redis), deadline_s=5)
        with pytest.raises(NotReady), answering():
            await client.get("key")
        assert await blocked is None

    with_client(own_redis.url(), work, max_connections=1, pool_timeout_s=0.1)


def is_waiting(server: RedisServer) -> bool:
    with connect_blocking(server.url()) as other:
        return bool(other.info("clients")["blocked_clients"])


@pytest.mark.parametrize("refused", [("SET", "a", "1"), ("EVAL", "return redis.call('SET', 'a', '1')", "0")])
def test_a_write_that_is_refused_for_the_servers_state_is_a_503(
    own_redis: RedisServer, refused: tuple[str, ...]
) -> None:
    with connect_blocking(own_redis.url()) as client:
        client.config_set("min-replicas-to-write", 1)  # and there is none
        with pytest.raises(NotReady, match="Redis does not answer"), answering():
            client.execute_command(*refused)


def test_our_own_mistakes_stay_what_they_are(redis_url: str) -> None:
    with connect_blocking(redis_url) as client:
        client.set("text", "value")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"), answering():
            client.lpush("text", "value")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"), answering():
            client.eval("return redis.call('LPUSH', KEYS[1], 1)", 1, "text")


def test_a_task_ends_also_if_it_loses_a_cancellation() -> None:
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost > 1:
                    raise

    async def work() -> None:
        tasks = [asyncio.create_task(stubborn())]
        await asyncio.sleep(0)
        await end(tasks)
        assert tasks[0].cancelled()

    asyncio.run(asyncio.wait_for(work(), 10))
    assert lost == 2


@pytest.mark.parametrize("url", ["", "redis://", "http://127.0.0.1:6379", "redis://host:many/0", "127.0.0.1:6379"])
def test_a_url_that_is_none_of_redis_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL is not valid: it must be redis://"):
        connect(url)
