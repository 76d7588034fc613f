"""Decision rules as data: the first rule whose conditions all hold says what to do."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from .interface import Decision, Prediction, Species

Share = Annotated[float, Field(ge=0, le=1)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$")]


class Rule(BaseModel):
    """What to do where all conditions hold that are given; without one it always holds.

    top_below: the greatest probability is below it. lead_below: its distance to the second is.
    species: the label is one of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Word
    action: Word
    top_below: Share | None = None
    lead_below: Share | None = None
    species: Annotated[tuple[Species, ...], Field(min_length=1)] | None = None

    @property
    def always_holds(self) -> bool:
        """Whether it has no condition."""
        return self.top_below is None and self.lead_below is None and self.species is None

    def holds(self, prediction: Prediction) -> bool:
        """Whether it says what to do about this prediction."""
        top, second, *_ = sorted(prediction.probabilities, reverse=True)
        return (
            (self.top_below is None or top < self.top_below)
            and (self.lead_below is None or top - second < self.lead_below)
            and (self.species is None or prediction.label in self.species)
        )


def decide(rules: Sequence[Rule], prediction: Prediction) -> Decision:
    """What the first rule says that holds; the last one always does."""
    rule = next(rule for rule in rules if rule.holds(prediction))
    return Decision(action=rule.action, rule=rule.name)
