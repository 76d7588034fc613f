"""Replicas: who is asked first, when another one is asked too, and how often at most."""

import asyncio

import pytest

from mlsys.errors import BadGateway, DeadlineExceeded, NotReady

from ..branch import Branch, Call, Missing
from ..composition import Composition, Policy
from ..hedge import Hedge
from .ticking import run


class Replica:
    """Takes `seconds`, and then answers its name or raises `error`."""

    def __init__(self, name: str, seconds: float, error: Exception | None = None) -> None:
        self.name, self.seconds, self.error = name, seconds, error
        self.asked = 0

    async def ask(self, question: str, timeout_s: float) -> str:  # noqa: ARG002  # the shape of a service
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        return self.name


class Pair:
    """A branch of two replicas, whose usual time is known to be 10 ms."""

    def __init__(self, one: Replica, other: Replica, hedge: Hedge | None = None) -> None:
        self.one, self.other = one, other
        self.hedge = hedge or Hedge(1.0)
        for _ in range(20):
            self.hedge.record(0.01)
        self.branch = Branch([one.ask, other.ask], self.hedge)
        self._composition = Composition({"b": self.branch})

    async def ask(self) -> tuple[str | Missing, float]:
        """The outcome, and the seconds that it took."""
        began = asyncio.get_running_loop().time()
        found = await self._composition.collect("?", Policy(0, waits=True), 1.0)
        return found["b"], round(asyncio.get_running_loop().time() - began, 3)


def test_a_replica_that_is_in_time_is_the_only_one_asked() -> None:
    pair = Pair(Replica("one", 0.009), Replica("other", 0))
    assert run(pair.ask()) == ("one", 0.009)
    assert pair.other.asked == 0


def test_one_that_is_later_than_usual_is_overtaken_by_the_other_which_is_asked_first_from_then_on() -> None:
    pair = Pair(Replica("one", 9), Replica("other", 0.002))

    async def twice() -> list[tuple[str | Missing, float]]:
        return [await pair.ask(), await pair.ask()]

    assert run(twice()) == [("other", 0.012), ("other", 0.002)]
    assert pair.one.asked == 1


def test_the_first_may_still_win_against_the_second_request() -> None:
    assert run(Pair(Replica("one", 0.02), Replica("other", 0.5)).ask()) == ("one", 0.02)


@pytest.mark.parametrize("error", [None, NotReady("x"), ValueError("x")])
def test_two_that_end_at_the_same_moment_are_one_answer(error: Exception | None) -> None:
    """They end in one round of the loop, so that the first cannot stop the second any more."""

    async def scenario() -> list[object]:
        gate = asyncio.Event()
        told: list[object] = []

        async def one(question: str, timeout_s: float) -> str:
            await gate.wait()
            return "one"

        async def other(question: str, timeout_s: float) -> str:
            await gate.wait()
            if error:
                raise error
            return "other"

        pair = Pair(Replica("", 0), Replica("", 0))
        call = Call(Branch([one, other], pair.hedge), "?", 1.0)
        call.begin(told.append)
        await asyncio.sleep(0.02)
        gate.set()
        await asyncio.sleep(0.1)
        return told

    assert run(scenario()) == ["one"]


def test_what_nobody_waits_for_any_more_may_end_if_it_is_in_time_and_is_stopped_when_it_is_late() -> None:
    stopped: list[float] = []

    async def scenario() -> None:
        for seconds in (0.008, 9.0):
            loop = asyncio.get_running_loop()
            began = loop.time()

            async def ask(question: str, timeout_s: float, seconds: float = seconds, began: float = began) -> str:
                try:
                    await asyncio.sleep(seconds)
                finally:
                    stopped.append(round(asyncio.get_running_loop().time() - began, 3))
                return "yes"

            pair = Pair(Replica("", 0), Replica("", 0))
            others = {"quick": Branch([Replica("quick", 0.001).ask], Hedge(1.0)), "b": Branch([ask], pair.hedge)}
            found = await Composition(others).collect("?", Policy(1, waits=False), 1.0)
            assert isinstance(found["b"], Missing)
            assert round(loop.time() - began, 3) == 0.001
            await asyncio.sleep(0.1)

    run(scenario())
    assert stopped == [0.008, 0.01]


@pytest.mark.parametrize("error", [NotReady("x"), BadGateway("x"), DeadlineExceeded("x"), ValueError("x")])
def test_one_that_fails_is_replaced_at_once(error: Exception) -> None:
    pair = Pair(Replica("one", 0.001, error), Replica("other", 0.001))
    assert run(pair.ask()) == ("other", 0.002)


def test_if_both_fail_the_reason_is_the_last_ones() -> None:
    pair = Pair(Replica("one", 0, NotReady("down")), Replica("other", 0, BadGateway("garbage")))
    assert run(pair.ask())[0] == Missing("bad_gateway", "garbage")
    assert (pair.one.asked, pair.other.asked) == (1, 1)


def test_no_more_than_the_share_of_requests_is_sent_twice() -> None:
    pair = Pair(Replica("one", 0.9), Replica("other", 0.9), Hedge(0.1))

    async def many() -> None:
        for _ in range(100):
            await pair.ask()

    run(many())
    assert 100 < pair.one.asked + pair.other.asked <= 112  # a tenth, and what was saved up at the start


def test_a_single_replica_is_never_asked_twice() -> None:
    only = Replica("only", 0.5)
    hedge = Hedge(1.0)
    for _ in range(20):
        hedge.record(0.01)
    composition = Composition({"b": Branch([only.ask], hedge)})
    run(composition.collect("?", Policy(1, waits=True), 1.0))
    assert only.asked == 1


def test_nothing_is_late_before_the_usual_is_known() -> None:
    hedge = Hedge(1.0)
    for _ in range(19):
        hedge.record(0.01)
    assert hedge.late_s is None
    hedge.record(0.01)
    assert hedge.late_s == 0.01


def test_what_nobody_waits_for_may_end_until_the_deadline_as_long_as_nobody_knows_what_is_usual() -> None:
    """Else the slowest of three would be stopped each time, and never become known."""
    hedge = Hedge(1.0)

    async def scenario() -> None:
        for slow, timeout_s in ((Replica("slow", 9), 0.05), *[(Replica("slow", 0.1), 1.0)] * 20):
            branches = {"quick": Branch([Replica("quick", 0).ask], Hedge(1.0)), "slow": Branch([slow.ask], hedge)}
            await Composition(branches).collect("?", Policy(1, waits=False), timeout_s)
            assert hedge.late_s is None
            await asyncio.sleep(0.2)

    run(scenario())  # which sees that nothing is left of the one that takes 9 s
    assert hedge.late_s == pytest.approx(0.1)


def test_what_is_usual_does_not_shrink_because_the_late_are_stopped() -> None:
    hedge, stopped = Hedge(1.0), list[int]()
    for number in range(200):
        hedge.record(number % 10 / 1000)

    async def slow(question: str, timeout_s: float) -> str:
        try:
            await asyncio.sleep(int(question) % 10 / 1000)
        except asyncio.CancelledError:
            stopped.append(int(question))
            raise
        return "yes"

    async def scenario() -> None:
        quick = Branch([Replica("quick", 0).ask], Hedge(1.0))
        composition = Composition({"quick": quick, "slow": Branch([slow], hedge)})
        for number in range(3000):
            await composition.collect(str(number), Policy(1, waits=False), 1.0)
            await asyncio.sleep(0.02)

    run(scenario())
    assert hedge.late_s == pytest.approx(0.009)
    assert {number % 10 for number in stopped} <= {9}


def test_a_share_of_nothing_sends_no_second_request() -> None:
    pair = Pair(Replica("one", 0.5), Replica("other", 0), Hedge(0.0))
    assert run(pair.ask()) == ("one", 0.5)
    assert pair.other.asked == 0


def test_what_is_usual_is_the_95th_percentile_of_the_last_times() -> None:
    hedge = Hedge(1.0, kept=100)
    for number in range(1000):
        hedge.record(number % 100 / 1000)
    assert hedge.late_s == pytest.approx(0.095, abs=0.001)


def test_the_time_of_a_loser_counts_or_the_slow_would_be_forgotten() -> None:
    pair = Pair(Replica("one", 9), Replica("other", 0.02))
    pair.branch.first = 0

    async def often() -> None:
        for _ in range(200):
            await pair.ask()
            pair.branch.first = 0

    run(often())
    assert pair.hedge.late_s is not None
    assert pair.hedge.late_s >= 0.01


def test_savings_are_bounded_so_that_a_bad_minute_after_a_good_hour_is_no_flood() -> None:
    hedge = Hedge(0.1)
    for _ in range(100_000):
        hedge.earn()
    assert sum(hedge.take() for _ in range(1000)) == 10
