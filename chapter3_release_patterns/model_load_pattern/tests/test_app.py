"""The service's routes, in this process, on a model that was put in place."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlsys import iris
from mlsys.errors import SettingsError
from mlsys.ports import free_port
from mlsys.testing import call

from ..app import create_app
from ..service import LoadedService
from ..settings import Settings
from .conftest import sha256

FLOWER = json.dumps({"data": iris.SAMPLE}).encode()
SettingsOf = Callable[..., Settings]


@pytest.fixture
def app(models: Path, settings_of: SettingsOf, svc: bytes) -> Iterator[LoadedService]:
    app = create_app(settings_of(f"registry+http://127.0.0.1:{free_port()}/iris_svc@champion"))
    app.swap.put(app.swap.inspect("1.0.0", models / "iris_svc" / "model.onnx", sha256(svc)))
    yield app
    asyncio.run(stop(app))


async def stop(app: LoadedService) -> None:
    """End the watch, which /ready has begun."""
    async with app.watch.until_the_end():
        pass


def promote(app: LoadedService, models: Path, forest: bytes) -> None:
    app.swap.put(app.swap.inspect("1.1.0", models / "iris_rf" / "model.onnx", sha256(forest)))


def test_a_flower_is_answered_as_the_book_has_it(app: LoadedService) -> None:
    assert call(app, "POST", "/predict/label", FLOWER).json == {"prediction": "setosa"}
    assert call(app, "GET", "/predict/test/label").json == {"prediction": "setosa"}
    prediction = call(app, "POST", "/predict", FLOWER).json["prediction"]
    assert prediction == call(app, "GET", "/predict/test").json["prediction"]
    assert len(prediction) == 3
    assert call(app, "GET", "/label").json == {"0": "setosa", "1": "versicolor", "2": "virginica"}
    assert call(app, "GET", "/health").json == {"health": "ok"}


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/predict"), ("POST", "/predict/label"), ("GET", "/predict/test"), ("GET", "/predict/test/label")],
)
def test_every_prediction_says_which_model_made_it(
    app: LoadedService, models: Path, svc: bytes, forest: bytes, method: str, path: str
) -> None:
    assert call(app, method, path, FLOWER).headers["x-model-sha256"] == sha256(svc)
    promote(app, models, forest)
    assert call(app, method, path, FLOWER).headers["x-model-sha256"] == sha256(forest)


def test_what_is_no_prediction_names_no_model(app: LoadedService) -> None:
    for answer in (
        call(app, "GET", "/health"),
        call(app, "GET", "/label"),
        call(app, "POST", "/predict", b"{}"),
        call(app, "GET", "/nowhere"),
    ):
        assert "x-model-sha256" not in answer.headers


def test_metadata_is_of_the_model_that_serves_now(app: LoadedService, models: Path, svc: bytes, forest: bytes) -> None:
    before = call(app, "GET", "/metadata").json
    assert before["model"] == {"name": "iris_svc", "release": "1.0.0", "sha256": sha256(svc)}
    promote(app, models, forest)
    after = call(app, "GET", "/metadata").json
    assert after["model"] == {"name": "iris_rf", "release": "1.1.0", "sha256": sha256(forest)}
    assert before["prediction_sample"] != after["prediction_sample"]
    assert before["data_structure"] == after["data_structure"] == "(1,4)"


def test_a_refusal_is_seen_in_ready_which_stays_200_and_in_release(app: LoadedService, models: Path) -> None:
    app.swap.refuse("1.1.0", "tag", "it is too slow")
    ready = call(app, "GET", "/ready")
    assert ready.status == 200
    assert ready.json == {"model": "ok; 1.1.0 is refused: it is too slow"}
    release = call(app, "GET", "/release").json
    assert release["serving"]["release"] == "1.0.0"
    assert release["refused"]["reason"] == "it is too slow"
    assert release["previous"] is None


def test_release_names_the_model_that_is_kept_and_the_requests_it_still_answers(
    app: LoadedService, models: Path, svc: bytes, forest: bytes
) -> None:
    with app.swap.use():
        promote(app, models, forest)
        release = call(app, "GET", "/release").json
        assert release["previous"]["sha256"] == sha256(svc)
        assert release["draining"] == 1
    assert call(app, "GET", "/release").json["draining"] == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 422),
        (b'{"data": [[5.1, 3.5, 1.4]]}', 422),
        (b'{"data": [[5.1, 3.5, 1.4, 1e39]]}', 422),
        (b'{"data": [[5.1, 3.5, 1.4, "0.2"]]}', 422),
        (b'{"data": ' + b"[" * 30_000, 422),
        (b'{"data": [[5.1, 3.5', 400),
        (b"NaN", 400),
        (b"\xff", 400),
        (b" " * 70_000, 413),
    ],
)
def test_bad_input_never_reaches_a_model(app: LoadedService, body: bytes, status: int) -> None:
    answer = call(app, "POST", "/predict", body)
    assert answer.status == status
    assert answer.error["message"]


def test_settings_that_cannot_be_are_refused(settings_of: SettingsOf) -> None:
    with pytest.raises(SettingsError, match="MODEL_SHA256='x' is not valid"):
        settings_of("model.onnx", model_sha256="x")
    with pytest.raises(SettingsError, match="is not of the form registry"):
        create_app(settings_of("registry+http://nowhere"))
