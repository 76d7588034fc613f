"""The service: a petal in, a species out, and nothing else."""

from pathlib import Path

import pytest

from mlsys.app import Service
from mlsys.errors import ModelError
from mlsys.testing import call

from ..app import create_app
from ..settings import Settings

PETAL = b'{"length": 5.1, "width": 2.4}'


def test_the_petal_of_the_talk_is_a_virginica(app: Service) -> None:
    answer = call(app, "POST", "/predict", PETAL)
    assert (answer.status, answer.body) == (200, b'{"prediction":"virginica"}')


@pytest.mark.parametrize(
    ("length", "width", "species"), [(1.4, 0.2, "setosa"), (4.0, 1.2, "versicolor"), (6.0, 2.3, "virginica")]
)
def test_a_typical_petal_of_each_species_is_named(app: Service, length: float, width: float, species: str) -> None:
    body = f'{{"width": {width}, "length": {length}}}'.encode()
    assert call(app, "POST", "/predict", body).json == {"prediction": species}


def test_it_says_that_it_is_ready_and_which_model_answers(app: Service) -> None:
    assert call(app, "GET", "/health").json == {"health": "ok"}
    assert call(app, "GET", "/ready").json == {"model": "ok"}
    described = call(app, "GET", "/metadata").json
    assert described["model"]["name"] == "iris_perceptron"
    assert described["features"] == ["petal_length", "petal_width"]
    assert f'sha256="{described["model"]["sha256"]}"' in call(app, "GET", "/metrics").body.decode()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not JSON", 400),
        (b'{"length": NaN, "width": 2.4}', 400),
        (b'{"length": 5.1, "width": 2.4\xff}', 400),
        (b"{}", 422),
        (b"[5.1, 2.4]", 422),
        (b'{"length": 5.1}', 422),
        (b'{"length": 5.1, "width": "2.4"}', 422),
        (b'{"length": 5.1, "width": null}', 422),
        (b'{"length": 5.1, "width": 1e39}', 422),
        (b'{"length": 5.1, "width": 1' + b"0" * 400 + b"}", 422),
        (b'{"length": 5.1, "width": 2.4, "colour": "blue"}', 422),
        (b'{"length": ' + b"[" * 30_000, 422),
        (b"[" * 100_000, 413),
    ],
)
def test_bad_input_is_refused_in_the_envelope_and_the_next_petal_is_answered(
    app: Service, body: bytes, status: int
) -> None:
    refused = call(app, "POST", "/predict", body)
    assert (refused.status, bool(refused.error["message"])) == (status, True)
    assert call(app, "POST", "/predict", PETAL).status == 200


def test_a_form_is_not_json_and_get_does_not_predict(app: Service) -> None:
    form = call(app, "POST", "/predict", b"length=5.1", {"content-type": "application/x-www-form-urlencoded"})
    assert form.error["code"] == "unsupported_media_type"
    wrong = call(app, "GET", "/predict")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")


def test_a_model_of_other_features_is_refused(models: Path) -> None:
    with pytest.raises(ModelError, match=r"its features are .*sepal_length.*this service needs.*petal_length"):
        create_app(Settings(model_path=models / "iris_svc" / "model.onnx"))
