"""The steps from the bare app to the web single pattern, one feature more at each, and the ordinary way beside them.

Every function is a factory for `python -m mlsys.serve`; all answer the same request.
"""

import os
import uuid
from typing import Annotated

import msgspec
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, Field
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint

from chapter4_serving_patterns.web_single_pattern.predictor import IrisPredictor
from chapter4_serving_patterns.web_single_pattern.settings import Settings
from mlsys import iris
from mlsys.edge import App, Edge
from mlsys.endpoint import JsonEndpoint
from mlsys.metrics import Metrics
from mlsys.model import Model


def json() -> App:
    """bare, and JSON: msgspec decodes and validates the flower, and encodes the constant."""
    answer = msgspec.json.decode(os.environ["ANSWER"], type=iris.Probabilities)

    async def constant(flower: iris.Flower) -> iris.Probabilities:  # noqa: ARG001  # the type is what is decoded to
        return answer

    return JsonEndpoint("/predict", constant)


def model() -> App:
    """json, and the model."""
    predictor = _predictor()

    async def predict(flower: iris.Flower) -> iris.Probabilities:
        return {"prediction": predictor.probabilities(flower.data[0])}

    return JsonEndpoint("/predict", predict)


def edge() -> App:
    """model, and what holds for every request: id, caps, time limit, error envelope, metrics."""
    return Edge(model(), Settings(), Metrics())


class Flower(BaseModel):
    """The request, as pydantic declares it."""

    data: Annotated[list[Annotated[list[float], Field(min_length=4, max_length=4)]], Field(min_length=1, max_length=1)]


class Prediction(BaseModel):
    """The answer, as pydantic declares it."""

    prediction: list[float]


def ordinary() -> FastAPI:
    """The way of the tutorials: a FastAPI route typed by pydantic models, with the same model behind it."""
    predictor = _predictor()
    app = FastAPI()

    @app.post("/predict")
    async def predict(flower: Flower) -> Prediction:
        return Prediction(prediction=predictor.probabilities(flower.data[0]))

    return app


class RequestId(BaseHTTPMiddleware):
    """Adds a request id, by the middleware class that tutorials use."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """One request."""
        response = await call_next(request)
        response.headers["x-request-id"] = str(uuid.uuid4())
        return response


def ordinary_middleware() -> FastAPI:
    """ordinary, behind one middleware."""
    app = ordinary()
    app.add_middleware(RequestId)
    return app


def _predictor() -> IrisPredictor:
    settings = Settings()
    return IrisPredictor(Model.load(settings.model_path, threads=settings.model_threads))
