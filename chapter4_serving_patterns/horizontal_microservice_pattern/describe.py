"""What the OpenAPI document says of the proxy's requests and answers."""

from typing import Annotated, Any, NotRequired

from fastapi import Header
from msgspec import Meta
from typing_extensions import TypedDict

from mlsys.iris import SAMPLE
from mlsys.openapi import example, refusals

from .settings import POLICY

PolicyText = Annotated[str, Meta(pattern=POLICY, description="Whose answers are needed; the setting POLICY if absent.")]
PolicyHeader = Annotated[str, Header(alias="policy", pattern=POLICY, description="As of POST /predict.")]
POLICIES = ("all", "quorum=1", "quorum=2", "quorum=3", "best_effort")
MISSING = {"code": "not_ready", "message": "virginica at http://127.0.0.1:8002 is not available (…)."}


class Reason(TypedDict):
    """Why there is no answer: a code of the error envelope, or not_waited_for, and a sentence."""

    code: str
    message: str


class Answered(TypedDict, total=False):
    """[p, 1 - p] of one species; or why there is none."""

    prediction: list[float]
    error: Reason


def _answered(p: float) -> Any:  # noqa: ANN401  # an annotation's part
    return Meta(examples=[{"prediction": [p, round(1 - p, 2)]}])


class Predictions(TypedDict):
    """What each service answered."""

    setosa: Annotated[Answered, _answered(0.98)]
    versicolor: Annotated[Answered, _answered(0.03)]
    virginica: Annotated[Answered, Meta(examples=[{"error": MISSING}])]


class Best(TypedDict):
    """The species whose service gave the greatest probability; the three are not calibrated against each other."""

    proba: float
    label: str


class Label(TypedDict):
    """The most probable species among those that answered, and why the others did not, if any did not."""

    prediction: Annotated[Best, Meta(examples=[{"proba": 0.98, "label": "setosa"}])]
    missing: NotRequired[Annotated[dict[str, Reason], Meta(examples=[{"virginica": MISSING}])]]


PREDICTIONS = {"setosa": {"prediction": [0.98, 0.02]}, "versicolor": {"prediction": [0.03, 0.97]}} | {
    "virginica": {"error": MISSING}
}
HEALTH = {"setosa": {"health": "ok"}, "versicolor": {"health": "ok"}, "virginica": {"error": MISSING}}
EVENTS = 'event: setosa\ndata: {"prediction":[0.98,0.02]}\n\nevent: end\ndata: {"answered":1}\n\n'


BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Flower"}, "example": {"data": SAMPLE}},
        },
    }
}
"""Of the stream's route, whose body FastAPI does not read."""
_REFUSALS = {
    400: "The body is not JSON, or not UTF-8.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body's content type is not application/json.",
    422: "The body or the header is not what the route takes.",
    502: "Too few services answered, and one of them wrongly.",
}


def composed(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers with predictions, or with these statuses by the error envelope."""
    return example(PREDICTIONS) | refused(*statuses)


def streamed() -> dict[int | str, dict[str, Any]]:
    """The `responses` of the route that answers with events."""
    return example(EVENTS, "text/event-stream") | refused(400, 408, 413, 415, 422)


def refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers these statuses by the error envelope."""
    (envelope,) = refusals(503).values()
    return {status: envelope | {"description": _REFUSALS[status]} for status in statuses}
