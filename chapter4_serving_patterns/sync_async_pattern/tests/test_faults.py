"""The service with the asynchronous pattern's real processes behind it, and what a caller notices when these die."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlsys import pictures
from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.redis_server import RedisServer
from mlsys.testing import Answer, Server, eventually

from .conftest import ModelServer, model_server

pytestmark = pytest.mark.e2e
QUEUE = "chapter4_serving_patterns.asynchronous_pattern"
HERE = "chapter4_serving_patterns.sync_async_pattern"
BODY = json.dumps({"image_data": b64encode(pictures.content("rocket")).decode()})
Start = Callable[..., Server]


class Stack:
    """Redis, the queue's API and this service; no worker, so that what is queued stays so until there is one."""

    def __init__(self, start: Start, redis: RedisServer, small: ModelServer, models: Path, **queue: str) -> None:
        self._start = start
        self._sample = str(models / "pictures" / "cat.png")
        self._queue = {"REDIS_URL": redis.url(), "PORT": str(free_port()), "SAMPLE_PATH": self._sample} | queue
        self.queue = self.start_queue()
        self.web = start(
            f"{HERE}.app:create_app",
            FAST_TARGET=small.target,
            QUEUE_URL=self.queue.url,
            SAMPLE_PATH=self._sample,
            FAST_TIMEOUT_S="3",
            QUEUE_TIMEOUT_S="3",  # both long, because the machine may be busy
            QUEUE_WAIT_S="60",
        )
        eventually(self.web.is_ready, deadline_s=90)

    def start_queue(self) -> Server:
        """On the same port each time."""
        self.queue = self._start(f"{QUEUE}.app:create_app", **self._queue)
        eventually(self.queue.is_ready, deadline_s=60)
        return self.queue

    def ask(self, method: str, path: str, body: str | None = None) -> Answer:
        """One request to the service."""
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=20)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def predict(self) -> dict[str, Any]:
        """Both answers' places, in what is always a 200."""
        answer = self.ask("POST", "/predict", BODY)
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.json
        assert found["cifar10_small"]
        return found

    def becomes(self, why_not: str | None) -> None:
        """Wait until this is why there is no better answer."""
        eventually(lambda: self.predict()["why_not"] == why_not, deadline_s=60)


@pytest.fixture
def worker(models: Path, tmp_path: Path, own_redis: RedisServer) -> Iterator[Callable[[], None]]:
    """`worker()` starts a worker and the model server that it asks."""
    started: list[subprocess.Popen[bytes]] = []
    with (
        model_server(models / "cifar10_large", tmp_path / "large.log") as large,
        (tmp_path / "worker.log").open("wb") as log,
    ):

        def start() -> None:
            variables = {"REDIS_URL": own_redis.url(), "MODEL_TARGET": large.target, "MODEL_NAME": "cifar10_large"}
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", f"{QUEUE}.worker"],
                    cwd=ROOT,
                    env={**os.environ, **variables},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )

        yield start
        for process in started:
            process.kill()
            process.wait()


def test_what_was_promised_comes_also_after_the_queue_hung_and_died_and_meanwhile_nothing_is_promised(
    start: Start, own_redis: RedisServer, small: ModelServer, models: Path, worker: Callable[[], None]
) -> None:
    stack = Stack(start, own_redis, small, models)
    job_id = stack.predict()["job_id"]
    assert stack.ask("GET", f"/job/{job_id}").json[job_id]["state"] == "queued"

    stack.queue.process.send_signal(signal.SIGSTOP)
    assert stack.predict()["why_not"] == "late"
    stack.queue.kill()
    refused = stack.predict()
    assert (refused["job_id"], refused["better"], refused["why_not"]) == (None, False, "down")
    assert stack.ask("GET", f"/job/{job_id}").status == 503
    assert stack.ask("GET", "/ready").status == 200
    assert stack.ask("GET", "/health/all").json["queue"] == "ng"

    stack.start_queue()
    assert stack.predict()["better"]
    worker()
    stream = stack.ask("GET", f"/job/{job_id}/events")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert b'"state":"done"' in stream.body.replace(b" ", b"")
    done = stack.ask("GET", f"/job/{job_id}").json[job_id]
    assert (done["state"], done["prediction"]) == ("done", "ship")


def test_a_queue_that_is_full_or_has_no_redis_costs_the_better_answers_alone(
    start: Start, own_redis: RedisServer, small: ModelServer, models: Path
) -> None:
    stack = Stack(start, own_redis, small, models, MAX_QUEUE="2")
    assert [stack.predict()["why_not"] for _ in range(3)] == [None, None, "full"]

    os.kill(own_redis.pid, signal.SIGSTOP)
    began = time.monotonic()
    assert stack.predict()["why_not"] in {"late", "down"}, "the queue waits 2 s for Redis, and this service 3 s for it"
    assert time.monotonic() - began < 15
    os.kill(own_redis.pid, signal.SIGCONT)
    stack.becomes("full")

    own_redis.kill()
    stack.becomes("down")
    own_redis.restart()
    stack.becomes("full")


def test_without_its_model_the_service_is_not_ready_and_says_so_and_jobs_can_still_be_fetched(
    start: Start, own_redis: RedisServer, own_small: ModelServer, models: Path
) -> None:
    stack = Stack(start, own_redis, own_small, models)
    job_id = stack.predict()["job_id"]
    own_small.process.send_signal(signal.SIGSTOP)
    assert stack.ask("POST", "/predict", BODY).status == 504
    own_small.kill()
    answer = stack.ask("POST", "/predict", BODY)
    assert (answer.status, answer.error["code"]) == (503, "not_ready")
    assert stack.ask("GET", "/ready").status == 503
    assert stack.ask("GET", "/health").status == 200
    assert stack.ask("GET", "/health/all").json["cifar10_small"] == "ng"
    assert job_id in stack.ask("GET", f"/job/{job_id}").json


def test_a_stop_ends_open_streams_and_does_not_wait_for_them(
    start: Start, own_redis: RedisServer, small: ModelServer, models: Path
) -> None:
    stack = Stack(start, own_redis, small, models)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", stack.web.port, timeout=60)) as connection:
        connection.request("GET", f"/job/{stack.predict()['job_id']}/events")
        response = connection.getresponse()
        while b'"state"' not in response.readline():
            assert not response.isclosed()
        began = time.monotonic()
        assert stack.web.stop(deadline_s=60) == 0
        assert time.monotonic() - began < 9, "DRAIN_TIMEOUT_S is 10"
        response.read()  # to its regular end: nothing was cut
