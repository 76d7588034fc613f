"""Prep's API, in front of a model server that keeps what it is sent."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from structlog.testing import capture_logs

from mlsys import pictures
from mlsys.app import Service
from mlsys.cifar10 import LABELS
from mlsys.errors import SettingsError, StartupError
from mlsys.picture import to_pixels
from mlsys.ports import free_port
from mlsys.testing import Answer, call, exchange

from ..app import create_app
from ..settings import PILLOW_TAKES, Settings
from .forms import WAYS, as_bytes, as_json
from .standin import StandIn

CAT = pictures.content("cat")
Way = Callable[[bytes], tuple[bytes, str]]


def post(app: Service, way: Way = as_bytes, content: bytes = CAT, path: str = "/predict/label") -> Answer:
    body, content_type = way(content)
    return call(app, "POST", path, body, {"content-type": content_type})


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_send_a_picture_gives_the_same_tensor_and_answer(app: Service, standin: StandIn, way: Way) -> None:
    answer = post(app, way, path="/predict")
    assert (answer.status, answer.json) == (200, {"prediction": [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]})
    assert post(app, way).json == {"prediction": "cat"}
    for batch in standin.received:
        assert (batch == to_pixels(CAT)).all()


@pytest.mark.parametrize("name", pictures.NAMES)
def test_the_tensor_is_what_the_shared_transform_makes(app: Service, standin: StandIn, name: str) -> None:
    post(app, as_json, pictures.content(name))
    assert (standin.received[-1] == to_pixels(pictures.content(name))[np.newaxis]).all()


def test_the_test_routes_predict_the_sample(app: Service, standin: StandIn) -> None:
    assert call(app, "GET", "/predict/test").json == {"prediction": [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]}
    assert call(app, "GET", "/predict/test/label").json == {"prediction": "cat"}
    assert (standin.received[0] == to_pixels(CAT)).all()


def test_labels_are_a_list_and_metadata_name_the_model(app: Service) -> None:
    assert call(app, "GET", "/label").json == list(LABELS)
    about = call(app, "GET", "/metadata").json
    assert about["model"] == {"name": "cifar10_large", "version": "first"}
    assert (about["tensor"], about["prediction_structure"]) == ("input UINT8 [-1, 32, 32, 3]", "(1,10)")
    assert post(app, as_json, content=b"").status == 422
    sample = call(app, "POST", "/predict", b'{"data": "%s"}' % about["data_sample"].encode())
    assert sample.json["prediction"] == about["prediction_sample"]


def test_request_id_and_remaining_time_go_with_the_tensor(app: Service, standin: StandIn) -> None:
    headers = {"content-type": "image/png", "x-request-id": "request-7"}
    assert call(app, "POST", "/predict", CAT, headers).status == 200
    assert standin.request_ids == ["request-7"]
    assert 5 < standin.remaining_s[0] <= 10  # REQUEST_TIMEOUT_S


def test_a_data_url_is_taken(app: Service) -> None:
    body, kind = as_json(CAT)
    assert (
        call(
            app,
            "POST",
            "/predict",
            body.replace(b'"data": "', b'"data": "data:image/png;base64,'),
            {"content-type": kind},
        ).status
        == 200
    )


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (grpc.StatusCode.UNAVAILABLE, 503, "not_ready"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 503, "over_capacity"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, "deadline_exceeded"),
        (grpc.StatusCode.INVALID_ARGUMENT, 502, "bad_gateway"),
        (grpc.StatusCode.INTERNAL, 502, "bad_gateway"),
    ],
)
def test_what_goes_wrong_at_the_model_server_is_said_as_what_it_is(
    app: Service, standin: StandIn, code: grpc.StatusCode, status: int, error: str
) -> None:
    standin.fail = code
    answer = post(app)
    assert (answer.status, answer.error["code"]) == (status, error)
    standin.fail = None
    assert post(app).status == 200


def test_a_model_server_that_is_not_there_is_a_503_and_prep_is_alive_and_not_ready(cat: Path) -> None:
    target = f"127.0.0.1:{free_port()}"
    app = create_app(Settings(model_target=target, sample_path=cat, access_log=False))
    answer = post(app)
    assert (answer.status, answer.error["code"]) == (503, "not_ready")
    assert target in answer.error["message"]
    assert call(app, "GET", "/ready").status == 503
    assert call(app, "GET", "/health").status == 200
    assert call(app, "GET", "/label").status == 200


def test_a_model_server_that_hangs_is_a_504_after_the_requests_time(standin: StandIn, cat: Path) -> None:
    settings = Settings(model_target=standin.target, sample_path=cat, access_log=False, request_timeout_s=0.5)
    app = create_app(settings)
    standin.go.clear()
    answer = post(app)
    assert (answer.status, answer.error["code"]) == (504, "deadline_exceeded")
    assert standin.remaining_s[0] <= 0.5
    standin.go.set()
    assert post(app).status == 200


@pytest.mark.parametrize("probabilities", [np.full((1, 10), np.nan), np.zeros((1, 10)), np.full((1, 3), 1 / 3)])
def test_an_answer_that_is_none_is_a_502(app: Service, standin: StandIn, probabilities: NDArray[np.float64]) -> None:
    standin.probabilities = probabilities.astype(np.float32)
    answer = post(app)
    assert (answer.status, answer.error["code"]) == (502, "bad_gateway")


def test_a_model_that_is_swapped_for_one_with_other_labels_gets_no_tensor(app: Service, standin: StandIn) -> None:
    assert post(app).status == 200
    standin.version, standin.labels = "second", ["cat", "dog"]
    answer = post(app)
    assert (answer.status, answer.error["code"]) == (503, "not_ready")
    assert "has the labels ['cat', 'dog'], and this service is made for ['airplane'" in answer.error["message"]
    ready = call(app, "GET", "/ready")
    assert ready.status == 503
    assert "second" in ready.error["message"]
    assert len(standin.received) == 1
    standin.version, standin.labels = "third", list(LABELS)
    assert call(app, "GET", "/ready").status == 200
    assert post(app).status == 200


def test_a_model_that_is_swapped_between_the_question_and_the_tensor_gets_no_tensor(
    app: Service, standin: StandIn
) -> None:
    assert post(app).status == 200

    def swap() -> None:
        standin.version, standin.labels = "second", ["cat", "dog"]

    standin.on_infer = swap
    assert post(app).status == 503
    assert len(standin.received) == 1


def test_the_largest_number_of_pixels_is_a_setting(standin: StandIn, cat: Path) -> None:
    app = create_app(Settings(model_target=standin.target, sample_path=cat, access_log=False, max_pixels=224 * 224 - 1))
    answer = post(app)
    assert (answer.status, answer.error["code"]) == (413, "payload_too_large")


def test_more_pixels_than_the_decoder_takes_cannot_be_promised() -> None:
    assert PILLOW_TAKES == Image.MAX_IMAGE_PIXELS
    with pytest.raises(SettingsError, match="MAX_PIXELS"):
        Settings(max_pixels=PILLOW_TAKES + 1)


def test_a_caller_who_goes_away_is_counted_and_is_no_error(app: Service, standin: StandIn) -> None:
    part = {"type": "http.request", "body": CAT[:100], "more_body": True}
    with capture_logs() as lines:
        asyncio.run(
            exchange(app, "POST", "/predict", [part, {"type": "http.disconnect"}], {"content-type": "image/png"})
        )
    assert not [line for line in lines if line["log_level"] in ("error", "warning")]
    assert 'route="/predict",status="499"} 1.0' in call(app, "GET", "/metrics").body.decode()
    assert standin.received == []


def test_metrics_tell_the_two_halves_apart(app: Service) -> None:
    post(app)
    shown = call(app, "GET", "/metrics").body.decode()
    assert 'prep_step_seconds_count{step="decode"} 1.0' in shown
    assert 'prep_step_seconds_count{step="predict"} 1.0' in shown


def test_the_document_describes_the_three_ways(app: Service) -> None:
    paths = app.openapi()["paths"]
    for path in ("/predict", "/predict/label"):
        assert set(paths[path]["post"]["requestBody"]["content"]) == {
            "application/json",
            "multipart/form-data",
            "image/*",
        }
        assert {"400", "408", "413", "415", "422", "502", "503", "504"} <= set(paths[path]["post"]["responses"])


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_a_sample_that_cannot_be_used_prevents_the_start(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "sample.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StartupError, match=r"SAMPLE_PATH=.*sample\.png cannot be used \(.*\): write the sample"):
        create_app(Settings(sample_path=path))


@pytest.mark.parametrize("target", ["", "pred", "http://pred:50051", "pred:", "pred:port"])
def test_a_target_of_another_form_prevents_the_start(target: str) -> None:
    with pytest.raises(SettingsError, match="MODEL_TARGET"):
        Settings(model_target=target)
