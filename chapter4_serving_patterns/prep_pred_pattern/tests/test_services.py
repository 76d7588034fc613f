"""Prep and the real model server, each in processes of its own: started in any order, killed, swapped, flooded."""

import http.client
import io
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from uvicorn.config import STARTUP_FAILURE

from mlsys import pictures
from mlsys.model import Model
from mlsys.picture import to_pixels
from mlsys.ports import free_port
from mlsys.testing import Answer, Server, eventually

PREP = "chapter4_serving_patterns.prep_pred_pattern.app:create_app"
CAT = pictures.content("cat")

pytestmark = pytest.mark.e2e
StartModels = Callable[[Path, int, int], "subprocess.Popen[bytes]"]


@pytest.fixture
def ports() -> tuple[int, int]:
    """Of the model server: REST, gRPC."""
    return free_port(), free_port()


@pytest.fixture
def start_prep(start: Callable[..., Server], ports: tuple[int, int], cat: Path) -> Callable[..., Server]:
    """`start_prep(**environment)` starts prep in front of the model server's port."""

    def start_prep(**environment: str) -> Server:
        return start(PREP, MODEL_TARGET=f"127.0.0.1:{ports[1]}", SAMPLE_PATH=str(cat), **environment)

    return start_prep


def post(server: Server, path: str = "/predict", body: bytes = CAT, kind: str = "image/png") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("POST", path, body, {"Content-Type": kind})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def load(port: int, model: str) -> None:
    """Have the model server read the model's file again."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", f"/v2/repository/models/{model}/load")
        assert connection.getresponse().status == 200
    finally:
        connection.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_prep_waits_for_a_model_server_that_comes_later_and_answers_as_the_model_itself(
    start_prep: Callable[..., Server],
    serve_models: StartModels,
    models: Path,
    ports: tuple[int, int],
    workers: str,
) -> None:
    prep = start_prep(WORKERS=workers)
    eventually(lambda: '"event":"waiting"' in prep.log.read_text(), deadline_s=20)
    serve_models(models / "cifar10_large", *ports)
    eventually(prep.is_ready, deadline_s=20)
    model = Model.load(models / "cifar10_large" / "model.onnx")
    for name in pictures.NAMES:
        content = pictures.content(name)
        batch = to_pixels(content)[np.newaxis]
        answer = post(prep, body=content)
        assert np.allclose(answer.json["prediction"], model.predict(batch)[0], atol=1e-6)
        assert post(prep, "/predict/label", content).json == {"prediction": model.classify(batch)[0]}
    assert prep.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_prep_refuses_to_start_against_a_model_for_something_else(
    start_prep: Callable[..., Server],
    serve_models: StartModels,
    models: Path,
    ports: tuple[int, int],
    tmp_path: Path,
    workers: str,
) -> None:
    shutil.copytree(models / "iris_svc", tmp_path / "cifar10_large")
    serve_models(tmp_path / "cifar10_large", *ports)
    prep = start_prep(WORKERS=workers)
    assert prep.process.wait(20) == STARTUP_FAILURE
    (sentence,) = [line for line in prep.log.read_text().splitlines() if line.startswith("Cannot start: ")]
    assert "takes input FP32[-1, 4], and this service is made for input UINT8[-1, 32, 32, 3]" in sentence
    assert "Traceback" not in prep.log.read_text()


def test_prep_gives_up_on_a_model_server_that_does_not_come(
    start_prep: Callable[..., Server], ports: tuple[int, int]
) -> None:
    prep = start_prep(MODEL_WAIT_S="0.5")
    assert prep.process.wait(20) == STARTUP_FAILURE
    said = prep.log.read_text()
    assert (
        f"Cannot start: The model server was not usable within 0.5 s: The model server at 127.0.0.1:{ports[1]}" in said
    )


def test_a_killed_model_server_is_a_503_and_prep_goes_on_when_it_is_back(
    start_prep: Callable[..., Server], serve_models: StartModels, models: Path, ports: tuple[int, int]
) -> None:
    pred = serve_models(models / "cifar10_large", *ports)
    prep = start_prep()
    eventually(prep.is_ready, deadline_s=20)
    before = post(prep).json
    pred.kill()
    pred.wait()
    answer = post(prep)
    assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "not_ready", "1")
    assert (prep.get("/ready").status, prep.get("/health").status) == (503, 200)
    serve_models(models / "cifar10_large", *ports)
    eventually(prep.is_ready, deadline_s=20)
    assert post(prep).json == before


def test_a_model_that_is_swapped_under_load_gets_no_tensor_that_is_not_for_it(
    start_prep: Callable[..., Server],
    serve_models: StartModels,
    models: Path,
    ports: tuple[int, int],
    tmp_path: Path,
) -> None:
    place = tmp_path / "cifar10_large" / "model.onnx"
    shutil.copytree(models / "cifar10_large", place.parent)
    serve_models(place.parent, *ports)
    prep = start_prep()
    eventually(prep.is_ready, deadline_s=20)
    first = post(prep).json
    answers: list[Answer] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers.append(post(prep))

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        # The same file with two labels exchanged: every tensor fits, and every cat would be called a dog.
        content = place.read_bytes()
        assert content.count(b'"cat","deer","dog"') == 1
        put(place, content.replace(b'"cat","deer","dog"', b'"dog","deer","cat"'))
        load(ports[0], "cifar10_large")
        eventually(lambda: answers[-1].status == 503, deadline_s=20)
        refused = prep.get("/ready")
        assert (refused.status, refused.error["code"]) == (503, "not_ready")
        assert "has the labels" in refused.error["message"]
        # Another model of the same contract: prep takes it without being told.
        put(place, (models / "cifar10_small" / "model.onnx").read_bytes())
        load(ports[0], "cifar10_large")
        eventually(lambda: answers[-1].status == 200, deadline_s=20)
    finally:
        done.set()
        for asker in askers:
            asker.join()
    second = post(prep).json
    assert second != first
    assert {answer.status for answer in answers} == {200, 503}
    assert all(answer.json in (first, second) for answer in answers if answer.status == 200)


def put(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)


def test_a_flood_of_large_pictures_is_answered_or_refused_and_probes_are_answered_meanwhile(
    start_prep: Callable[..., Server], serve_models: StartModels, models: Path, ports: tuple[int, int]
) -> None:
    serve_models(models / "cifar10_large", *ports)
    prep = start_prep(MAX_CONCURRENCY="4", ACCESS_LOG="false")
    eventually(prep.is_ready, deadline_s=20)
    large = large_png()
    answers: list[Answer] = []

    def ask() -> None:
        answers.extend([post(prep, body=large) for _ in range(3)])

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    slowest = 0.0
    while any(asker.is_alive() for asker in askers):
        began = time.monotonic()
        assert prep.get("/health").status == 200
        slowest = max(slowest, time.monotonic() - began)
    for asker in askers:
        asker.join()
    assert len(answers) == 24
    assert {answer.status for answer in answers} == {200, 503}
    assert all(answer.error["code"] == "over_capacity" for answer in answers if answer.status == 503)
    assert slowest < 5, "decoding held the event loop"


def large_png() -> bytes:
    """Nine megapixels in a small file."""
    content = io.BytesIO()
    Image.new("RGB", (3000, 3000), (9, 99, 199)).save(content, "PNG")
    return content.getvalue()
