import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlsys import iris
from mlsys.app import Service
from mlsys.catalogue import ROOT
from mlsys.errors import ModelError
from mlsys.testing import Answer, Server, call

from ..app import create_app
from ..install import install
from ..releases import Release
from ..settings import Settings
from .conftest import NEW, OLD, PACKAGE, Site

FLOWER = json.dumps({"data": iris.SAMPLE}).encode()
RF = "1.0.0+iris.2026.11"


@pytest.fixture
def app(site: Site, models: Path) -> Service:
    """The service in an environment of two packages, one of them without code."""
    site.add("iris_svc", (models / "iris_svc" / "model.onnx").read_bytes(), version=OLD.version)
    site.add("iris_rf", (models / "iris_rf" / "model.onnx").read_bytes(), version=RF, code=None)
    return create_app(Settings(access_log=False))


def infer(app: Service, model: str, flowers: list[list[float]]) -> list[list[float]]:
    tensor = {"name": "input", "datatype": "FP32", "shape": [len(flowers), 4], "data": flowers}
    answer = call(app, "POST", f"/v2/models/{model}/infer", json.dumps({"inputs": [tensor]}).encode())
    (probabilities,) = [one for one in answer.json["outputs"] if one["name"] == "probabilities"]
    rows: list[list[float]] = np.array(probabilities["data"]).reshape(-1, 3).tolist()
    return rows


def test_every_installed_package_is_listed_with_version_and_hash(app: Service, models: Path) -> None:
    listed = call(app, "GET", "/models").json
    assert [(one["name"], one["distribution"], one["version"], one["default"]) for one in listed] == [
        ("iris_rf", "mlsys-model-iris-rf", RF, False),
        ("iris_svc", "mlsys-model-iris-svc", OLD.version, True),
    ]
    for one in listed:
        assert one["sha256"] == hashlib.sha256((models / one["name"] / "model.onnx").read_bytes()).hexdigest()


def test_every_installed_package_is_served_by_the_open_inference_protocol(app: Service) -> None:
    for one in call(app, "GET", "/models").json:
        about = call(app, "GET", f"/v2/models/{one['name']}").json
        assert about["versions"] == [one["sha256"][:12]]
        assert sum(infer(app, one["name"], iris.SAMPLE)[0]) == pytest.approx(1, abs=1e-5)
    assert infer(app, "iris_svc", iris.SAMPLE) != infer(app, "iris_rf", iris.SAMPLE)


def test_the_default_model_answers_the_iris_routes(app: Service) -> None:
    probabilities = call(app, "POST", "/predict", FLOWER).json["prediction"]
    assert probabilities == pytest.approx(infer(app, "iris_svc", iris.SAMPLE)[0], abs=1e-6)
    assert call(app, "POST", "/predict/label", FLOWER).json == {"prediction": "setosa"}
    assert call(app, "GET", "/predict/test").json == {"prediction": probabilities}
    assert call(app, "GET", "/predict/test/label").json == {"prediction": "setosa"}
    assert call(app, "GET", "/label").json == {"0": "setosa", "1": "versicolor", "2": "virginica"}


def test_metadata_name_the_package_that_answers(app: Service) -> None:
    metadata = call(app, "GET", "/metadata").json
    assert metadata["model"] == call(app, "GET", "/models").json[1]
    assert metadata["prediction_sample"] == call(app, "GET", "/predict/test").json["prediction"]
    assert (metadata["data_structure"], metadata["data_sample"]) == ("(1,4)", [[5.1, 3.5, 1.4, 0.2]])


def test_ready_and_metrics_name_every_package(app: Service) -> None:
    assert call(app, "GET", "/ready").json == {"iris_rf": "ok", "iris_svc": "ok"}
    metrics = call(app, "GET", "/metrics").body.decode()
    for distribution, version in (("mlsys-model-iris-rf", RF), ("mlsys-model-iris-svc", OLD.version)):
        assert f'model_package_info{{distribution="{distribution}",' in metrics
        assert f'version="{version}"}} 1.0' in metrics


def test_another_default_is_a_matter_of_configuration(app: Service) -> None:
    other = create_app(Settings(default_model="iris_rf", access_log=False))
    assert call(other, "POST", "/predict", FLOWER).json != call(app, "POST", "/predict", FLOWER).json
    assert call(other, "GET", "/metadata").json["model"]["name"] == "iris_rf"


def test_a_default_that_is_about_something_else_is_refused(site: Site, models: Path) -> None:
    site.add("iris_perceptron", (models / "iris_perceptron" / "model.onnx").read_bytes())
    with pytest.raises(ModelError, match="DEFAULT_MODEL=iris_perceptron is not a model of Iris species"):
        create_app(Settings(default_model="iris_perceptron"))


def test_one_damaged_package_keeps_the_service_from_starting(site: Site, content: bytes) -> None:
    site.add("iris_svc", content)
    (site.add("unused", content) / "model.onnx").write_bytes(content[:-1])
    with pytest.raises(ModelError, match=r"Model package mlsys-model-unused 1\.0\.0\+test in .* cannot be used"):
        create_app(Settings())


BAD: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"NaN", 400),
    (FLOWER[:-3], 400),
    (FLOWER + b"\xff", 400),
    (b"{}", 422),
    (b'{"data": []}', 422),
    (b'{"data": [[5.1, 3.5, 1.4]]}', 422),
    (b'{"data": [[5.1, 3.5, 1.4, 1e39]]}', 422),
    (b'{"data": [[5.1, 3.5, 1.4, "0.2"]]}', 422),
    (b'{"data": [[5.1, 3.5, 1.4, null]]}', 422),
    (b'{"data": [[5.1, 3.5, 1.4, 0.2]], "model": "iris_rf"}', 422),
    (b"[" * 60_000, 422),
    (b"[" * 100_000, 413),
]


@pytest.mark.parametrize(("body", "status"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_bad_input_is_refused_as_what_it_is(app: Service, body: bytes, status: int) -> None:
    for path in ("/predict", "/predict/label"):
        answer = call(app, "POST", path, body)
        assert (answer.status, bool(answer.error["message"])) == (status, True)


@pytest.mark.parametrize("name", ["none", "../iris_svc", "..%2Firis_svc", "mlsys_model_iris_svc", "a" * 10_000, "ирис"])
def test_a_model_that_is_not_installed_is_a_404_and_no_path(app: Service, name: str) -> None:
    answer: Answer = call(app, "POST", f"/v2/models/{name}/infer", FLOWER)
    assert answer.status == 404
    assert len(answer.json["error"]) < 400


@pytest.mark.e2e
def test_without_a_package_the_service_says_so_once_and_does_not_start(start: Callable[..., Server]) -> None:
    for workers in ("1", "2"):
        server = start(f"{PACKAGE}.app:create_app", WORKERS=workers)
        assert server.process.wait(30) == 3
        said = server.log.read_text()
        assert "DEFAULT_MODEL=iris_svc is not among the installed model packages (none): install" in said
        assert "Traceback" not in said


@pytest.mark.e2e
def test_two_versions_are_served_side_by_side_and_a_downgrade_is_a_restart(
    serve: Callable[..., Server], wheels: dict[Release, Path], tmp_path: Path
) -> None:
    servers = []
    for release in (OLD, NEW):
        install([wheels[release]], tmp_path / release.version)
        servers.append(serve_from(serve, tmp_path / release.version))
    assert [version_of(server) for server in servers] == [OLD.version, NEW.version]

    install([wheels[OLD]], tmp_path / NEW.version)
    assert version_of(servers[1]) == NEW.version, "what runs keeps what it has read"
    assert servers[1].stop() == 0
    assert version_of(serve_from(serve, tmp_path / NEW.version)) == OLD.version


def serve_from(serve: Callable[..., Server], site: Path) -> Server:
    path = os.pathsep.join([str(ROOT), str(site)])
    return serve(f"{PACKAGE}.app:create_app", PYTHONPATH=path, WORKERS="2", ACCESS_LOG="false")


def version_of(server: Server) -> str:
    version: str = server.get("/metadata").json["model"]["version"]
    return version
