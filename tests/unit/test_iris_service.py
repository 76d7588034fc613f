import json
from pathlib import Path

import pytest

from mlsys import iris
from mlsys.app import Service
from mlsys.errors import ModelError
from mlsys.iris_service import IrisModel, add_routes, describe
from mlsys.model import Model
from mlsys.settings import Settings
from mlsys.testing import call

FLOWER = json.dumps({"data": iris.SAMPLE}).encode()


@pytest.fixture
def service(models: Path) -> Service:
    service = Service(title="probe", description="Probe.", settings=Settings(access_log=False))
    add_routes(service, IrisModel(Model.load(models / "iris_svc" / "model.onnx")))
    return service


def test_the_routes_are_the_books(service: Service) -> None:
    assert call(service, "GET", "/label").json == {"0": "setosa", "1": "versicolor", "2": "virginica"}
    posted = call(service, "POST", "/predict", FLOWER).json
    assert posted == call(service, "GET", "/predict/test").json
    assert sum(posted["prediction"]) == pytest.approx(1, abs=1e-6)
    assert call(service, "POST", "/predict/label", FLOWER).json == {"prediction": "setosa"}
    assert call(service, "GET", "/predict/test/label").json == {"prediction": "setosa"}


def test_two_flowers_in_one_request_are_refused_and_not_half_answered(service: Service) -> None:
    two = json.dumps({"data": iris.SAMPLE * 2}).encode()
    assert call(service, "POST", "/predict", two).status == 422


def test_the_description_has_the_books_keys() -> None:
    assert describe([0.9, 0.1, 0.0]) == {
        "data_type": "float32",
        "data_structure": "(1,4)",
        "data_sample": [[5.1, 3.5, 1.4, 0.2]],
        "prediction_type": "float32",
        "prediction_structure": "(1,3)",
        "prediction_sample": [0.9, 0.1, 0.0],
    }


def test_a_model_of_other_classes_is_refused(models: Path) -> None:
    with pytest.raises(ModelError, match="its labels are"):
        IrisModel(Model.load(models / "iris_binary_setosa" / "model.onnx"))
