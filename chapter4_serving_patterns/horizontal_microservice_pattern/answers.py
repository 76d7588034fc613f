"""From outcomes to answers: whose deadline and policy count, what is counted, and the book's shapes."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import cast

from prometheus_client import CollectorRegistry, Counter

from mlsys.edge import remaining_s
from mlsys.errors import ServiceError
from mlsys.iris import LABELS

from . import describe
from .branch import Missing
from .client import Prediction
from .composition import Composition, Policy
from .settings import Settings
from .stream import EventStream, Outcomes, shown

Found = Mapping[str, Prediction | Missing]
_TO_ANSWER = 0.9  # of the time that a request has left: the rest is for the answer


class Answers:
    """Asks compositions with the deadline and the policy that count for a request, "" being the setting's."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self.policies = {text: Policy.parse(text, len(LABELS)) for text in describe.POLICIES}
        self.policies[""] = self.policies[settings.policy]
        self._timeout_s = settings.branch_timeout_s
        self._missing = Counter(
            "services_missing_total",
            "Services that an answer went without, by the reason.",
            ["service", "code"],
            registry=registry,
        )

    async def collect(self, composition: Composition[bytes, Prediction], flower: bytes, policy: str) -> Found:
        """What each service answered. Raises: BadGateway, NotReady or DeadlineExceeded if too few did."""
        try:
            found = await composition.collect(flower, self.policies[policy], self._seconds())
        except ServiceError as error:
            for name, reason in cast("Mapping[str, Mapping[str, str]]", error.details).items():
                self._missing.labels(name, reason["code"]).inc()
            raise
        for name, outcome in found.items():
            self._count(name, outcome)
        return found

    def stream(self, composition: Composition[bytes, Prediction], flower: bytes, policy: str) -> EventStream:
        """The same, each when it comes."""
        outcomes = composition.each(flower, self.policies[policy], self._seconds())
        return EventStream(self._counted(outcomes), self.policies[policy])

    async def _counted(self, outcomes: Outcomes) -> AsyncGenerator[tuple[str, Prediction | Missing], None]:
        async with aclosing(outcomes):
            async for name, outcome in outcomes:
                self._count(name, outcome)
                yield name, outcome

    def _count(self, name: str, outcome: Prediction | Missing) -> None:
        if isinstance(outcome, Missing):
            self._missing.labels(name, outcome.code).inc()

    def _seconds(self) -> float:
        return min(self._timeout_s, _TO_ANSWER * remaining_s())


def predictions(found: Found) -> describe.Predictions:
    """The book's shape; a service that is missing has an error in the place of its prediction."""
    return cast("describe.Predictions", {name: shown(outcome) for name, outcome in found.items()})


def label(found: Found) -> describe.Label:
    """The best of those that answered, of which there is one at least."""
    answered = {name: each.prediction[0] for name, each in found.items() if isinstance(each, Prediction)}
    best = max(answered, key=answered.__getitem__)
    answer: describe.Label = {"prediction": {"proba": answered[best], "label": best}}
    if missing := {name: outcome for name, outcome in found.items() if isinstance(outcome, Missing)}:
        answer["missing"] = {name: {"code": one.code, "message": one.message} for name, one in missing.items()}
    return answer
