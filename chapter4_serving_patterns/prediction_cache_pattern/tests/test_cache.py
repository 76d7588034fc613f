"""The lesson, with a memory in a dictionary and a clock that is set by hand."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ..cache import Answer, Cache, Outcome, Policy, Result
from ..entry import MAX_BYTES, VERSION
from ..key import Key
from ..memory import Unavailable
from .memories import Dictionary, Model

KEY = Key("cifar10", "0123456789ab", "prep1", "id:0000")
POLICY = Policy(fresh_s=100, stale_s=50, refused_s=10, jitter=0.1, claim_s=5)


class House:
    """A cache, what it asks, and the hands of its clock and of its dice."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.chance = 0.0
        self.store = Dictionary()
        self.model = Model()
        self.cache = self.another()

    def another(self) -> Cache:
        """The cache of another process."""
        return Cache(self.store, POLICY, lambda: self.now, lambda: self.chance)

    async def ask(self, key: Key = KEY) -> Answer:
        return await self.cache.answer(key, self.model)

    async def results(self, *keys: Key) -> list[str]:
        return [(await self.ask(key)).result for key in keys]


def play(scene: Callable[[House], Awaitable[None]]) -> None:
    async def run() -> None:
        house = House()
        await scene(house)
        await turns()

    asyncio.run(run())


async def turns() -> None:
    """Let what goes on in the background go on, until nothing of it can do more by itself."""
    for _ in range(300):
        await asyncio.sleep(0)


def test_the_second_answer_is_a_hit_that_does_not_ask_the_model_and_tells_its_age() -> None:
    async def scene(house: House) -> None:
        first = await house.ask()
        house.now += 7
        second = await house.ask()
        assert (first.result, first.age_s, second.result, second.age_s) == (Result.MISS, 0, Result.HIT, 7)
        assert first.outcome == second.outcome
        assert house.model.calls == 1

    play(scene)


@pytest.mark.parametrize(
    "other",
    [
        KEY._replace(model="ba9876543210"),
        KEY._replace(preprocessing="prep2"),
        KEY._replace(namespace="another"),
        KEY._replace(item="id:0001"),
    ],
)
def test_another_model_preparation_namespace_or_item_is_never_answered_by_this_ones_prediction(other: Key) -> None:
    async def scene(house: House) -> None:
        old = await house.ask(KEY)
        new = await house.ask(other)
        assert new.result is Result.MISS
        assert new.outcome != old.outcome
        assert (await house.ask(KEY)).outcome == old.outcome

    play(scene)


@pytest.mark.parametrize("item", ["*", "?[a-z]*", "../../etc/passwd", "a:b}{c", "x" * 100_000, "\ud800", "\0\r\n", ""])
def test_no_character_of_an_item_reaches_the_key(item: str) -> None:
    key = KEY._replace(item=item)
    assert len(str(key)) == len(str(KEY))
    assert str(key).replace(":", "").isalnum()
    assert all(scope.replace(":", "").isalnum() for scope in key.scopes)


def test_100_identical_requests_at_once_are_one_call_of_the_model() -> None:
    async def scene(house: House) -> None:
        answers = await asyncio.gather(*(house.ask() for _ in range(100)))
        assert house.model.calls == 1
        assert {answer.outcome.content for answer in answers} == {b"1"}
        assert {answer.result for answer in answers} == {Result.MISS}

    play(scene)


def test_so_they_are_from_five_processes() -> None:
    async def scene(house: House) -> None:
        caches = [house.another() for _ in range(5)]
        answers = await asyncio.gather(*(caches[n % 5].answer(KEY, house.model) for n in range(100)))
        assert house.model.calls == 1
        assert {answer.outcome.content for answer in answers} == {b"1"}

    play(scene)


def test_a_process_that_has_claimed_and_died_is_waited_for_and_no_longer() -> None:
    async def scene(house: House) -> None:
        house.store.claims.add(str(KEY))
        assert (await house.ask()).result is Result.MISS
        assert house.model.calls == 1
        assert not house.store.claims

    play(scene)


def test_of_five_processes_that_waited_for_one_that_failed_one_is_next() -> None:
    async def scene(house: House) -> None:
        calls = 0

        async def fails_first() -> Outcome:
            nonlocal calls
            calls += 1
            first = calls == 1
            for _ in range(20):
                await asyncio.sleep(0)
            if first:
                raise RuntimeError("away")
            return Outcome(b"%d" % calls)

        caches = [house.another() for _ in range(6)]
        answers = await asyncio.gather(*(cache.answer(KEY, fails_first) for cache in caches), return_exceptions=True)
        assert calls == 2
        contents = [answer.outcome.content for answer in answers if not isinstance(answer, BaseException)]
        assert contents == [b"2"] * 5

    play(scene)


def test_who_cannot_ask_the_store_joins_the_computation_that_is_in_progress() -> None:
    async def scene(house: House) -> None:
        house.model.go.clear()
        first = asyncio.ensure_future(house.ask())
        await turns()
        house.store.fail = "slow"
        others = [asyncio.ensure_future(house.ask()) for _ in range(10)]
        await turns()
        house.model.go.set()
        assert {(await other).outcome.content for other in (first, *others)} == {b"1"}
        assert house.model.calls == 1

    play(scene)


def test_while_the_store_is_away_too_they_are_one_call() -> None:
    async def scene(house: House) -> None:
        house.store.fail = "down"
        answers = await asyncio.gather(*(house.ask() for _ in range(100)))
        assert house.model.calls == 1
        assert {(answer.result, answer.reason) for answer in answers} == {(Result.BYPASS, "down")}

    play(scene)


def test_one_who_leaves_takes_nothing_from_the_others() -> None:
    async def scene(house: House) -> None:
        house.model.go.clear()
        first, second = (asyncio.ensure_future(house.ask()) for _ in range(2))
        await turns()
        assert house.model.calls == 1
        first.cancel()
        house.model.go.set()
        assert (await second).outcome.content == b"1"
        assert first.cancelled()
        assert (await house.ask()).result is Result.HIT

    play(scene)


def test_what_is_past_its_time_is_answered_once_more_while_it_is_made_anew() -> None:
    async def scene(house: House) -> None:
        await house.ask()
        house.now += 120
        house.model.go.clear()
        stale = [await house.ask() for _ in range(3)]
        assert {(answer.result, answer.outcome.content, answer.age_s) for answer in stale} == {("stale", b"1", 120)}
        house.model.go.set()
        await turns()
        fresh = await house.ask()
        assert (fresh.result, fresh.outcome.content, house.model.calls) == (Result.HIT, b"2", 2)

    play(scene)


def test_a_model_that_is_away_is_not_noticed_as_long_as_there_is_something_stale() -> None:
    async def scene(house: House) -> None:
        await house.ask()
        house.now += 120
        house.model.fails = RuntimeError("away")
        assert (await house.ask()).result is Result.STALE
        house.now += 40
        with pytest.raises(RuntimeError, match="away"):
            await house.ask()
        assert not house.store.claims, "the next one would wait for a failure"

    play(scene)


def test_lives_differ_by_the_jitter_and_the_store_is_told_when_nothing_is_of_use_any_more() -> None:
    async def scene(house: House) -> None:
        await house.ask()
        house.chance = 1.0
        await house.ask(KEY._replace(item="id:0001"))
        assert list(house.store.kept_s.values()) == pytest.approx([150, 140])
        house.now += 95
        assert await house.results(KEY, KEY._replace(item="id:0001")) == ["hit", "stale"]

    play(scene)


def test_what_was_written_with_longer_times_lives_no_longer_than_is_set_now() -> None:
    async def scene(house: House) -> None:
        shorter = Cache(house.store, POLICY._replace(fresh_s=20), lambda: house.now)
        await house.ask()
        house.now += 20
        assert (await shorter.answer(KEY, house.model)).result is Result.STALE
        await turns()
        house.store.contents.clear()
        await house.ask()
        house.now += 70
        assert (await shorter.answer(KEY, house.model)).result is Result.MISS

    play(scene)


def test_a_refusal_is_remembered_briefly_and_never_stale() -> None:
    async def scene(house: House) -> None:
        house.model.refuses = True
        first, second = await house.ask(), await house.ask()
        assert first.outcome == second.outcome
        assert (second.outcome.refused, second.result, house.model.calls) == (True, Result.HIT, 1)
        house.now += 10
        assert (await house.ask()).result is Result.MISS
        assert list(house.store.kept_s.values()) == [10]

    play(scene)


def test_a_failure_is_not_remembered_and_reaches_all_who_waited() -> None:
    async def scene(house: House) -> None:
        house.model.fails = RuntimeError("away")
        answers = await asyncio.gather(*(house.ask() for _ in range(10)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {RuntimeError}
        assert house.model.calls == 1
        house.model.fails = None
        assert (await house.ask()).result is Result.MISS

    play(scene)


@pytest.mark.parametrize("scope", [{"item": KEY.item}, {"model": KEY.model}])
def test_what_is_invalidated_is_not_answered_and_everything_else_is(scope: dict[str, str]) -> None:
    async def scene(house: House) -> None:
        neighbour = Key("cifar10", "ba9876543210", "prep1", "id:0001")
        await house.results(KEY, neighbour)
        await house.cache.forget("cifar10", **scope)
        assert await house.results(KEY, neighbour) == ["miss", "hit"]
        assert await house.results(KEY, neighbour) == ["hit", "hit"]
        await house.cache.forget("another", **scope)
        assert await house.results(KEY, neighbour) == ["hit", "hit"]

    play(scene)


def test_an_item_is_invalidated_for_every_model_and_a_model_for_every_item() -> None:
    async def scene(house: House) -> None:
        keys = [KEY, KEY._replace(model="ba9876543210"), KEY._replace(item="id:0001")]
        await house.results(*keys)
        await house.cache.forget("cifar10", item=KEY.item)
        assert await house.results(*keys) == ["miss", "miss", "hit"]
        await house.cache.forget("cifar10", model=KEY.model)
        assert await house.results(*keys) == ["miss", "hit", "miss"]

    play(scene)


def test_what_was_begun_before_an_invalidation_is_neither_kept_nor_given_to_who_asks_after_it() -> None:
    async def scene(house: House) -> None:
        house.model.go.clear()
        before = asyncio.ensure_future(house.ask())
        await turns()
        assert house.model.calls == 1
        await house.cache.forget("cifar10", item=KEY.item)
        after = asyncio.ensure_future(house.ask())
        await turns()
        house.model.go.set()
        assert ((await before).outcome.content, (await after).outcome.content) == (b"1", b"2")
        assert house.model.calls == 2

    play(scene)


def test_what_was_asked_before_an_invalidation_and_waited_for_another_is_not_kept_as_new() -> None:
    async def scene(house: House) -> None:
        house.store.claims.add(str(KEY))  # of a process that has died
        before = asyncio.ensure_future(house.ask())
        for _ in range(10):
            await asyncio.sleep(0)
        await house.cache.forget("cifar10", item=KEY.item)
        assert (await before).outcome.content == b"1"
        after = await house.ask()
        assert (after.result, after.outcome.content) == (Result.MISS, b"2"), "the first may have read what was replaced"
        assert (await house.ask()).result is Result.HIT

    play(scene)


def test_an_invalidation_that_cannot_be_written_is_an_error() -> None:
    async def scene(house: House) -> None:
        house.store.fail = "down"
        with pytest.raises(Unavailable, match="down"):
            await house.cache.forget("cifar10", item=KEY.item)

    play(scene)


@pytest.mark.parametrize("reason", ["down", "slow", "full"])
def test_a_store_that_fails_is_bypassed_without_an_error_and_used_again_later(reason: str) -> None:
    async def scene(house: House) -> None:
        await house.ask()
        house.store.fail = reason
        answers = [await house.ask() for _ in range(3)]
        assert {(answer.result, answer.reason) for answer in answers} == {(Result.BYPASS, reason)}
        assert house.model.calls == 4
        house.store.fail = ""
        assert (await house.ask()).result is Result.HIT

    play(scene)


def test_a_store_that_takes_nothing_more_still_gives_what_it_has() -> None:
    async def scene(house: House) -> None:
        await house.ask()
        house.store.refuse_writes = "full"
        new = await house.ask(KEY._replace(item="id:0001"))
        assert (new.result, new.reason) == (Result.BYPASS, "full")
        assert (await house.ask()).result is Result.HIT

    play(scene)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:0],
        lambda raw: raw[:1],
        lambda raw: raw[:-1],
        lambda raw: raw[:20],
        lambda raw: bytes([VERSION - 1]) + raw[1:],
        lambda raw: bytes([VERSION + 1]) + raw[1:],
        lambda raw: raw[:-5] + b"x" + raw[-4:],
        lambda _: b'{"prediction": [0.1, 0.9]}',
        lambda raw: raw + raw,
    ],
    ids=["empty", "a byte", "a byte less", "half", "older", "newer", "damaged", "of the book's code", "twice"],
)
def test_a_value_that_cannot_be_read_is_a_miss_and_is_written_anew(damage: Callable[[bytes], bytes]) -> None:
    async def scene(house: House) -> None:
        await house.ask()
        house.store.contents = {key: damage(raw) for key, raw in house.store.contents.items()}
        assert await house.results(KEY, KEY) == ["miss", "hit"]
        assert house.model.calls == 2

    play(scene)


def test_what_is_too_long_is_answered_and_not_kept() -> None:
    async def scene(house: House) -> None:
        async def long() -> Outcome:
            return Outcome(b"x" * (MAX_BYTES + 1))

        for _ in range(2):
            answer = await house.cache.answer(KEY, long)
            assert (answer.result, answer.reason) == (Result.BYPASS, "large")
        assert (house.store.contents, house.store.claims) == ({}, set())

    play(scene)


def test_a_clock_that_is_behind_makes_nothing_of_a_negative_age() -> None:
    async def scene(house: House) -> None:
        await house.ask()
        house.now -= 5
        answer = await house.ask()
        assert (answer.result, answer.age_s) == (Result.HIT, 0)

    play(scene)
