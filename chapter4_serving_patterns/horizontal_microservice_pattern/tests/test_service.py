"""The service of one species, in this process, on the real model."""

from pathlib import Path

import pytest

from mlsys.app import Service
from mlsys.errors import ModelError
from mlsys.testing import call

from ..service import create_app
from ..settings import Settings
from .asking import FLOWER


@pytest.fixture(scope="module", params=["setosa", "versicolor", "virginica"])
def one(request: pytest.FixtureRequest, models: Path) -> tuple[str, Service]:
    path = models / f"iris_binary_{request.param}" / "model.onnx"
    return request.param, create_app(Settings(model_path=path, access_log=False))


def test_it_answers_how_probable_its_species_is_and_how_all_others_are(one: tuple[str, Service]) -> None:
    species, app = one
    p, others = call(app, "POST", "/predict", FLOWER).json["prediction"]
    assert p + others == pytest.approx(1)
    assert (p > 0.5) == (species == "setosa")
    assert call(app, "GET", "/predict/test").json == {"prediction": [p, others]}


def test_it_says_what_it_is(one: tuple[str, Service]) -> None:
    species, app = one
    assert call(app, "GET", "/label").json == {"0": species, "1": "other"}
    metadata = call(app, "GET", "/metadata").json
    assert metadata["model"]["name"] == f"iris_binary_{species}"
    assert (metadata["prediction_structure"], len(metadata["prediction_sample"])) == ("(1,2)", 2)
    assert call(app, "GET", "/ready").json == {"model": "ok"}


@pytest.mark.parametrize("name", ["iris_svc", "iris_outlier", "cifar10_small"])
def test_a_model_for_something_else_is_refused(models: Path, name: str) -> None:
    with pytest.raises(ModelError):
        create_app(Settings(model_path=models / name / "model.onnx"))
