"""The memory in a real Redis: what it keeps, what it costs when Redis is away, slow or full, and what it is asked."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import uvloop
from structlog.testing import capture_logs

from mlsys.ports import free_port
from mlsys.redis import Redis, connect, connect_blocking
from mlsys.redis_server import RedisServer

from ..breaker import Breaker
from ..entry import Entry, encode
from ..key import Key, Scopes
from ..memory import Claim, Found, Store, Unavailable
from ..near import Near
from ..store import MARKS, TAG, RedisStore
from .memories import Dictionary

KEY = Key("cifar10", "0123456789ab", "prep1", "id:0000")
NAME, SCOPES = str(KEY), KEY.scopes
LONG_S = 5.0  # a busy machine must not decide these tests


def with_store(
    url: str,
    scene: Callable[[RedisStore, Redis], Awaitable[None]],
    *,
    budget_s: float = LONG_S,
    rest_s: float = 1.0,
    timeout_s: float = 1.0,
    loop: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run,
) -> None:
    async def run() -> None:
        client = connect(url, connect_timeout_s=timeout_s, timeout_s=timeout_s)
        store = RedisStore(client, Breaker(budget_s=budget_s, rest_s=rest_s))
        try:
            await scene(store, client)
        finally:
            await store.close()

    loop(run())


async def refused(ask: Awaitable[object]) -> str:
    with pytest.raises(Unavailable) as error:
        await ask
    return error.value.reason


@contextmanager
def stopped(server: RedisServer) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_what_is_put_is_got_until_it_ends(redis_url: str) -> None:
    async def scene(store: RedisStore, client: Redis) -> None:
        assert await store.get(NAME, SCOPES) == Found(None, (0.0, 0.0))
        await store.put(NAME, b"\x00\xff", 100)
        assert await store.get(NAME, SCOPES) == Found(b"\x00\xff", (0.0, 0.0))
        assert 99_000 < await client.pttl(TAG + NAME) <= 100_000
        assert await client.keys() == [(TAG + NAME).encode()]

    with_store(redis_url, scene)


def test_one_claims_and_the_others_wait_until_it_has_put(redis_url: str) -> None:
    async def scene(store: RedisStore, _: Redis) -> None:
        assert await store.claim(NAME, None, 60) is Claim.OURS
        assert await store.claim(NAME, None, 60) is Claim.ANOTHERS
        waiting = asyncio.ensure_future(store.wait(NAME, 60))
        await asyncio.sleep(0)
        assert not waiting.done()
        await store.put(NAME, b"1", 100)
        await asyncio.wait_for(waiting, LONG_S)
        assert await store.claim(NAME, None, 60) is Claim.CHANGED, "it has read before the other had finished"
        assert await store.claim(NAME, b"1", 60) is Claim.OURS
        await store.release(NAME)
        assert await store.claim(NAME, b"1", 60) is Claim.OURS

    with_store(redis_url, scene)


def test_a_claim_ends_by_itself_and_a_wait_too(redis_url: str) -> None:
    async def scene(store: RedisStore, _: Redis) -> None:
        assert await store.claim(NAME, None, 0.05) is Claim.OURS
        await store.wait(NAME, 60)
        assert await store.claim(NAME, None, 60) is Claim.OURS
        await store.wait(NAME, 0.05)

    with_store(redis_url, scene)


def test_a_mark_is_seen_by_what_it_is_for_and_differs_from_the_one_before(redis_url: str) -> None:
    async def scene(store: RedisStore, client: Redis) -> None:
        marks = []
        for _ in range(50):
            await store.mark(SCOPES[1], 100)
            marks.append((await store.get(NAME, SCOPES)).marks)
        assert len({item for _, item in marks}) == 50
        assert {model for model, _ in marks} == {0.0}
        other = KEY._replace(item="id:0001")
        assert (await store.get(str(other), other.scopes)).marks == (0.0, 0.0)
        assert await client.ttl(MARKS) == -1, "an eviction would bring back what was invalidated"

    with_store(redis_url, scene)


def test_a_mark_is_removed_by_the_next_one_when_nothing_that_it_is_for_can_be_left(redis_url: str) -> None:
    async def scene(store: RedisStore, client: Redis) -> None:
        await store.mark("first", 100)
        (first,) = await client.zmscore(MARKS, ["first"])
        assert (time.time() + 99) * 1e6 < (first or 0) < (time.time() + 102) * 1e6
        await client.zadd(MARKS, {"first": (time.time() - 1) * 1e6})  # as if it were later
        await store.mark("second", 100)
        assert await client.zrange(MARKS, 0, -1) == [b"second"]

    with_store(redis_url, scene)


def test_a_service_with_shorter_times_removes_no_mark_of_one_that_shares_the_redis(redis_url: str) -> None:
    async def scene(store: RedisStore, _: Redis) -> None:
        over_at_once = -1
        await store.mark(SCOPES[1], 100)
        before = (await store.get(NAME, SCOPES)).marks
        await store.mark("another:item:0", over_at_once)
        assert (await store.get(NAME, SCOPES)).marks == before, "what was invalidated would be answered again"
        await store.mark(SCOPES[1], over_at_once)
        assert (await store.get(NAME, SCOPES)).marks > before, "a mark that ends sooner must not look like an older one"

    with_store(redis_url, scene)


def test_what_is_asked_at_one_moment_goes_in_one_round_trip(redis_url: str) -> None:
    async def scene(store: RedisStore, client: Redis) -> None:
        keys = [KEY._replace(item=f"id:{number}") for number in range(100)]
        await asyncio.gather(*(store.put(str(key), key.item.encode(), 100) for key in keys[::2]))
        await store.mark(keys[4].scopes[1], 100)
        before = (await client.info("commandstats"))["cmdstat_mget"]["calls"] if await client.mget(["x"]) else 0
        found = await asyncio.gather(*(store.get(str(key), key.scopes) for key in keys))
        assert (await client.info("commandstats"))["cmdstat_mget"]["calls"] == before + 1
        assert [each.content for each in found[:3]] == [b"id:0", None, b"id:2"]
        assert [number for number, each in enumerate(found) if each.marks != (0.0, 0.0)] == [4]

    with_store(redis_url, scene)


def test_what_is_asked_while_an_answer_is_on_its_way_goes_together_after_it(own_redis: RedisServer) -> None:
    async def scene(store: RedisStore, client: Redis) -> None:
        await store.get(NAME, SCOPES)
        before = (await client.info("commandstats"))["cmdstat_mget"]["calls"]
        with stopped(own_redis):
            asking = []
            for _ in range(10):
                asking.append(asyncio.ensure_future(store.get(NAME, SCOPES)))
                await asyncio.sleep(0.01)
        assert await asyncio.gather(*asking) == [Found(None, (0.0, 0.0))] * 10
        assert (await client.info("commandstats"))["cmdstat_mget"]["calls"] == before + 2

    with_store(own_redis.url(), scene)


def test_a_caller_who_leaves_takes_nothing_from_those_who_asked_with_it(redis_url: str) -> None:
    async def scene(store: RedisStore, _: Redis) -> None:
        await store.put(NAME, b"1", 100)
        first, second = (asyncio.ensure_future(store.get(NAME, SCOPES)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).content == b"1"

    with_store(redis_url, scene)


def test_a_redis_that_hangs_costs_the_budget_once_and_then_nothing_until_it_is_asked_again(
    own_redis: RedisServer,
) -> None:
    async def scene(store: RedisStore, _: Redis) -> None:
        await store.put(NAME, b"1", 100)
        with stopped(own_redis):
            began = time.monotonic()
            together = await asyncio.gather(*(refused(store.get(NAME, SCOPES)) for _ in range(100)))
            assert set(together) == {"slow"}
            assert 0.2 <= time.monotonic() - began < 10, "each of them waited"
            began = time.monotonic()
            assert [await refused(store.get(NAME, SCOPES)) for _ in range(100)] == ["slow"] * 100
            assert time.monotonic() - began < 10, "each of them waited"
        assert await refused(store.put(NAME, b"2", 100)) == "slow"

    with_store(own_redis.url(), scene, budget_s=0.2, rest_s=60)


def test_it_is_used_again_as_soon_as_it_answers_again(own_redis: RedisServer) -> None:
    async def scene(store: RedisStore, _: Redis) -> None:
        await store.put(NAME, b"1", 100)
        with stopped(own_redis):
            assert await refused(store.get(NAME, SCOPES)) == "slow"
        await used_again(store)
        own_redis.kill()
        assert await refused(until_refused(store)) == "down"
        own_redis.start()
        await used_again(store)

    with_store(own_redis.url(), scene, budget_s=0.3, rest_s=0.1)


def test_a_redis_that_comes_and_goes_rests_longer_each_time_and_is_told_of_once() -> None:
    now, fails = 0.0, True
    breaker = Breaker(budget_s=LONG_S, rest_s=1.0, clock=lambda: now)

    async def ask() -> int:
        if fails:
            raise redis.ConnectionError("gone")
        return 1

    async def scene() -> None:
        nonlocal now, fails
        rests = []
        for _ in range(7):
            fails = True
            assert await refused(breaker(ask)) == "down"
            fails, began = False, now
            while await resting(breaker(ask)):
                now += 0.01
            rests.append(now - began)
        assert rests == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1, 1], abs=0.02)
        now += 1.01
        assert await breaker(ask) == 1
        fails = True
        assert await refused(breaker(ask)) == "down"

    with capture_logs() as logs:
        asyncio.run(scene())
    assert [log["event"] for log in logs] == ["Redis is bypassed", "Redis is used again", "Redis is bypassed"]


def test_what_redis_refuses_is_told_once_and_with_its_words() -> None:
    async def ask() -> None:
        raise redis.exceptions.NoPermissionError("this user has no permissions")

    async def scene() -> None:
        breaker = Breaker(budget_s=LONG_S, rest_s=1.0)
        assert [await refused(breaker(ask)) for _ in range(100)] == ["refused"] * 100

    with capture_logs() as logs:
        asyncio.run(scene())
    assert [log["said"] for log in logs] == ["this user has no permissions"]


async def resting(ask: Awaitable[object]) -> bool:
    try:
        await ask
    except Unavailable:
        return True
    return False


def test_all_who_wait_know_at_the_same_moment_that_it_hangs(own_redis: RedisServer) -> None:
    async def scene(store: RedisStore, _: Redis) -> None:
        await store.put(NAME, b"1", 100)
        told: list[float] = []
        with stopped(own_redis):
            asking = []
            for _ask in range(10):
                asking.append(asyncio.ensure_future(refused(store.get(NAME, SCOPES))))
                asking[-1].add_done_callback(lambda _: told.append(time.monotonic()))
                await asyncio.sleep(0.03)  # not together
            assert await asyncio.gather(*asking) == ["slow"] * 10
        assert max(told) - min(told) < 0.15, "each had a time of its own"

    with_store(own_redis.url(), scene, budget_s=0.5, rest_s=60)


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_process_that_is_too_busy_to_read_the_answer_does_not_take_redis_for_slow(
    redis_url: str, loop: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def scene(store: RedisStore, _: Redis) -> None:
        async def busy() -> None:
            while True:
                time.sleep(0.01)  # noqa: ASYNC251  # as the work for a burst of requests does
                await asyncio.sleep(0)

        burst = asyncio.ensure_future(busy())
        await asyncio.gather(*(store.put(f"{number}", b"1", 100) for number in range(40)))  # over new connections
        assert await store.claim(NAME, None, 60) is Claim.OURS
        assert (await store.get("3", SCOPES)).content == b"1"
        burst.cancel()

    with_store(redis_url, scene, budget_s=0.02, timeout_s=30, loop=loop)


def test_a_claim_that_is_granted_too_late_is_given_back(own_redis: RedisServer) -> None:
    async def scene(store: RedisStore, client: Redis) -> None:
        assert await client.exists(NAME) == 0  # connected
        with stopped(own_redis):
            assert await refused(store.claim(NAME, None, 600)) == "slow"
        async with asyncio.timeout(20):
            while "cmdstat_del" not in await client.info("commandstats"):  # noqa: ASYNC110  # nobody tells when
                await asyncio.sleep(0.02)
        assert await client.exists(f"{TAG}{NAME}:claim") == 0
        assert (await client.info("commandstats"))["cmdstat_eval"]["calls"] == 1

    with_store(own_redis.url(), scene, budget_s=0.1, timeout_s=20)


async def used_again(store: Store) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                assert (await store.get(NAME, SCOPES)).content == b"1"
            except Unavailable:
                await asyncio.sleep(0.02)
            else:
                return


async def until_refused(store: Store) -> None:
    """Raises: Unavailable for another reason than that it was slow."""
    async with asyncio.timeout(20):
        while True:
            try:
                await store.get(NAME, SCOPES)
            except Unavailable as error:
                if error.reason != "slow":
                    raise
            await asyncio.sleep(0.02)


def test_a_connection_that_takes_longer_than_the_budget_is_made_in_the_end(redis_url: str) -> None:
    before, _, after = redis_url.rpartition("@127.0.0.1:")
    port = int(after.partition("/")[0])

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.append(ended := asyncio.Event())
        await asyncio.sleep(0.3)  # as a TLS handshake over a long way
        upstream = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, upstream[1]), pump(upstream[0], writer))
        ended.set()

    async def run() -> None:
        async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
            near = server.sockets[0].getsockname()[1]
            client = connect(f"{before}@127.0.0.1:{near}/0")
            store = RedisStore(client, Breaker(budget_s=0.1, rest_s=0.1))
            assert await refused(store.get(NAME, SCOPES)) == "slow"
            async with asyncio.timeout(20):
                while (await store.ready()) != "ok":  # noqa: ASYNC110  # nobody tells when
                    await asyncio.sleep(0.02)
            await store.close()
            await asyncio.wait_for(asyncio.gather(*(ended.wait() for ended in relays)), LONG_S)

    relays: list[asyncio.Event] = []
    asyncio.run(run())


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(65536):
        writer.write(block)
    writer.close()
    await writer.wait_closed()


def test_nobody_at_the_address_is_down_at_once_and_an_invalidation_is_told_so() -> None:
    async def scene(store: RedisStore, _: Redis) -> None:
        assert await refused(store.get(NAME, SCOPES)) == "down"
        assert await refused(store.claim(NAME, None, 1)) == "down"
        assert await refused(store.mark(SCOPES[0], 100)) == "down"
        assert await store.ready() == "bypassed: down"

    with_store(f"redis://127.0.0.1:{free_port()}/0", scene)


def test_a_wrong_password_is_bypassed_like_every_other_failure(redis_url: str) -> None:
    async def scene(store: RedisStore, _: Redis) -> None:
        assert await refused(store.get(NAME, SCOPES)) == "down"

    with_store(redis_url.replace("redis://:", "redis://:x"), scene)


def test_a_full_redis_refuses_what_is_new_and_gives_what_it_has(own_redis: RedisServer) -> None:
    async def scene(store: RedisStore, client: Redis) -> None:
        await store.put(NAME, b"1", 100)
        await client.config_set("maxmemory", 1)
        other = KEY._replace(item="id:0001")
        assert await refused(store.put(str(other), b"2", 100)) == "full"
        assert await refused(store.claim(str(other), None, 1)) == "full"
        assert (await store.get(NAME, SCOPES)).content == b"1", "what it refuses is no reason to let it rest"
        await store.mark(SCOPES[0], 100)
        assert (await store.get(NAME, SCOPES)).marks[0] > 0, "to invalidate is possible also then"

    with_store(own_redis.url(), scene)


def test_under_the_patterns_configuration_marks_stay_when_predictions_have_to_go(tmp_path: Path) -> None:
    async def scene(store: RedisStore, client: Redis) -> None:
        used = (await client.info("memory"))["used_memory"]
        await client.config_set("maxmemory", used + (1 << 20))
        await store.mark(SCOPES[1], 1000)
        keys = [KEY._replace(item=f"id:{number}") for number in range(20_000)]
        for start in range(0, len(keys), 1000):
            together = client.pipeline(transaction=False)
            for key in keys[start : start + 1000]:
                together.set(TAG + str(key), content(), px=1_000_000)
            await together.execute()
        info = await client.info()
        assert info["evicted_keys"] > 0
        assert await client.dbsize() < len(keys) / 2
        assert (await store.get(str(keys[-1]), keys[-1].scopes)).content == content()
        assert (await store.get(NAME, SCOPES)).marks[1] > 0

    file = Path(__file__).parents[1] / "redis.conf"
    with RedisServer(tmp_path / "redis", configuration=file) as server:
        with connect_blocking(server.url()) as client:
            assert client.config_get("maxmemory*")["maxmemory"] == str(64 << 20)
        with_store(server.url(), scene)


def test_a_prediction_takes_some_250_bytes(redis_url: str) -> None:
    async def scene(store: RedisStore, client: Redis) -> None:
        await store.put(NAME, content(), 1000)
        assert (await client.memory_usage(TAG + NAME) or 0) in range(100, 250)

    with_store(redis_url, scene)


def content() -> bytes:
    return encode(Entry(False, 1e9, 3600, (0.0, 0.0), b"x" * 41))


def test_the_near_memory_answers_for_a_second_what_the_far_one_said(redis_url: str) -> None:
    async def scene(store: RedisStore, client: Redis) -> None:
        now = 0.0
        near = Near(store, entries=2, keep_s=1, clock=lambda: now)
        assert (await near.get(NAME, SCOPES)).content is None, "what is not there is not remembered"
        await near.put(NAME, b"1", 100)
        assert (await near.get(NAME, SCOPES)).content == b"1"
        await client.set(TAG + NAME, b"2")
        assert (await near.get(NAME, SCOPES)).content == b"1"
        now = 1.0
        assert (await near.get(NAME, SCOPES)).content == b"2"
        await client.flushall()
        assert (await near.get(NAME, SCOPES)).content == b"2"
        await near.mark(SCOPES[0], 100)
        assert (await near.get(NAME, SCOPES)).content is None

    with_store(redis_url, scene)


def test_the_near_memory_is_bounded_and_forgets_what_was_used_least_recently(redis_url: str) -> None:
    async def scene(store: RedisStore, client: Redis) -> None:
        near = Near(store, entries=2, keep_s=60, clock=lambda: 0.0)
        for name in "abc":
            await store.put(name, name.encode(), 100)
        for name in "abac":
            await near.get(name, SCOPES)
        await client.flushall()
        assert [(await near.get(name, SCOPES)).content for name in "abc"] == [b"a", None, b"c"]

    with_store(redis_url, scene)


def test_the_near_memory_keeps_nothing_that_was_read_before_an_invalidation() -> None:
    async def scene() -> None:
        answered = asyncio.Event()

        class Late(Dictionary):
            async def get(self, key: str, scopes: Scopes) -> Found:
                found = await super().get(key, scopes)
                await answered.wait()
                return found

        late = Late()
        late.contents[NAME] = b"1"
        near = Near(late, entries=2, keep_s=60, clock=lambda: 0.0)
        reading = asyncio.create_task(near.get(NAME, SCOPES))
        await near.mark(SCOPES[0], 100)
        answered.set()
        assert (await reading).content == b"1"
        late.contents.clear()
        assert (await near.get(NAME, SCOPES)).content is None

    asyncio.run(scene())
