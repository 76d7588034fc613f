"""The lesson: stages in order, each with a budget out of one deadline, until a stage says stop or fails.

A caller waits for the sum of the stages, so no stage may have a timeout of its own choosing. Before each one is asked,
its budget is computed from what is left now: at most its cap, and never what the later stages need (their reserves).
What an early stage saves, later ones may use; what it wastes is never out of their reserves. A stage that would get
less than its own reserve is not asked, because its answer would come too late and its work would be for nobody.

A stage may end the chain: the rest is not asked at all, which is what makes a cheap first stage worth its hop. A stage
that fails ends it too, with its name and with what was found before it. Nothing is guessed in its place.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from mlsys.errors import DeadlineExceeded, ErrorCode, ServiceError, StartupError

from .interface import Declared, Finding, Question

Ask = Callable[[Question, float], Awaitable[Finding[Any]]]
"""Puts a question to a stage and takes at most the given seconds. Raises: ServiceError."""


class Stage(NamedTuple):
    """One place in the chain. cap_s: the most that it is given; reserve_s: the least that those before it leave."""

    name: str
    ask: Ask
    cap_s: float
    reserve_s: float


class Step(msgspec.Struct, omit_defaults=True):
    """What became of one stage: the budget it got, the time it took, and its result or its error's code."""

    stage: str
    budget_ms: float
    ms: float = 0.0
    result: Any = None
    stop: str | None = None
    error: str | None = None


class Stop(msgspec.Struct, frozen=True):
    """The stage that ended the chain, and its reason."""

    stage: str
    reason: str


class Outcome(NamedTuple):
    """What the stages that were asked found, by name; why the others were not; and every step."""

    found: dict[str, Any]
    stopped_by: Stop | None
    trace: list[Step]


def _ignore(_: Step) -> None:
    """Nobody watches."""


class Chain:
    """The stages, in their order. own_s: kept for the chain itself, so that it can still say which stage was late.

    `watch` is told every step when it is over.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        own_s: float,
        clock: Callable[[], float] = time.perf_counter,
        watch: Callable[[Step], None] = _ignore,
    ) -> None:
        self._stages = stages
        self._clock = clock
        self._watch = watch
        self._kept_s = [own_s + sum(later.reserve_s for later in stages[place + 1 :]) for place in range(len(stages))]

    def budget_s(self, place: int, left_s: float) -> float:
        """Seconds for the stage at a place when the caller waits for `left_s` more."""
        return min(self._stages[place].cap_s, left_s - self._kept_s[place])

    async def run(self, data: list[list[float]], left_s: Callable[[], float]) -> Outcome:
        """Ask stage after stage about a flower [1, 4]. `left_s` says how many seconds the caller still waits.

        Raises: DeadlineExceeded if a stage was late or could not be asked in time, and what else a stage raises; the
        details name the stage and have the trace up to it.
        """
        question = Question(data=data)
        trace: list[Step] = []
        for place, stage in enumerate(self._stages):
            budget_s = self.budget_s(place, left_s())
            step = Step(stage.name, budget_ms=_ms(max(0.0, budget_s)))
            trace.append(step)
            try:
                finding = await self._ask(stage, question, budget_s, step)
            except ServiceError as error:
                step.error = error.code
                error.details = {"stage": stage.name, "trace": trace}
                raise
            except Exception:
                step.error = ErrorCode.INTERNAL
                raise
            finally:
                self._watch(step)
            question.so_far[stage.name] = finding.result
            if finding.stop:
                return Outcome(question.so_far, Stop(stage.name, finding.stop), trace)
        return Outcome(question.so_far, None, trace)

    async def _ask(self, stage: Stage, question: Question, budget_s: float, step: Step) -> Finding[Any]:
        if budget_s < stage.reserve_s:
            raise DeadlineExceeded(
                f"Stage {stage.name} was not asked: {step.budget_ms:g} ms of the request's time are left for it, "
                f"and it needs {_ms(stage.reserve_s):g}."
            )
        began = self._clock()
        try:
            finding = await stage.ask(question, budget_s)
        finally:
            step.ms = _ms(self._clock() - began)
        step.result, step.stop = finding.result, finding.stop
        return finding


def require_order(declared: Sequence[tuple[str, Declared]]) -> None:
    """Check what the stages say of themselves, in the chain's order, against their names in it.

    Raises: StartupError if one gives something else, or needs what none before it gives.
    """
    known: set[str] = set()
    for name, stage in declared:
        if stage.gives != name:
            raise StartupError(f"stage {name} is a service that gives {stage.gives}: correct its URL in STAGES.")
        if missing := set(stage.needs) - known:
            raise StartupError(
                f"stage {name} needs {', '.join(sorted(missing))}, which no stage before it gives: the order in "
                f"STAGES is {', '.join(one for one, _ in declared)}."
            )
        known.add(name)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
