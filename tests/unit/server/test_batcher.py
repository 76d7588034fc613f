"""Batching, as decisions under a clock of the test's own, and as real threads that compute."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Hashable, Iterator
from typing import Any

import pytest

from mlsys.errors import DeadlineExceeded, InternalError, NotReady, OverCapacity
from mlsys.server.batcher import Batcher, Engine, Item, Limits, Queue
from mlsys.testing import eventually

WAIT_S = 10.0


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """For futures that nobody awaits."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def item(loop: asyncio.AbstractEventLoop) -> Callable[..., Item]:
    def item(payload: object = None, *, rows: int = 1, key: Hashable = "", since: float = 0.0) -> Item:
        return Item(payload, rows, key, loop.create_future(), since)

    return item


def queue_of(*items: Item, running: int = 0, **limits: Any) -> Queue:  # noqa: ANN401  # those of Limits
    queue = Queue(Limits(**limits), running=running)
    for one in items:
        queue.put(one)
    return queue


def test_what_waits_is_taken_together_up_to_the_bound_in_order(item: Callable[..., Item]) -> None:
    queue = queue_of(*[item(number) for number in range(5)], max_batch=3)
    assert [one.payload for one in queue.take()] == [0, 1, 2]
    assert [one.payload for one in queue.take()] == [3, 4]
    assert queue.due() is None


def test_the_bound_is_on_rows_and_a_smaller_one_fills_the_place_that_a_larger_left(item: Callable[..., Item]) -> None:
    queue = queue_of(item("two", rows=2), item("three", rows=3), item("one", rows=1), max_batch=4)
    assert [one.payload for one in queue.take()] == ["two", "one"]
    assert [one.payload for one in queue.take()] == ["three"]


def test_a_request_larger_than_the_bound_is_alone_and_whole(item: Callable[..., Item]) -> None:
    queue = queue_of(item("large", rows=9), item("small"), max_batch=4)
    assert [one.payload for one in queue.take()] == ["large"]


def test_only_equal_keys_are_taken_together_and_the_oldest_decides_which(item: Callable[..., Item]) -> None:
    queue = queue_of(item(1, key="a"), item(2, key="b"), item(3, key="a"), item(4, key="b"), max_batch=8)
    assert [one.payload for one in queue.take()] == [1, 3]
    assert [one.payload for one in queue.take()] == [2, 4]


def test_a_lone_request_on_an_idle_model_waits_for_nobody(item: Callable[..., Item]) -> None:
    assert queue_of(item(since=5.0), max_delay_s=1.0).due() == 5.0


def test_while_the_model_is_at_work_a_request_is_held_back_for_the_delay_and_no_longer(
    item: Callable[..., Item],
) -> None:
    queue = queue_of(item(since=5.0), item(since=5.5), running=1, max_delay_s=1.0)
    assert queue.due() == 6.0
    queue.running = 0
    assert queue.due() == 5.0


def test_a_full_batch_is_not_held_back(item: Callable[..., Item]) -> None:
    queue = queue_of(item(since=5.0), running=1, max_delay_s=1.0, max_batch=2)
    queue.put(item(since=5.1, key="another"))
    assert queue.due() == 6.0
    queue.put(item(since=5.2))
    assert queue.due() == 5.0


def test_without_a_delay_nothing_is_ever_held_back(item: Callable[..., Item]) -> None:
    assert queue_of(item(since=5.0), running=3).due() == 5.0


def test_above_the_bound_of_the_queue_a_request_is_refused_and_those_before_it_stay(item: Callable[..., Item]) -> None:
    queue = queue_of(item(1), item(2), max_queue=2)
    with pytest.raises(OverCapacity, match="2 requests wait"):
        queue.put(item(3))
    assert [one.payload for one in queue.take()] == [1, 2]


class Bench:
    """A batcher whose computing the test holds up and watches: results are payloads times ten."""

    def __init__(self, *, threads: int = 1, **limits: Any) -> None:  # noqa: ANN401  # those of Limits
        self.batches: list[list[Any]] = []
        self.observed: list[tuple[int, list[float]]] = []
        self.go = threading.Semaphore(0)
        self.computing = threading.Semaphore(0)
        self.engine = Engine(threads)
        self.batcher = Batcher(
            self.engine, self._run, Limits(**limits), lambda rows, waits, _: self.observed.append((rows, list(waits)))
        )

    def _run(self, payloads: list[Any]) -> list[Any]:
        self.batches.append(payloads)
        self.computing.release()
        assert self.go.acquire(timeout=WAIT_S)
        if "bad" in payloads:
            raise ValueError("bad")
        return [payload * 10 for payload in payloads]

    def ask(self, payload: object, timeout_s: float | None = None) -> "asyncio.Task[Any]":
        return asyncio.create_task(self.batcher.submit(payload, rows=1, key="", timeout_s=timeout_s))

    async def busy(self) -> "asyncio.Task[Any]":
        """Let the model compute something that ends when the test says so."""
        task = self.ask(0)
        assert await asyncio.to_thread(self.computing.acquire, timeout=WAIT_S)
        return task


def run(test: Callable[[Bench], Coroutine[Any, Any, None]], **limits: Any) -> Bench:  # noqa: ANN401
    bench = Bench(**limits)

    async def bounded() -> None:
        async with asyncio.timeout(WAIT_S):
            await test(bench)

    try:
        asyncio.run(bounded())
    finally:
        bench.engine.close()
        bench.go.release(100)
    return bench


async def until_queued(bench: Bench, count: int, batcher: Batcher | None = None) -> None:
    queue = (batcher or bench.batcher).queue
    await asyncio.to_thread(eventually, lambda: len(queue) == count, deadline_s=WAIT_S, every_s=0.001)


def test_requests_that_come_while_the_model_is_at_work_are_computed_together() -> None:
    async def test(bench: Bench) -> None:
        first = await bench.busy()
        others = [bench.ask(number) for number in (1, 2, 3)]
        await until_queued(bench, 3)
        bench.go.release(2)
        assert await asyncio.gather(first, *others) == [0, 10, 20, 30]

    bench = run(test)
    assert bench.batches == [[0], [1, 2, 3]]
    assert [rows for rows, _ in bench.observed] == [1, 3]


def test_a_batch_that_fails_is_computed_one_by_one_so_that_only_the_bad_one_fails() -> None:
    async def test(bench: Bench) -> None:
        first = await bench.busy()
        good, bad, fine = bench.ask(1), bench.ask("bad"), bench.ask(2)
        await until_queued(bench, 3)
        bench.go.release(10)
        assert await first == 0
        assert (await good, await fine) == (10, 20)
        with pytest.raises(ValueError, match="bad"):
            await bad

    assert run(test).batches == [[0], [1, "bad", 2], [1], ["bad"], [2]]


def test_a_caller_that_goes_away_while_waiting_is_not_computed() -> None:
    async def test(bench: Bench) -> None:
        first = await bench.busy()
        gone, stays = bench.ask(1), bench.ask(2)
        await until_queued(bench, 2)
        gone.cancel()
        await until_queued(bench, 1)
        bench.go.release(2)
        assert (await first, await stays) == (0, 20)
        assert gone.cancelled()

    assert run(test).batches == [[0], [2]]


def test_a_caller_that_goes_away_while_being_computed_harms_no_neighbour() -> None:
    async def test(bench: Bench) -> None:
        gone = await bench.busy()
        stays = bench.ask(1)
        await until_queued(bench, 1)
        gone.cancel()
        bench.go.release(2)
        assert await stays == 10

    run(test)


def test_after_its_deadline_a_request_is_refused_and_not_computed() -> None:
    async def test(bench: Bench) -> None:
        first = await bench.busy()
        with pytest.raises(DeadlineExceeded, match=r"not ready within 0\.01 s"):
            await bench.ask(1, timeout_s=0.01)
        assert len(bench.batcher.queue) == 0
        bench.go.release()
        assert await first == 0

    assert run(test).batches == [[0]]


def test_above_the_bound_requests_are_refused_at_once_and_the_others_answered() -> None:
    async def test(bench: Bench) -> None:
        first = await bench.busy()
        waiting = [bench.ask(1), bench.ask(2)]
        await until_queued(bench, 2)
        with pytest.raises(OverCapacity):
            await bench.ask(3)
        bench.go.release(2)
        assert await asyncio.gather(first, *waiting) == [0, 10, 20]

    run(test, max_queue=2)


def test_as_many_batches_run_at_a_time_as_there_are_threads() -> None:
    async def test(bench: Bench) -> None:
        tasks = [await bench.busy(), await bench.busy()]
        third = bench.ask(1)
        await until_queued(bench, 1)
        assert bench.batcher.queue.running == 2
        bench.go.release(3)
        assert await asyncio.gather(*tasks, third) == [0, 0, 10]

    run(test, threads=2)


def test_a_request_that_is_held_back_is_computed_when_its_delay_is_over_though_nobody_joins_it() -> None:
    async def test(bench: Bench) -> None:
        first = await bench.busy()
        held = bench.ask(1)
        assert await asyncio.to_thread(bench.computing.acquire, timeout=WAIT_S)
        assert not first.done()
        bench.go.release(2)
        assert (await first, await held) == (0, 10)

    bench = run(test, threads=2, max_delay_s=0.05)
    assert bench.batches == [[0], [1]]
    assert max(wait for _, waits in bench.observed for wait in waits) >= 0.05


def test_the_model_that_has_waited_longest_is_served_first() -> None:
    async def test(bench: Bench) -> None:
        order: list[str] = []

        def other(payloads: list[Any]) -> list[Any]:
            order.extend(payloads)
            return payloads

        second = Batcher(bench.engine, other, Limits(), lambda *_: None)
        first = await bench.busy()
        one = asyncio.create_task(second.submit("older", rows=1, key=""))
        await until_queued(bench, 1, second)
        mine = bench.ask(1)
        await until_queued(bench, 1)
        bench.go.release()
        assert (await first, await one) == (0, "older")
        bench.go.release()
        assert await mine == 10
        assert order == ["older"]

    run(test)


@pytest.mark.parametrize("wrong", [[], [1, 2]])
def test_an_answer_of_another_length_than_the_batch_is_a_failure_and_keeps_nobody_waiting(wrong: list[int]) -> None:
    async def test(bench: Bench) -> None:
        batcher = Batcher(bench.engine, lambda _: wrong, Limits(), lambda *_: None)
        with pytest.raises(ValueError, match="results"):
            await batcher.submit(1, rows=1, key="", timeout_s=WAIT_S)

    run(test)


def test_a_thread_outlives_whatever_is_raised_in_it_and_the_caller_is_told() -> None:
    async def test(bench: Bench) -> None:
        def leave(_: list[Any]) -> list[Any]:
            raise SystemExit(3)

        def fail(*_: object) -> None:
            raise ValueError("not counted")

        leaver = Batcher(bench.engine, leave, Limits(), lambda *_: None)
        with pytest.raises(InternalError):
            await leaver.submit(1, rows=1, key="", timeout_s=WAIT_S)
        uncounted = Batcher(bench.engine, lambda payloads: payloads, Limits(), fail)
        assert await uncounted.submit(1, rows=1, key="", timeout_s=WAIT_S) == 1
        bench.go.release()
        assert await bench.ask(2) == 20
        assert (leaver.queue.running, uncounted.queue.running) == (0, 0)

    run(test)


def test_after_closing_a_request_is_refused_instead_of_waiting_for_nobody() -> None:
    async def test(bench: Bench) -> None:
        await bench.batcher.close()
        with pytest.raises(NotReady, match="unloaded"):
            await bench.ask(1, timeout_s=WAIT_S)

    run(test)


def test_closing_waits_for_every_answer() -> None:
    async def test(bench: Bench) -> None:
        first = await bench.busy()
        second = bench.ask(1)
        await until_queued(bench, 1)
        closing = asyncio.create_task(bench.batcher.close())
        await asyncio.sleep(0)
        assert not closing.done()
        bench.go.release(2)
        await closing
        assert (first.result(), second.result()) == (0, 10)

    run(test)


def test_a_batcher_outlives_the_event_loop_of_those_who_left() -> None:
    bench = Bench()

    async def leave() -> None:
        task = await bench.busy()
        task.cancel()

    async def ask() -> None:
        async with asyncio.timeout(WAIT_S):
            assert await bench.ask(2) == 20

    asyncio.run(leave())
    bench.go.release(2)
    asyncio.run(ask())
    bench.engine.close()
