"""The lesson, with a model and a queue that are a few lines."""

import asyncio

import pytest

from mlsys.errors import DeadlineExceeded, InvalidInput

from ..both import Answer, Both, Bounds, Guess, NotQueued, WhyNot

CAT = b"a cat"
BOUNDS = Bounds(fast_s=0.05, queue_s=0.05)


class FewLines:
    """A queue that keeps what it is given, refuses it, or never answers."""

    def __init__(self, refusal: WhyNot | None = None, *, hangs: bool = False) -> None:
        self.received: list[bytes] = []
        self._refusal = refusal
        self._hangs = hangs

    async def enqueue(self, picture: bytes) -> str:
        self.received.append(picture)
        if self._hangs:
            await asyncio.Event().wait()
        if self._refusal:
            raise NotQueued(self._refusal)
        return "job-1"


async def guess(_: bytes) -> Guess:
    return Guess("cat", 0.8)


def predict(both: Both, remaining_s: float = 10.0) -> Answer:
    return asyncio.run(both.predict(CAT, lambda: remaining_s))


def test_the_fast_label_comes_with_the_job_id_of_the_slow_one() -> None:
    queue = FewLines()
    assert predict(Both(guess, queue, BOUNDS)) == Answer("cat", 0.8, "job-1", None)
    assert queue.received == [CAT]


@pytest.mark.parametrize("why", [WhyNot.FULL, WhyNot.DOWN, WhyNot.REFUSED])
def test_a_queue_that_does_not_take_the_job_costs_the_better_answer_alone(why: WhyNot) -> None:
    assert predict(Both(guess, FewLines(why), BOUNDS)) == Answer("cat", 0.8, None, why)


def test_a_queue_that_hangs_holds_the_fast_answer_no_longer_than_its_bound() -> None:
    assert predict(Both(guess, FewLines(hangs=True), BOUNDS)) == Answer("cat", 0.8, None, WhyNot.LATE)


def test_a_queue_that_hangs_leaves_the_answer_time_to_reach_its_caller() -> None:
    both = Both(guess, FewLines(hangs=True), Bounds(fast_s=5.0, queue_s=60.0))

    async def within_the_callers_time() -> Answer:
        async with asyncio.timeout(1.0) as limit:
            return await both.predict(CAT, lambda: max(0.0, (limit.when() or 0) - asyncio.get_running_loop().time()))

    assert asyncio.run(within_the_callers_time()).why_not == WhyNot.LATE


def test_what_is_no_picture_is_not_queued() -> None:
    async def refuse(_: bytes) -> Guess:
        raise InvalidInput("No picture.")

    queue = FewLines()
    with pytest.raises(InvalidInput):
        predict(Both(refuse, queue, BOUNDS))
    assert queue.received == []


def test_a_fast_model_that_is_slow_is_told_so_and_nothing_is_queued() -> None:
    async def hang(_: bytes) -> Guess:
        await asyncio.Event().wait()
        raise AssertionError

    queue = FewLines()
    with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.05 s"):
        predict(Both(hang, queue, BOUNDS))
    with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.01 s"):
        predict(Both(hang, queue, BOUNDS), remaining_s=0.01)
    assert queue.received == []


@pytest.mark.parametrize(("threshold", "asked"), [(0.0, False), (0.8, False), (0.81, True), (1.0, True)])
def test_where_the_fast_model_is_sure_enough_the_slow_one_is_not_asked(threshold: float, asked: bool) -> None:
    queue = FewLines()
    answer = predict(Both(guess, queue, BOUNDS, threshold))
    assert (bool(queue.received), answer.why_not) == (asked, None if asked else WhyNot.SURE)


def test_with_a_threshold_of_1_even_certainty_is_not_enough() -> None:
    async def certain(_: bytes) -> Guess:
        return Guess("cat", 1.0)

    assert predict(Both(certain, FewLines(), BOUNDS)).job_id == "job-1"
