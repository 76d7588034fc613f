"""What every stage speaks, so that one can take another's place: POST /stage takes a Question and gives a Finding.

A question may come twice, if the connection broke before its answer; a stage must bear that.
"""

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from mlsys import iris

T = TypeVar("T")
Probability = Annotated[float, msgspec.Meta(ge=0, le=1.001)]  # of float32, which may round up
Species = Literal["setosa", "versicolor", "virginica"]
Word = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_]{0,31}(?![\s\S])")]  # $ would let a newline follow
Values = dict[str, float | bool | str | list[float] | None]
"""What a stage finds that has no type here."""


class Outlier(msgspec.Struct, frozen=True):
    """Whether a flower is unlike those that the models were trained on; the score is lower the less alike it is."""

    score: float
    outlier: bool


class Prediction(msgspec.Struct, frozen=True):
    """The species that a classifier decides for, and the probabilities of `iris.LABELS`."""

    label: Species
    probabilities: Annotated[list[Probability], msgspec.Meta(min_length=len(iris.LABELS), max_length=len(iris.LABELS))]

    def __post_init__(self) -> None:
        if abs(sum(self.probabilities) - 1) > 1e-3:
            raise ValueError(f"probabilities that sum to {sum(self.probabilities):g}")


class Decision(msgspec.Struct, frozen=True):
    """What to do, and the rule that says so."""

    action: Word
    rule: Word


class Question(iris.Flower, forbid_unknown_fields=True):
    """A flower, and what the stages before this one found, by their names."""

    so_far: Annotated[dict[str, Any], msgspec.Meta(examples=[{}])] = {}  # noqa: RUF012  # msgspec copies it


class Finding(msgspec.Struct, Generic[T], frozen=True):
    """What a stage found. `stop` is the reason for which no later stage is to be asked."""

    result: T
    stop: Word | None = None


class OutlierFinding(Finding[Outlier], frozen=True):
    """Of the stage `outlier`."""


class PredictionFinding(Finding[Prediction], frozen=True):
    """Of the stage `prediction`."""


class DecisionFinding(Finding[Decision], frozen=True):
    """Of the stage `decision`."""


FINDINGS: dict[str, type[Finding[Any]]] = {
    "outlier": OutlierFinding,
    "prediction": PredictionFinding,
    "decision": DecisionFinding,
}
"""What a stage of that name gives; one of another name gives a Finding of Values."""


class Declared(msgspec.Struct, frozen=True):
    """What a stage says of itself: the name of what it finds, the names of what it must be told, and its model."""

    gives: Word
    needs: list[Word] = []
    model: dict[str, str] | None = None


def finding_of(name: str) -> "msgspec.json.Decoder[Finding[Any]]":
    """A decoder of what the stage of that name answers; it raises msgspec.DecodeError of all else."""
    return msgspec.json.Decoder(FINDINGS.get(name, Finding[Values]))
