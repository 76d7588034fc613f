"""The lesson, with services that are a few lines and a clock that jumps."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import pytest

from mlsys.errors import BadGateway, DeadlineExceeded, NotReady, ServiceError

from ..branch import Branch, Missing
from ..composition import Composition, Policy
from ..hedge import Hedge
from .ticking import run

Ask = Callable[[str, float], Any]
Outcomes = Mapping[str, object]
ALL, BEST = Policy.parse("all", 3), Policy.parse("best_effort", 3)


def after(seconds: float, answer: str = "yes") -> Ask:
    async def ask(question: str, timeout_s: float) -> str:
        await asyncio.sleep(seconds)
        return answer

    return ask


def failing(error: Exception, seconds: float = 0.0) -> Ask:
    async def ask(question: str, timeout_s: float) -> str:
        await asyncio.sleep(seconds)
        raise error

    return ask


def instant() -> Hedge:
    """That of a service which usually takes no time, so that whatever takes some is late."""
    hedge = Hedge(1.0)
    for _ in range(20):
        hedge.record(0.0)
    return hedge


def composed(**branches: Ask | list[Ask]) -> Composition[str, str]:
    return Composition(
        {
            name: Branch(replicas if isinstance(replicas, list) else [replicas], instant())
            for name, replicas in branches.items()
        }
    )


def collect(composition: Composition[str, str], policy: Policy, timeout_s: float = 1.0) -> tuple[Outcomes, float]:
    """What came, and after how many seconds."""

    async def timed() -> tuple[Outcomes, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        return await composition.collect("?", policy, timeout_s), round(loop.time() - began, 3)

    return run(timed())


def codes(found: Outcomes) -> dict[str, str]:
    return {name: outcome.code if isinstance(outcome, Missing) else "ok" for name, outcome in found.items()}


@pytest.mark.parametrize("policy", [ALL, BEST, Policy.parse("quorum=3", 3)])
def test_all_answers_take_as_long_as_the_slowest_and_not_as_all_together(policy: Policy) -> None:
    found, seconds = collect(composed(a=after(0.2, "A"), b=after(0.3, "B"), c=after(0.1, "C")), policy)
    assert (list(found.items()), seconds) == ([("a", "A"), ("b", "B"), ("c", "C")], 0.3)


def test_best_effort_waits_until_the_deadline_and_names_who_is_late() -> None:
    found, seconds = collect(composed(a=after(0.1), b=after(9), c=after(0.2)), BEST)
    assert (codes(found), seconds) == ({"a": "ok", "b": "deadline_exceeded", "c": "ok"}, 1.0)
    late = found["b"]
    assert isinstance(late, Missing)
    assert late.message == "It did not answer within 1 s."


def test_a_quorum_is_answered_when_it_is_there_and_the_rest_is_named_as_not_waited_for() -> None:
    found, seconds = collect(composed(a=after(0.1), b=after(9), c=after(0.2)), Policy.parse("quorum=2", 3))
    assert (codes(found), seconds) == ({"a": "ok", "b": "not_waited_for", "c": "ok"}, 0.2)


def test_what_came_at_the_same_moment_as_the_decision_is_not_thrown_away() -> None:
    found, _ = collect(composed(a=after(0.1), b=after(0.1), c=after(0.1)), Policy.parse("quorum=1", 3))
    assert codes(found) == {"a": "ok", "b": "ok", "c": "ok"}


@pytest.mark.parametrize("error", [BadGateway("x"), NotReady("x"), DeadlineExceeded("x")])
def test_one_that_fails_fails_no_other(error: ServiceError) -> None:
    found, seconds = collect(composed(a=failing(error), b=after(0.1), c=after(0.2)), BEST)
    assert (codes(found), seconds) == ({"a": error.code, "b": "ok", "c": "ok"}, 0.2)


def test_a_bug_in_what_reads_an_answer_is_that_branchs_and_tells_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    found, _ = collect(composed(a=failing(KeyError("our secret")), b=after(0.1)), BEST)
    assert codes(found) == {"a": "internal", "b": "ok"}
    assert "our secret" not in str(found)
    assert "our secret" in capsys.readouterr().out  # the log has it


@pytest.mark.parametrize(
    ("errors", "raised"),
    [
        ([NotReady("x")], NotReady),
        ([DeadlineExceeded("x")], DeadlineExceeded),
        ([DeadlineExceeded("x"), NotReady("x")], NotReady),
        ([DeadlineExceeded("x"), NotReady("x"), BadGateway("x")], BadGateway),
        ([ValueError("x")], BadGateway),
    ],
)
def test_too_few_answers_are_an_error_of_the_gravest_kind_that_names_each(
    errors: list[Exception], raised: type[ServiceError]
) -> None:
    branches = {f"b{place}": failing(error) for place, error in enumerate(errors)}
    with pytest.raises(raised, match=rf"0 of {len(errors)} services answered, and 1 must") as caught:
        collect(composed(**branches), BEST)
    assert isinstance(caught.value, ServiceError)
    assert isinstance(caught.value.details, dict)
    assert set(caught.value.details) == set(branches)


def test_who_needs_all_does_not_wait_once_one_has_failed() -> None:
    async def timed() -> float:
        loop = asyncio.get_running_loop()
        with pytest.raises(NotReady, match="1 of 3 services answered, and 3 must") as caught:
            await composed(a=after(0.1), b=failing(NotReady("down"), 0.2), c=after(9)).collect("?", ALL, 5.0)
        details = caught.value.details
        assert isinstance(details, dict)
        assert {name: one["code"] for name, one in details.items()} == {"b": "not_ready", "c": "not_waited_for"}
        return loop.time()

    assert run(timed()) == pytest.approx(0.2)


def test_all_that_hang_are_an_error_at_the_deadline() -> None:
    with pytest.raises(DeadlineExceeded):
        collect(composed(a=after(9), b=after(9)), BEST)


def test_results_are_given_as_they_come() -> None:
    async def told() -> list[tuple[str, float]]:
        composition, loop, found = composed(a=after(0.3), b=after(0.1), c=after(0.2)), asyncio.get_running_loop(), []
        async with aclosing(composition.each("?", ALL, 1.0)) as outcomes:
            async for name, _ in outcomes:
                found.append((name, round(loop.time(), 3)))
        return found

    assert run(told()) == [("b", 0.1), ("c", 0.2), ("a", 0.3)]


def left_after(leave: Callable[[Composition[str, str]], Awaitable[None]]) -> list[str]:
    """What happens to three services whose caller leaves; that no task is left, `run` sees."""
    log: list[str] = []

    async def ask(question: str, timeout_s: float) -> str:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        return "yes"

    async def scenario() -> None:
        await leave(composed(a=ask, b=ask, c=after(0.1)))

    run(scenario())
    return log


def test_whoever_asked_goes_away_and_nobody_is_asked_any_more() -> None:
    async def leave(composition: Composition[str, str]) -> None:
        request = asyncio.create_task(composition.collect("?", ALL, 9.0))
        await asyncio.sleep(0.5)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    assert left_after(leave) == ["cancelled", "cancelled"]


def test_whoever_stops_listening_leaves_nothing_behind() -> None:
    async def leave(composition: Composition[str, str]) -> None:
        async with aclosing(composition.each("?", ALL, 9.0)) as outcomes:
            await anext(outcomes)

    assert left_after(leave) == ["cancelled", "cancelled"]


def test_five_hundred_requests_that_fail_leave_nothing_behind() -> None:
    composition = composed(a=failing(NotReady("x")), b=[after(9), failing(BadGateway("x"), 0.3)], c=after(9))

    async def many() -> None:
        results = await asyncio.gather(
            *(composition.collect("?", ALL, 0.2) for _ in range(500)), return_exceptions=True
        )
        assert {type(result) for result in results} == {NotReady}

    run(many())


@pytest.mark.parametrize("text", ["", "quorum=0", "quorum=4", "quorum=-1", "ALL", "most"])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no policy for 3 branches"):
        Policy.parse(text, 3)
