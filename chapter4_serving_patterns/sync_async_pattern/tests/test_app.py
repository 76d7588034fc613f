"""The service, between the real fast model and a queue that does as it is told."""

import asyncio
import base64
import struct
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from mlsys import pictures
from mlsys.cifar10 import INPUT, LABEL, LABELS, PROBABILITIES
from mlsys.errors import ModelError, SettingsError, StartupError
from mlsys.metadata import Tensor
from mlsys.remote import Declared
from mlsys.testing import Answer, eventually

from ..app import create_app
from ..calibration import CALIBRATION
from ..fast import require_fit
from ..settings import Settings
from .caller import Caller
from .conftest import Serve
from .standin import StandIn

CAT = pictures.content("cat")
BOMB = b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 30_000, 30_000, 1, 24, *[0] * 6)
FITS = Declared("cifar10_small", CALIBRATION.fast, [INPUT], [LABEL, PROBABILITIES], list(LABELS))


def refused_for(answer: Answer, why: str) -> None:
    """Check that the fast answer came all the same, and says that there will be no other."""
    assert answer.status == 200, answer.body
    found = answer.json
    assert (found["job_id"], found["better"], found["why_not"]) == (None, False, why)
    assert found["cifar10_small"] == "cat"


def test_one_request_has_the_fast_label_and_the_job_id_of_the_slow_one(caller: Caller, queue: StandIn) -> None:
    answer = caller.post(CAT)
    assert answer.status == 200
    found = answer.json
    assert (found["cifar10_small"], found["better"], found["why_not"]) == ("cat", True, None)
    assert 0.1 < found["probability"] <= 1
    assert list(queue.jobs) == [found["job_id"]]
    assert caller.metric("none") == 1


def test_the_queue_gets_the_very_picture_and_the_request_id(caller: Caller, queue: StandIn) -> None:
    caller.post(CAT, {"x-request-id": "request-7"})
    caller.ask("GET", "/predict/test")
    first, second = queue.received
    assert first.body == second.body
    assert first.headers["x-request-id"] == "request-7"
    keys = {uuid.UUID(sent.headers["idempotency-key"]) for sent in queue.received}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("status", "why"),
    [(429, "full"), (503, "down"), (504, "late"), (413, "refused"), (500, "refused"), (307, "refused")],
)
def test_a_queue_that_refuses_costs_the_better_answer_alone(
    caller: Caller, queue: StandIn, status: int, why: str
) -> None:
    queue.status = status
    refused_for(caller.post(CAT), why)
    assert len(queue.received) == 1, "it is asked once, and no redirect is followed"
    assert caller.metric(why) == 1
    queue.status = 200
    assert caller.post(CAT).json["better"]


@pytest.mark.parametrize("nonsense", [b"", b"[]", b'{"job_id": null}', b'{"job_id": "../x"}', b"\xff", b"x" * 100_000])
def test_what_is_no_job_id_is_no_promise(caller: Caller, queue: StandIn, nonsense: bytes) -> None:
    queue.answer = nonsense
    refused_for(caller.post(CAT), "refused")


def test_a_queue_that_hangs_delays_the_fast_answer_by_its_bound_and_no_more(serve_here: Serve, queue: StandIn) -> None:
    caller = serve_here(queue_timeout_s=0.2)
    queue.hang()
    began = time.monotonic()
    refused_for(caller.post(CAT), "late")
    assert time.monotonic() - began < 5


def test_without_a_queue_the_fast_answers_go_on_and_a_new_one_is_found(serve_here: Serve, queue: StandIn) -> None:
    caller = serve_here()
    assert caller.post(CAT).json["better"]
    queue.stop()
    refused_for(caller.post(CAT), "down")
    ready = caller.ask("GET", "/ready")
    assert (ready.status, ready.json["cifar10_small"]) == (200, "ok")
    assert "not available" in ready.json["queue"]
    again = StandIn(queue.port)
    try:
        assert caller.post(CAT).json["job_id"] in again.jobs
        assert caller.ask("GET", "/ready").json["queue"] == "ok"
    finally:
        again.stop()


def test_the_service_starts_without_a_queue(serve_here: Serve, queue: StandIn) -> None:
    queue.stop()
    refused_for(serve_here(queue_wait_s=0.2).post(CAT), "down")


def test_a_connection_that_broke_is_no_reason_to_lose_the_better_answer_or_to_queue_twice(
    caller: Caller, queue: StandIn
) -> None:
    queue.drops = 1
    assert caller.post(CAT).json["better"]
    first, second = queue.received
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"cat", 400),
        (b"{}", 422),
        (b'{"image_data": ""}', 422),
        (b'{"image_data": "c@t"}', 422),
        (b'{"image_data": "aaaa", "size": 1}', 422),
        (b'{"image_data": "aaaa"}', 415),
        (b'{"image_data": "%s"}' % base64.b64encode(CAT[:5000]), 422),
    ],
)
def test_what_is_no_picture_is_refused_and_not_queued(caller: Caller, queue: StandIn, body: bytes, status: int) -> None:
    answer = caller.ask("POST", "/predict", body)
    assert (answer.status, queue.received) == (status, []), answer.body
    assert answer.error["message"]


def test_a_picture_over_the_limits_is_a_413_and_not_queued(caller: Caller, queue: StandIn) -> None:
    assert caller.post(BOMB).status == 413
    assert caller.ask("POST", "/predict", b" " * (256 * 2**10 + 1)).status == 413
    assert queue.received == []


@pytest.mark.parametrize(("threshold", "why"), [(0.0, "sure"), (0.9999, None)])
def test_a_sure_fast_model_leaves_the_slow_one_alone(
    serve_here: Serve, queue: StandIn, threshold: float, why: str | None
) -> None:
    found = serve_here(cascade_threshold=threshold).post(CAT).json
    assert (found["why_not"], found["better"], bool(queue.received)) == (why, not why, not why)


def test_the_probability_is_a_calibrated_one(serve_here: Serve) -> None:
    found = serve_here(cascade_threshold=0.0).post(CAT).json["probability"]
    assert serve_here(cascade_threshold=found).post(CAT).json["why_not"] == "sure"
    assert serve_here(cascade_threshold=found + 1e-4).post(CAT).json["why_not"] is None


def test_a_jobs_state_is_what_the_queue_says(caller: Caller, queue: StandIn) -> None:
    job_id = caller.post(CAT).json["job_id"]
    assert caller.ask("GET", f"/job/{job_id}").json == {job_id: {"prediction": "", "state": "queued"}}
    queue.finish(job_id, "dog")
    assert caller.ask("GET", f"/job/{job_id}").json == {job_id: {"prediction": "dog", "state": "done"}}


@pytest.mark.parametrize("tail", ["", "/events"])
@pytest.mark.parametrize(
    "job_id", ["1", "*", "..%2F..%2Fqueue", "{jobs}:dead", "06952DA5-5A78-4970-9CDA-0A0858478DDC", "a" * 3000]
)
def test_what_can_be_no_job_id_is_a_404_that_the_queue_never_sees(
    caller: Caller, queue: StandIn, job_id: str, tail: str
) -> None:
    queue.stop()
    answer = caller.ask("GET", f"/job/{job_id}{tail}")
    assert (answer.status, answer.error["code"]) == (404, "not_found")


@pytest.mark.parametrize("tail", ["", "/events"])
def test_an_unknown_job_is_a_404(caller: Caller, tail: str) -> None:
    answer = caller.ask("GET", f"/job/{uuid.uuid4()}{tail}")
    assert (answer.status, answer.error["code"]) == (404, "not_found")


def test_what_goes_wrong_at_the_queue_is_said_as_what_it_is(serve_here: Serve, queue: StandIn) -> None:
    caller, hurried = serve_here(), serve_here(request_timeout_s=0.3)
    path = f"/job/{uuid.uuid4()}"
    for status, expected in ((503, 503), (429, 503), (504, 504), (500, 502), (307, 502)):
        queue.status = status
        assert caller.ask("GET", path).status == expected
    queue.status = 200
    for nonsense in (b"", b"{}", b"[1]", b'{"1": {}}', b"x" * 100_000):
        queue.answer = nonsense
        assert caller.ask("GET", path).status == 502
    queue.hang()
    assert hurried.ask("GET", path).status == 504
    assert hurried.ask("GET", f"{path}/events").status == 504
    queue.stop()
    assert caller.ask("GET", path).status == 503
    assert caller.ask("GET", f"{path}/events").status == 503


def test_health_all_tells_of_each_backend(caller: Caller, queue: StandIn) -> None:
    assert caller.ask("GET", "/health/all").json == {"cifar10_small": "ok", "cifar10_large": "ng", "queue": "ok"}
    queue.status = 503
    assert caller.ask("GET", "/health/all").json["queue"] == "ng"
    assert caller.ask("GET", "/health").json == {"health": "ok"}


def test_labels_and_metadata_name_what_answers(caller: Caller, queue: StandIn) -> None:
    assert caller.ask("GET", "/label").json == list(LABELS)
    about = caller.ask("GET", "/metadata").json
    assert about["models"]["slow"] == "cifar10_large"
    assert about["models"]["fast"].startswith("cifar10_small ")
    sample = caller.ask("POST", "/predict", b'{"image_data": "%s"}' % about["data_sample"].encode())
    assert sample.json["cifar10_small"] in LABELS
    assert queue.received


def test_a_model_that_was_not_calibrated_may_answer_and_may_not_decide_alone() -> None:
    other = FITS._replace(version="0123456789ab")
    require_fit(FITS, calibration_needed=True)
    require_fit(other, calibration_needed=False)
    with pytest.raises(ModelError, match=r"0123456789ab.* was calibrated|0123456789ab.*choose"):
        require_fit(other, calibration_needed=True)


@pytest.mark.parametrize(
    "other",
    [
        FITS._replace(labels=["cat", "dog"]),
        FITS._replace(inputs=[Tensor(name="input", datatype="FP32", shape=[-1, 3, 32, 32])]),
        FITS._replace(outputs=[Tensor(name="label", datatype="INT64", shape=[-1])]),
    ],
)
def test_a_model_for_something_else_is_refused(other: Declared) -> None:
    with pytest.raises(ModelError, match="and this service is made for"):
        require_fit(other, calibration_needed=False)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"queue_url": "queue:8000"}, "QUEUE_URL"),
        ({"queue_url": "http://queue:8000/"}, "QUEUE_URL"),
        ({"fast_target": "http://small:8500"}, "FAST_TARGET"),
        ({"cascade_threshold": 1.5}, "CASCADE_THRESHOLD"),
        ({"max_streams": 64}, "MAX_STREAMS=64"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        Settings(**values)


def test_a_sample_that_cannot_be_used_prevents_the_start() -> None:
    with pytest.raises(StartupError, match=r"SAMPLE_PATH=nowhere\.png cannot be used"):
        create_app(Settings(sample_path=Path("nowhere.png")))


def test_an_event_stream_passes_on_what_comes_until_the_end(caller: Caller, queue: StandIn) -> None:
    job_id = caller.post(CAT).json["job_id"]
    queue.finish(job_id, "dog")
    answer = caller.ask("GET", f"/job/{job_id}/events")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert answer.body.count(b'"prediction": "dog"') == 2
    eventually(lambda: queue.open_streams == 0, deadline_s=10)


def test_a_stream_of_a_job_that_takes_for_ever_ends_with_its_life(serve_here: Serve, queue: StandIn) -> None:
    caller = serve_here(stream_s=0.2)
    answer = caller.ask("GET", f"/job/{caller.post(CAT).json['job_id']}/events")
    assert (answer.status, b'"state": "queued"' in answer.body) == (200, True)
    eventually(lambda: queue.open_streams == 0, deadline_s=10)


def test_a_stream_ends_when_the_process_was_told_to_stop(caller: Caller, queue: StandIn) -> None:
    path = f"/job/{caller.post(CAT).json['job_id']}/events"
    caller.app.stop()
    assert caller.ask("GET", path).status == 200
    eventually(lambda: queue.open_streams == 0, deadline_s=10)


def test_more_streams_than_may_be_open_are_refused_and_predictions_go_on(serve_here: Serve, queue: StandIn) -> None:
    caller = serve_here(max_streams=1)
    job_id = caller.post(CAT).json["job_id"]
    path = f"/job/{job_id}/events"

    async def at_the_same_time() -> tuple[Answer, Answer, Answer]:
        first = asyncio.create_task(caller.asked("GET", path))
        await asyncio.to_thread(eventually, lambda: queue.open_streams == 1, deadline_s=10)
        second, prediction = await caller.asked("GET", path), await caller.asked("GET", "/predict/test")
        queue.finish(job_id, "dog")
        return await first, second, prediction

    first, second, prediction = caller.run(at_the_same_time())
    assert (first.status, second.status, prediction.status) == (200, 503, 200)
    assert second.error["code"] == "over_capacity"
    assert caller.ask("GET", path).status == 200


def test_a_caller_who_leaves_a_stream_leaves_nothing_open(serve_here: Serve, queue: StandIn) -> None:
    caller = serve_here(max_streams=1)
    path = f"/job/{caller.post(CAT).json['job_id']}/events"
    for _ in range(2):
        assert caller.run(caller.asked("GET", path, leaves=True)).status in (0, 200)
        caller.run(asyncio.to_thread(eventually, lambda: queue.open_streams == 0, deadline_s=10))


def test_the_document_describes_every_route(caller: Caller) -> None:
    paths = caller.ask("GET", "/openapi.json").json["paths"]
    assert set(paths["/predict"]) == {"post"}
    assert "text/event-stream" in paths["/job/{job_id}/events"]["get"]["responses"]["200"]["content"]
    for path in ("/job/{job_id}", "/job/{job_id}/events"):
        assert {"404", "502", "503", "504"} <= set(paths[path]["get"]["responses"])
