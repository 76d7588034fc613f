"""The lesson, on a clock that the stages turn on: budgets, the early exit, and what a failure says."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from mlsys.errors import BadGateway, DeadlineExceeded, NotReady, ServiceError, StartupError

from ..chain import Chain, Outcome, Stage, Step, Stop, require_order
from ..interface import Declared, Finding, Question

OWN_S = 0.05


class Fakes:
    """Stages that take their time on a clock of their own, and are late if that is more than their budget."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[tuple[str, float]] = []
        self.so_far: list[dict[str, object]] = []
        self.watched: list[Step] = []

    def stage(
        self,
        name: str,
        *,
        takes_s: float = 0.0,
        cap_s: float = 1.0,
        reserve_s: float = 0.1,
        stop: str | None = None,
        error: Exception | None = None,
    ) -> Stage:
        async def ask(question: Question, budget_s: float) -> Finding[str]:
            self.asked.append((name, budget_s))
            self.so_far.append(dict(question.so_far))
            self.now += min(takes_s, budget_s)
            if takes_s > budget_s:
                raise DeadlineExceeded(f"Stage {name} did not answer within {budget_s:g} s.")
            if error:
                raise error
            return Finding(f"found by {name}", stop)

        return Stage(name, ask, cap_s, reserve_s)

    def run(self, stages: Sequence[Stage], deadline_s: float = 2.0) -> Outcome:
        chain = Chain(stages, own_s=OWN_S, clock=lambda: self.now, watch=self.watched.append)
        end = self.now + deadline_s
        return asyncio.run(chain.run([[5.1, 3.5, 1.4, 0.2]], lambda: max(0.0, end - self.now)))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.asked]


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


def trace_of(error: ServiceError) -> list[Step]:
    assert isinstance(error.details, dict)
    trace: list[Step] = error.details["trace"]
    return trace


def test_stages_are_asked_in_order_and_told_what_those_before_found(fakes: Fakes) -> None:
    outcome = fakes.run([fakes.stage("a"), fakes.stage("b"), fakes.stage("c")])
    assert outcome.found == {"a": "found by a", "b": "found by b", "c": "found by c"}
    assert outcome.stopped_by is None
    assert fakes.so_far == [{}, {"a": "found by a"}, {"a": "found by a", "b": "found by b"}]


def test_a_stage_that_says_stop_is_the_last_that_is_asked(fakes: Fakes) -> None:
    outcome = fakes.run([fakes.stage("a"), fakes.stage("b", stop="enough"), fakes.stage("c")])
    assert fakes.names == ["a", "b"]
    assert outcome.found == {"a": "found by a", "b": "found by b"}
    assert outcome.stopped_by == Stop("b", "enough")


def test_a_budget_is_at_most_the_cap_and_leaves_the_later_stages_their_reserves(fakes: Fakes) -> None:
    stages = [
        fakes.stage("a", cap_s=0.8, takes_s=0.7),
        fakes.stage("b", cap_s=0.8, reserve_s=0.2, takes_s=0.3),
        fakes.stage("c", cap_s=0.8, reserve_s=0.3),
    ]
    fakes.run(stages, deadline_s=1.5)
    budgets = [budget_s for _, budget_s in fakes.asked]
    assert budgets[0] == pytest.approx(0.8)  # the cap; 1.5 - 0.05 - 0.2 - 0.3 would be 0.95
    assert budgets[1] == pytest.approx(1.5 - 0.7 - OWN_S - 0.3)
    assert budgets[2] == pytest.approx(1.5 - 0.7 - 0.3 - OWN_S)


def test_what_an_early_stage_saves_a_later_one_may_use(fakes: Fakes) -> None:
    fakes.run([fakes.stage("a", cap_s=9.0, takes_s=0.01), fakes.stage("b", cap_s=9.0)], deadline_s=1.0)
    assert fakes.asked[1][1] == pytest.approx(1.0 - 0.01 - OWN_S)


@pytest.mark.parametrize("seed", range(50))
def test_whatever_stages_take_none_is_given_more_than_is_left_or_less_than_its_reserve(fakes: Fakes, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311  # no secret
    stages = []
    for place in range(draw.randint(1, 6)):
        reserve_s = draw.uniform(0.01, 0.2)
        cap_s = reserve_s + draw.uniform(0, 1)
        stages.append(fakes.stage(str(place), takes_s=draw.uniform(0, 0.5), cap_s=cap_s, reserve_s=reserve_s))
    deadline_s = draw.uniform(0.05, 2.0)
    try:
        outcome = fakes.run(stages, deadline_s)
        assert len(outcome.trace) == len(stages)
    except DeadlineExceeded as error:
        assert trace_of(error)[-1].error == "deadline_exceeded"
    assert fakes.now <= deadline_s - OWN_S + 1e-9 or not fakes.asked
    for (_, budget_s), stage in zip(fakes.asked, stages, strict=False):
        assert stage.reserve_s - 1e-9 <= budget_s <= stage.cap_s


def test_a_stage_is_not_asked_when_its_reserve_is_not_left(fakes: Fakes) -> None:
    with pytest.raises(DeadlineExceeded, match=r"Stage a was not asked: 50 ms .* it needs 100\.") as caught:
        fakes.run([fakes.stage("a"), fakes.stage("b")], deadline_s=0.2)
    assert fakes.asked == []
    assert trace_of(caught.value) == [Step("a", budget_ms=50.0, error="deadline_exceeded")]


def test_a_request_without_any_time_asks_nobody(fakes: Fakes) -> None:
    with pytest.raises(DeadlineExceeded, match="not asked: 0 ms"):
        fakes.run([fakes.stage("a")], deadline_s=0.0)
    assert fakes.asked == []


def test_a_late_stage_is_named_and_those_after_it_are_not_asked(fakes: Fakes) -> None:
    stages = [fakes.stage("a", takes_s=0.2), fakes.stage("b", takes_s=9.0, cap_s=0.5), fakes.stage("c")]
    with pytest.raises(DeadlineExceeded, match="Stage b did not answer within") as caught:
        fakes.run(stages)
    assert fakes.names == ["a", "b"]
    assert trace_of(caught.value) == [
        Step("a", budget_ms=1000.0, ms=200.0, result="found by a"),
        Step("b", budget_ms=500.0, ms=500.0, error="deadline_exceeded"),
    ]


@pytest.mark.parametrize("error", [NotReady("It is down."), BadGateway("It lies.")], ids=["down", "lies"])
def test_a_failure_keeps_its_kind_and_carries_the_stage_and_what_was_found_before(
    fakes: Fakes, error: ServiceError
) -> None:
    with pytest.raises(type(error)) as caught:
        fakes.run([fakes.stage("a"), fakes.stage("b", error=error), fakes.stage("c")])
    assert caught.value is error
    assert isinstance(error.details, dict)
    assert error.details["stage"] == "b"
    assert [(step.stage, step.result, step.error) for step in trace_of(error)] == [
        ("a", "found by a", None),
        ("b", None, error.code),
    ]
    assert fakes.names == ["a", "b"]


def test_every_step_is_shown_to_who_watches_when_it_is_over(fakes: Fakes) -> None:
    with pytest.raises(NotReady):
        fakes.run([fakes.stage("a", takes_s=0.1), fakes.stage("b", error=NotReady("It is down."))])
    assert [(step.stage, step.ms, step.error) for step in fakes.watched] == [("a", 100.0, None), ("b", 0, "not_ready")]


def test_a_mistake_of_the_chains_own_is_not_taken_for_a_caller_who_left(fakes: Fakes) -> None:
    with pytest.raises(KeyError):
        fakes.run([fakes.stage("a", error=KeyError("x"))])
    assert [step.error for step in fakes.watched] == ["internal"]


def test_stages_that_give_what_they_are_named_for_in_an_order_that_serves_all_are_accepted() -> None:
    require_order([("a", Declared("a")), ("b", Declared("b", needs=["a"])), ("c", Declared("c", needs=["a", "b"]))])


def test_a_stage_that_gives_something_else_is_refused() -> None:
    with pytest.raises(StartupError, match=r"stage a is a service that gives b: correct its URL in STAGES\."):
        require_order([("a", Declared("b"))])


def test_a_stage_before_the_one_that_it_needs_is_refused() -> None:
    with pytest.raises(StartupError, match=r"stage b needs a, which no stage before it gives: .* is b, a\."):
        require_order([("b", Declared("b", needs=["a"])), ("a", Declared("a"))])
