"""The same model by the Open Inference Protocol: batches, and the form of errors that its clients read."""

import json

import numpy as np
import pytest

from mlsys import iris
from mlsys.app import Service
from mlsys.testing import Answer, call

INFER = "/v2/models/iris_svc/infer"
FLOWERS = [[5.1, 3.5, 1.4, 0.2], [5.7, 2.8, 4.1, 1.3], [6.7, 3.0, 5.2, 2.3]]


def infer(app: Service, tensor: dict[str, object], path: str = INFER) -> Answer:
    named = {"name": "input", "datatype": "FP32"} | tensor
    return call(app, "POST", path, json.dumps({"inputs": [named]}).encode())


def test_a_batch_is_answered_row_by_row_as_the_patterns_own_route_answers_each(app: Service) -> None:
    label, probabilities = infer(app, {"shape": [3, 4], "data": FLOWERS}).json["outputs"]
    assert label["data"] == [0, 1, 2]
    assert probabilities["shape"] == [3, 3]
    for flower, row in zip(FLOWERS, np.array(probabilities["data"]).reshape(3, 3).tolist(), strict=True):
        alone = call(app, "POST", "/predict", json.dumps({"data": [flower]}).encode()).json["prediction"]
        np.testing.assert_allclose(row, alone, atol=1e-6)


def test_binary_tensors_are_taken_and_given(app: Service) -> None:
    head = json.dumps(
        {
            "inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}],
            "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}],
        }
    ).encode()
    headers = {"inference-header-content-length": str(len(head))}
    answer = call(app, "POST", INFER, head + np.array(iris.SAMPLE, np.float32).tobytes(), headers)
    length = int(answer.headers["inference-header-content-length"])
    probabilities = np.frombuffer(answer.body[length:], np.float32)
    assert probabilities.tolist() == call(app, "GET", "/predict/test").json["prediction"]


def test_the_model_says_what_it_takes_and_which_it_is(app: Service) -> None:
    model = call(app, "GET", "/v2/models/iris_svc").json
    assert model["versions"] == [call(app, "GET", "/metadata").json["model"]["sha256"][:12]]
    assert model["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}]
    versioned = f"/v2/models/iris_svc/versions/{model['versions'][0]}"
    assert infer(app, {"shape": [1, 4], "data": FLOWERS[0]}, f"{versioned}/infer").status == 200
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/iris_svc/ready", f"{versioned}/ready"):
        assert call(app, "GET", path).status == 200


def test_errors_have_the_protocols_form(app: Service) -> None:
    wrong = infer(app, {"shape": [1, 3], "data": [1, 2, 3]})
    assert wrong.status == 400
    assert list(wrong.json) == ["error"]
    assert "'input' has the shape [1, 3]; the model takes [-1, 4]" in wrong.json["error"]
    unknown = infer(app, {"shape": [1, 4], "data": FLOWERS[0]}, "/v2/models/another/infer")
    assert (unknown.status, unknown.json["error"]) == (404, "There is no model 'another'; there are iris_svc.")
    method = call(app, "GET", INFER)
    assert (method.status, method.headers["allow"], list(method.json)) == (405, "POST", ["error"])


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_in_bytes_too(app: Service, number: float) -> None:
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}
    head = json.dumps({"inputs": [tensor]}).encode()
    flower = np.array([[5.1, 3.5, number, 0.2]], np.float32)
    answer = call(app, "POST", INFER, head + flower.tobytes(), {"inference-header-content-length": str(len(head))})
    assert (answer.status, "NaN or an infinity" in answer.json["error"]) == (400, True)


def test_the_one_model_can_be_neither_loaded_nor_unloaded(app: Service) -> None:
    assert call(app, "POST", "/v2/repository/models/iris_svc/unload").status == 404
    assert "model_repository" not in call(app, "GET", "/v2").json["extensions"]
