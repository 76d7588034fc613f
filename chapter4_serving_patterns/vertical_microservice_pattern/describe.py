"""What the OpenAPI document and /metadata say of the chain."""

from typing import Annotated, Any

import msgspec
from typing_extensions import TypedDict

from mlsys import iris
from mlsys.openapi import refusals

from .chain import Outcome, Step, Stop
from .interface import Decision, Declared, Outlier, Prediction
from .settings import StageSettings

FOUND: dict[str, Any] = {
    "outlier": {"score": 0.36, "outlier": False},
    "prediction": {"label": "setosa", "probabilities": [0.97, 0.02, 0.01]},
    "decision": {"action": "accept", "rule": "sure"},
}
STEP = {"stage": "outlier", "budget_ms": 1000.0, "ms": 0.8, "result": FOUND["outlier"]}
"""Examples; what the stages really say is at /predict/test."""
_REFUSALS = {502: "A stage answered what cannot be an answer."}


class Verdict(TypedDict, total=False):
    """What each stage found, by its name: null for one that was not asked. STAGES may have other names than these."""

    outlier: Annotated[Outlier | None, msgspec.Meta(examples=[FOUND["outlier"]])]
    prediction: Annotated[Prediction | None, msgspec.Meta(examples=[FOUND["prediction"]])]
    decision: Annotated[Decision | None, msgspec.Meta(examples=[FOUND["decision"]])]
    stopped_by: Annotated[Stop | None, msgspec.Meta(examples=[None])]
    trace: Annotated[list[Step], msgspec.Meta(examples=[[STEP]])]


VERDICT: dict[str, Any] = FOUND | {"stopped_by": None}


class StageAbout(TypedDict):
    """One stage of the chain, and the model that it says it has."""

    name: str
    cap_ms: float
    reserve_ms: float
    needs: list[str]
    model: dict[str, str] | None


class Metadata(TypedDict):
    """What goes in, what comes out, and the stages in their order."""

    data_type: str
    data_structure: str
    data_sample: list[list[float]]
    prediction_type: str
    prediction_structure: str
    prediction_sample: dict[str, Any]
    stages: list[StageAbout]


def verdict(names: list[str], outcome: Outcome, *, traced: bool) -> dict[str, Any]:
    """What is answered of an outcome of the stages of these names."""
    answer = dict.fromkeys(names) | outcome.found | {"stopped_by": outcome.stopped_by}
    return answer | {"trace": outcome.trace} if traced else answer


def metadata(stages: list[tuple[StageSettings, Declared]], sample: dict[str, Any]) -> Metadata:
    """What goes in and out; sample: what is answered to the sample."""
    return {
        "data_type": "float32",
        "data_structure": "(1,4)",
        "data_sample": iris.SAMPLE,
        "prediction_type": "object",
        "prediction_structure": ", ".join(stage.name for stage, _ in stages),
        "prediction_sample": sample,
        "stages": [
            {
                "name": stage.name,
                "cap_ms": stage.cap_ms,
                "reserve_ms": stage.reserve_ms,
                "needs": declared.needs,
                "model": declared.model,
            }
            for stage, declared in stages
        ],
    }


def refused() -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that asks stages."""
    (envelope,) = refusals(503).values()
    return {status: envelope | {"description": text} for status, text in _REFUSALS.items()}
