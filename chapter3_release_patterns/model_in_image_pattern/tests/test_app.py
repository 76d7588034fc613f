"""The service: the Iris routes, who it says it is, and which models it refuses."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlsys import iris
from mlsys.app import Service
from mlsys.errors import ModelError, SettingsError
from mlsys.testing import Answer, Server, call, eventually

from .. import identity
from ..app import create_app
from ..settings import Settings

APP = "chapter3_release_patterns.model_in_image_pattern.app:create_app"
FLOWER = json.dumps({"data": iris.SAMPLE}).encode()


def bits(model: Path) -> Iterator[bytes]:
    """The model with one bit flipped, at its beginning, in its middle and at its end."""
    content = model.read_bytes()
    for at in (0, len(content) // 2, len(content) - 1):
        yield content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_the_routes_are_those_of_the_books_iris_service(app: Service) -> None:
    assert call(app, "GET", "/health").json == {"health": "ok"}
    assert call(app, "GET", "/ready").json == {"model": "ok"}
    assert call(app, "GET", "/label").json == {"0": "setosa", "1": "versicolor", "2": "virginica"}
    posted = call(app, "POST", "/predict", FLOWER).json
    assert posted == call(app, "GET", "/predict/test").json
    assert sum(posted["prediction"]) == pytest.approx(1, abs=1e-6)
    assert call(app, "GET", "/predict/test/label").json == {"prediction": "setosa"}
    virginica = b'{"data": [[6.7, 3.0, 5.2, 2.3]]}'
    assert call(app, "POST", "/predict/label", virginica).json == {"prediction": "virginica"}


def test_metadata_and_metrics_name_the_model_and_what_the_image_was_built_with(app: Service, model: Path) -> None:
    sha256 = identity.digest(model)
    metadata = call(app, "GET", "/metadata").json
    assert metadata.pop("model") == {"name": "iris_svc", "sha256": sha256}
    assert metadata.pop("image") == {"model_sha256": sha256}
    assert metadata.pop("prediction_sample") == call(app, "GET", "/predict/test").json["prediction"]
    assert metadata == {
        "data_type": "float32",
        "data_structure": "(1,4)",
        "data_sample": [[5.1, 3.5, 1.4, 0.2]],
        "prediction_type": "float32",
        "prediction_structure": "(1,3)",
    }
    assert f'model_info{{name="iris_svc",sha256="{sha256}"}} 1.0' in call(app, "GET", "/metrics").body.decode()


def test_without_an_image_any_model_is_served_and_metadata_says_that_there_is_no_image(models: Path) -> None:
    app = create_app(Settings(model_path=models / "iris_rf" / "model.onnx", access_log=False))
    metadata = call(app, "GET", "/metadata").json
    assert (metadata["model"]["name"], metadata["image"]) == ("iris_rf", {"model_sha256": None})


def test_a_sound_model_that_the_image_was_not_built_with_is_refused(models: Path, model: Path) -> None:
    another = models / "iris_rf" / "model.onnx"
    with pytest.raises(ModelError) as refused:
        create_app(Settings(model_path=another, model_sha256=identity.digest(model)))
    assert identity.digest(another) in str(refused.value)
    assert identity.digest(model) in str(refused.value)


def test_one_flipped_bit_anywhere_is_refused_by_the_digest_and_not_by_chance(model: Path, tmp_path: Path) -> None:
    for content in bits(model):
        (tmp_path / "model.onnx").write_bytes(content)
        with pytest.raises(ModelError, match=r"this image was built with"):
            create_app(Settings(model_path=tmp_path / "model.onnx", model_sha256=identity.digest(model)))


def test_a_file_that_is_replaced_between_the_check_and_the_loading_is_refused(
    models: Path, model: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "model.onnx"  # gives each reader what it is given next
    os.mkfifo(pipe)
    another = (models / "iris_rf" / "model.onnx").read_bytes()

    def give() -> None:
        for content in (model.read_bytes(), another):
            pipe.write_bytes(content)

    giver = threading.Thread(target=give, daemon=True)
    giver.start()
    with pytest.raises(ModelError, match=r"this image was built with"):
        create_app(Settings(model_path=pipe, model_sha256=identity.digest(model)))
    giver.join(10)


@pytest.mark.parametrize("given", ["", "abc", "A" * 64, "g" * 64, "a" * 63, "a" * 65, " " + "a" * 64, "a" * 64 + "\n"])
def test_a_digest_that_is_none_is_refused_and_does_not_mean_that_nothing_is_compared(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("MODEL_SHA256", given)
    with pytest.raises(SettingsError, match="MODEL_SHA256="):
        create_app()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b'{"data": [[NaN, 1, 1, 1]]}', 400),
        (b"{}", 422),
        (b'{"data": [[5.1, 3.5, 1.4]]}', 422),
        (b'{"data": [[5.1, 3.5, 1.4, 1e39]]}', 422),
        (b'{"data": ' + b"[" * 30_000, 422),
        (b"[" * 100_000, 413),
    ],
)
def test_bad_input_is_refused_and_the_model_goes_on_answering(app: Service, body: bytes, status: int) -> None:
    answer: Answer = call(app, "POST", "/predict", body)
    assert (answer.status, bool(answer.error["message"])) == (status, True)
    assert call(app, "POST", "/predict", FLOWER).status == 200


@pytest.mark.e2e
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_process_with_another_model_ends_with_one_sentence_and_serves_nobody(
    start: Callable[..., Server], models: Path, model: Path, workers: str
) -> None:
    another = models / "iris_rf" / "model.onnx"
    server = start(APP, MODEL_PATH=str(another), MODEL_SHA256=identity.digest(model), WORKERS=workers)
    assert server.process.wait(20) == 3
    printed = server.log.read_text()
    assert printed.count("Cannot start: ") == 1
    assert identity.digest(another) in printed
    assert "Traceback" not in printed


@pytest.mark.e2e
def test_the_log_of_a_worker_names_model_and_digest_before_it_answers(
    serve: Callable[..., Server], model: Path
) -> None:
    sha256 = identity.digest(model)
    server = serve(APP, MODEL_PATH=str(model), MODEL_SHA256=sha256, LOG_FORMAT="json")
    lines = eventually(lambda: [line for line in logged(server) if line["event"] == "serving"], deadline_s=5)
    assert [(line["model"], line["sha256"], line["image"]) for line in lines] == [
        ("iris_svc", sha256, {"model_sha256": sha256})
    ]


def logged(server: Server) -> list[dict[str, object]]:
    return [json.loads(line) for line in server.log.read_text().splitlines()]
