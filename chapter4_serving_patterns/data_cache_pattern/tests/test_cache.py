"""The lesson, without Redis, source or clock."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from mlsys.errors import NotReady

from ..cache import Found
from ..value import Entry, decode, encode
from .shelf import AWAY, POLICY, SOURCE_AWAY, Shelf, key, tensor

Scene = Callable[[Shelf], Awaitable[None]]


def play(scene: Scene) -> None:
    """Run a scene in a loop of its own, and end what it left."""

    async def whole() -> None:
        shelf = Shelf()
        await scene(shelf)
        shelf.go.set()
        await shelf.cache.flights.close()

    asyncio.run(whole())


def number(found: Found) -> int:
    assert found.tensor is not None
    return int(found.tensor[0, 0])


def test_a_miss_asks_the_source_once_and_then_it_is_a_hit_that_grows_older() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        first = await shelf.one("0000")
        assert (number(first), first.how, first.age_s) == (7, "miss", 0)
        shelf.now += 42
        second = await shelf.one("0000")
        assert (number(second), second.how, second.age_s) == (7, "hit", 42)
        assert shelf.fetched == ["0000"]
        assert shelf.kept_ms == {key("0000"): 1_000_000}
        assert shelf.told == {"miss": 1, "filled": 1, "hit": 1}

    play(scene)


def test_the_age_counts_from_before_the_source_was_asked() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        shelf.go.clear()
        asking = asyncio.create_task(shelf.one("0000"))
        await shelf.settled()
        shelf.now += 3  # that is how long the source takes
        shelf.go.set()
        assert (await asking).age_s == 3
        assert (await shelf.one("0000")).age_s == 3

    play(scene)


def test_the_caller_is_served_before_the_value_is_stored() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        shelf.stores.clear()
        assert number(await shelf.one("0000")) == 7
        assert shelf.values == {}
        shelf.stores.set()
        await shelf.settled()
        assert set(shelf.values) == {key("0000")}

    play(scene)


def test_several_ids_are_one_round_trip_and_keep_their_order_whatever_each_is() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers = {f"{each:04}": each for each in range(5)}
        await shelf.one("0000")
        await shelf.one("0001")
        shelf.trips = 0
        ids = ["0003", "0000", "none", "0001", "0004"]
        found = await shelf.cache.get(ids)
        assert shelf.trips == 1
        assert list(found) == ids
        assert [each.how for each in found.values() if isinstance(each, Found)] == [
            "miss",
            "hit",
            "miss",
            "hit",
            "miss",
        ]

    play(scene)


def test_one_item_that_cannot_be_fetched_takes_nothing_from_the_others() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        await shelf.one("0000")
        shelf.source_fails = SOURCE_AWAY
        found = await shelf.cache.get(["0000", "0001"])
        assert isinstance(found["0000"], Found)
        assert found["0001"] is SOURCE_AWAY

    play(scene)


def test_a_hundred_callers_at_once_are_one_fetch() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        shelf.go.clear()
        asking = [asyncio.create_task(shelf.one("0000")) for _ in range(100)]
        await shelf.settled()
        shelf.go.set()
        assert {number(found) for found in await asyncio.gather(*asking)} == {7}
        assert shelf.fetched == ["0000"]

    play(scene)


def test_a_caller_who_goes_away_does_not_take_the_fetch_from_the_others() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        shelf.go.clear()
        first, second = (asyncio.create_task(shelf.one("0000")) for _ in range(2))
        await shelf.settled()
        first.cancel()
        await shelf.settled()
        shelf.go.set()
        assert number(await second) == 7
        assert shelf.fetched == ["0000"]

    play(scene)


def test_no_more_items_are_fetched_at_a_time_than_allowed() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers = {f"{each:04}": each for each in range(30)}
        shelf.go.clear()
        asking = asyncio.create_task(shelf.cache.get(list(shelf.numbers)))
        await shelf.settled()
        shelf.go.set()
        await asking
        assert (len(shelf.fetched), shelf.most_at_once) == (30, POLICY.fetches)

    play(scene)


def test_an_older_tensor_is_used_at_once_and_renewed_in_the_background() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        await shelf.one("0000")
        shelf.numbers["0000"] = 8
        shelf.now += POLICY.renew_s
        shelf.go.clear()  # the source takes its time, and the caller does not wait for it
        stale = (await shelf.cache.get(["0000"]))["0000"]
        assert isinstance(stale, Found)
        assert (number(stale), stale.how, stale.age_s) == (7, "stale", POLICY.renew_s)
        shelf.go.set()
        await shelf.settled()
        renewed = await shelf.one("0000")
        assert (number(renewed), renewed.how, renewed.age_s) == (8, "hit", 0)

    play(scene)


def test_an_expired_tensor_is_fetched_anew_while_the_caller_waits() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        await shelf.one("0000")
        shelf.numbers["0000"] = 8
        shelf.now += POLICY.expire_s
        found = await shelf.one("0000")
        assert (number(found), found.how, found.age_s) == (8, "expired", 0)

    play(scene)


def test_an_expired_tensor_is_refused_where_that_is_set_and_there_again_when_it_is_renewed() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf = Shelf(POLICY._replace(refuse_expired=True))
        shelf.numbers["0000"] = 7
        await shelf.one("0000")
        shelf.now += POLICY.expire_s
        with pytest.raises(NotReady, match="What is known of item 0000 is 300 s old, and is being renewed"):
            await shelf.one("0000")
        assert shelf.told["refused"] == 1
        assert (await shelf.one("0000")).how == "hit"

    play(scene)


def test_an_expired_tensor_is_never_used_when_the_source_is_away() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        await shelf.one("0000")
        shelf.source_fails = SOURCE_AWAY
        shelf.now += POLICY.expire_s - 1
        assert (await shelf.one("0000")).how == "stale"
        shelf.now += 1
        with pytest.raises(NotReady, match="The source is away"):
            await shelf.one("0000")
        assert shelf.told["not fetched"] == 2

    play(scene)


def test_that_an_item_has_no_tensor_is_remembered_for_a_short_time() -> None:
    async def scene(shelf: Shelf) -> None:
        first, second = await shelf.one("none"), await shelf.one("none")
        assert (first.tensor, first.reason, first.how) == (None, "there is none", "miss")
        assert (second.tensor, second.reason, second.how) == (None, "there is none", "hit")
        assert shelf.fetched == ["none"]
        assert shelf.kept_ms == {key("none"): 10_000}
        shelf.numbers["none"] = 9
        shelf.now += POLICY.absent_s
        assert number(await shelf.one("none")) == 9

    play(scene)


def test_a_deleted_item_is_absent_once_its_tensor_was_renewed() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        await shelf.one("0000")
        del shelf.numbers["0000"]
        shelf.now += POLICY.renew_s
        assert number(await shelf.one("0000")) == 7
        assert (await shelf.one("0000")).tensor is None

    play(scene)


def test_who_asks_for_renewal_gets_a_new_tensor_and_the_next_gets_it_too() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        await shelf.one("0000")
        shelf.numbers["0000"] = 8
        renewed = await shelf.one("0000", renew=True)
        assert (number(renewed), renewed.how) == (8, "bypass")
        assert number(await shelf.one("0000")) == 8

    play(scene)


def test_who_asks_for_renewal_gets_nothing_that_was_begun_before_and_ten_of_them_are_one_fetch() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        shelf.go.clear()
        early = asyncio.create_task(shelf.one("0000"))
        await shelf.settled()
        shelf.now += 3  # here the item changes
        renewing = [asyncio.create_task(shelf.one("0000", renew=True)) for _ in range(10)]
        await shelf.settled()
        assert shelf.fetched == ["0000"]
        shelf.go.set()
        assert (await early).age_s == 3
        assert {found.age_s for found in await asyncio.gather(*renewing)} == {0}
        assert shelf.fetched == ["0000", "0000"]
        assert (await shelf.one("0000")).age_s == 0

    play(scene)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"garbage",
        b"[[7, 7], [7, 7]]",
        encode(Entry(1_000_000.0, tensor(1)))[:-1],
        b"\x00" + encode(Entry(1_000_000.0, tensor(1)))[1:],
        encode(Entry(1_000_000.0, tensor(1).astype("<f4"))),
        encode(Entry(1_000_000.0, tensor(1)[:1])),
        encode(Entry(1_000_061.0, tensor(1))),
    ],
    ids=["empty", "garbage", "JSON", "truncated", "older", "another dtype", "another shape", "from the future"],
)
def test_a_value_that_is_not_ours_is_a_miss_and_is_written_over(value: bytes) -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        shelf.values[key("0000")] = value
        found = await shelf.one("0000")
        assert (number(found), found.how) == (7, "miss")
        assert decode(shelf.values[key("0000")]) is not None
        assert (await shelf.one("0000")).how == "hit"

    play(scene)


def test_a_clock_that_is_a_little_behind_makes_no_negative_age() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.values[key("0000")] = encode(Entry(shelf.now + 5, tensor(7)))
        assert (await shelf.one("0000")).age_s == 0

    play(scene)


def test_without_redis_every_answer_comes_from_the_source_and_redis_is_asked_once_in_a_while() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        shelf.fails = AWAY
        for _ in range(10):
            found = await shelf.one("0000")
            assert (number(found), found.how) == (7, "bypass")
        assert shelf.trips == 1
        assert shelf.told == {"bypass": 10, "not filled": 10}
        shelf.fails = None
        shelf.now += POLICY.pause_s
        assert [(await shelf.one("0000")).how for _ in range(2)] == ["miss", "hit"]

    play(scene)


def test_after_the_pause_one_request_asks_redis_and_the_others_do_not_wait_for_its_answer() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers["0000"] = 7
        shelf.fails = AWAY
        await shelf.one("0000")
        shelf.now += POLICY.pause_s
        shelf.answers.clear()  # Redis hangs
        shelf.trips = 0
        asking = [asyncio.create_task(shelf.one("0000")) for _ in range(10)]
        await asyncio.wait(asking[1:])
        assert (shelf.trips, asking[0].done()) == (1, False)
        shelf.fails = None
        shelf.answers.set()
        assert (await asking[0]).how == "miss"
        assert (await shelf.one("0000")).how == "hit"

    play(scene)


def test_a_redis_that_is_full_is_read_and_its_refusals_are_counted() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers = {"0000": 7, "0001": 8}
        await shelf.one("0000")
        shelf.full = True
        assert [(await shelf.one(item)).how for item in ("0000", "0001", "0001", "0000")] == [
            "hit", "miss", "miss", "hit",
        ]  # fmt: skip
        assert shelf.told["not filled"] == 2

    play(scene)


def test_warming_fetches_what_is_lacking_or_old_and_nothing_else() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers = {"old": 1, "young": 2, "new": 3}
        await shelf.one("old")
        shelf.now += POLICY.renew_s
        await shelf.one("young")
        shelf.fetched.clear()
        shelf.trips = 0
        await shelf.cache.warm(["old", "young", "new"])
        assert sorted(shelf.fetched) == ["new", "old"]
        assert shelf.trips == 1
        await shelf.settled()
        assert [(await shelf.one(item)).how for item in shelf.numbers] == ["hit", "hit", "hit"]

    play(scene)


def test_warming_goes_on_past_what_cannot_be_fetched_and_does_nothing_without_redis() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.source_fails = SOURCE_AWAY
        await shelf.cache.warm(["0000", "0001"])
        assert shelf.told["not fetched"] == 2
        shelf.fails = AWAY
        await shelf.cache.warm(["0000", "0001"])
        assert len(shelf.fetched) == 2

    play(scene)


@pytest.mark.parametrize("item", ["../../etc/passwd", "*", "0000:0001", "größe 猫", "}{items}", "a\x00b", "x" * 10_000])
def test_an_id_is_part_of_a_key_and_nothing_more(item: str) -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.numbers = {item: 7, "0000": 1}
        await shelf.one("0000")
        assert [(await shelf.one(item)).how for _ in range(2)] == ["miss", "hit"]
        assert set(shelf.values) == {key("0000"), key(item)}

    play(scene)


def test_a_mistake_of_ours_is_not_hidden() -> None:
    async def scene(shelf: Shelf) -> None:
        shelf.source_fails = ZeroDivisionError()
        said: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["exception"]))
        with pytest.raises(ZeroDivisionError):
            await shelf.one("0000")
        assert said == [shelf.source_fails]

    play(scene)


def test_work_in_the_background_is_given_up_at_the_end_also_if_it_loses_a_cancellation() -> None:
    async def deaf(_: str) -> Entry:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        raise AssertionError

    async def scene(shelf: Shelf) -> None:
        shelf.cache.flights.join("0000", deaf)
        await shelf.settled()
        async with asyncio.timeout(20):
            await shelf.cache.flights.close()

    play(scene)
