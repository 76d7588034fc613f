import hashlib
import json
from pathlib import Path

import pytest

from mlsys import iris
from mlsys.app import Service
from mlsys.errors import ModelError, SettingsError
from mlsys.testing import call

from ..app import create_app
from ..settings import Settings

FLOWER = json.dumps({"data": iris.SAMPLE}).encode()


def test_health_says_that_the_worker_is_alive(app: Service) -> None:
    assert call(app, "GET", "/health").json == {"health": "ok"}


def test_ready_says_that_the_model_answers(app: Service) -> None:
    assert call(app, "GET", "/ready").json == {"model": "ok"}


def test_labels_are_listed_in_the_order_of_the_probabilities(app: Service) -> None:
    assert call(app, "GET", "/label").json == {"0": "setosa", "1": "versicolor", "2": "virginica"}


def test_metadata_has_the_books_keys_and_the_identity_of_the_model_file(app: Service, models: Path) -> None:
    metadata = call(app, "GET", "/metadata").json
    sha256 = hashlib.sha256((models / "iris_svc" / "model.onnx").read_bytes()).hexdigest()
    assert metadata.pop("model") == {"name": "iris_svc", "sha256": sha256}
    assert metadata.pop("prediction_sample") == call(app, "GET", "/predict/test").json["prediction"]
    assert metadata == {
        "data_type": "float32",
        "data_structure": "(1,4)",
        "data_sample": [[5.1, 3.5, 1.4, 0.2]],
        "prediction_type": "float32",
        "prediction_structure": "(1,3)",
    }


def test_a_posted_flower_gets_the_same_answer_as_the_sample_route(app: Service) -> None:
    posted = call(app, "POST", "/predict", FLOWER)
    assert posted.status == 200
    assert posted.headers["content-type"] == "application/json"
    assert posted.json == call(app, "GET", "/predict/test").json
    assert len(posted.json["prediction"]) == 3


def test_a_posted_flower_is_named(app: Service) -> None:
    assert call(app, "POST", "/predict/label", FLOWER).json == {"prediction": "setosa"}
    assert call(app, "GET", "/predict/test/label").json == {"prediction": "setosa"}
    virginica = b'{"data": [[6.7, 3.0, 5.2, 2.3]]}'
    assert call(app, "POST", "/predict/label", virginica).json == {"prediction": "virginica"}


def test_metrics_count_requests_by_route_and_name_the_model(models: Path) -> None:
    app = create_app(Settings(model_path=models / "iris_svc" / "model.onnx", access_log=False))
    for _ in range(3):
        call(app, "POST", "/predict", FLOWER)
    call(app, "POST", "/predict", b"{}")
    call(app, "GET", "/nowhere")
    metrics = call(app, "GET", "/metrics").body.decode().splitlines()
    assert 'http_requests_total{method="POST",route="/predict",status="200"} 3.0' in metrics
    assert 'http_requests_total{method="POST",route="/predict",status="422"} 1.0' in metrics
    assert 'http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in metrics
    assert 'http_request_duration_seconds_count{route="/predict"} 4.0' in metrics
    assert any(line.startswith('model_info{name="iris_svc",sha256="') for line in metrics)


def test_the_service_is_not_built_without_its_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Model .*nowhere\.onnx cannot be used: no such file or directory"):
        create_app(Settings(model_path=tmp_path / "nowhere.onnx"))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_PATH", "elsewhere/model.onnx")
    monkeypatch.setenv("MODEL_THREADS", "0")
    with pytest.raises(SettingsError, match="MODEL_THREADS='0' is not valid"):
        create_app()
    monkeypatch.setenv("MODEL_THREADS", "2")
    assert Settings().model_path == Path("elsewhere/model.onnx")
