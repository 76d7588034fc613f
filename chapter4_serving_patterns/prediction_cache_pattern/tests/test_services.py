"""The real model server, the service in two workers and a Redis of its own: killed, stopped, filled and swapped."""

import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mlsys.catalogue import ROOT
from mlsys.model import Model
from mlsys.picture import to_pixels
from mlsys.ports import free_port
from mlsys.redis import connect_blocking
from mlsys.redis_server import RedisServer
from mlsys.testing import Server, eventually, run_demo

from ..items import ITEMS, Catalogue
from ..traffic import Caller, Reply, at_once, new_pictures
from .conftest import TOKEN

PACKAGE = "chapter4_serving_patterns.prediction_cache_pattern"
ITEM = b'{"data": "0000"}'
CALLS = "prediction_cache_model_calls_total"

pytestmark = pytest.mark.e2e


class Stack:
    """The processes, and what a test does to them."""

    def __init__(self, web: Server, redis: RedisServer, model: Path, ports: tuple[int, int]) -> None:
        self.web, self.redis, self.model, self.ports = web, redis, model, ports

    def caller(self) -> Caller:
        return Caller(f"127.0.0.1:{self.web.port}")

    def ask(self, method: str, path: str, body: bytes | None = None, token: str = "") -> Reply:
        """One request over a connection of its own, and so to whichever worker takes it."""
        with self.caller() as caller:
            return caller.ask(method, path, body, token)

    def metric(self, name: str) -> float:
        with self.caller() as caller:
            return caller.metric(name)

    def swap(self, model: Path) -> str:
        """Let the model server serve another file; the new version."""
        part = self.model.with_suffix(".part")
        shutil.copy(model, part)
        part.replace(self.model)
        with Caller(f"127.0.0.1:{self.ports[0]}") as caller:
            reply = caller.ask("POST", "/v2/repository/models/cifar10_large/load")
        assert reply.cache == "200", reply.body
        return hashlib.sha256(self.model.read_bytes()).hexdigest()[:12]

    @contextmanager
    def load(self) -> Iterator[list[Reply]]:
        """Callers that ask for items and for new pictures until the end of the block."""
        replies: list[Reply] = []
        done = threading.Event()
        bodies = [b'{"data": "%s"}' % item.id.encode() for item in ITEMS] + new_pictures(20)

        def ask(first: int) -> None:
            with self.caller() as caller:
                for number in itertools.count(first):
                    replies.append(caller.ask("POST", "/predict", bodies[number % len(bodies)]))
                    if done.is_set():
                        return

        askers = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
        for asker in askers:
            asker.start()
        try:
            yield replies
        finally:
            done.set()
            for asker in askers:
                asker.join()


@pytest.fixture
def stack(
    start: Callable[..., Server], models: Path, photographs: Path, own_redis: RedisServer, tmp_path: Path
) -> Iterator[Stack]:
    folder = tmp_path / "cifar10_large"
    shutil.copytree(models / "cifar10_large", folder)
    ports = free_port(), free_port()
    options = ["--models", str(folder), "--workers", "1", "--http", str(ports[0]), "--grpc", str(ports[1])]
    with (tmp_path / "server.log").open("wb") as log:
        command = [sys.executable, "-m", "mlsys.server", *options]
        server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        web = start(
            f"{PACKAGE}.app:create_app",
            WORKERS="2",
            REDIS_URL=own_redis.url(),
            MODEL_TARGET=f"127.0.0.1:{ports[1]}",
            MODEL_POLL_S="0.1",
            REDIS_REST_S="0.2",
            REDIS_BUDGET_MS="1000",  # a busy machine must not decide these tests
            PICTURES_PATH=str(photographs),
            CACHE_TOKEN=TOKEN,
            ACCESS_LOG="false",
        )
        eventually(web.is_ready, deadline_s=60)
        yield Stack(web, own_redis, folder / "model.onnx", ports)
        assert "Traceback" not in web.log.read_text()
    finally:
        server.kill()
        server.wait()


def used_again(stack: Stack) -> bool:
    """Whether a hit comes from each of many connections, and so from both workers."""
    return {stack.ask("POST", "/predict", ITEM).cache for _ in range(10)} == {"hit"}


def test_100_identical_requests_at_once_to_two_workers_are_one_call_of_the_model(stack: Stack) -> None:
    eventually(lambda: used_again(stack), deadline_s=60)  # both workers are there
    for body in new_pictures(5):
        before = stack.metric(CALLS)
        replies = at_once(f"127.0.0.1:{stack.web.port}", body, 100)
        assert len(replies) == 100
        assert len({reply.body for reply in replies}) == 1
        assert stack.metric(CALLS) - before == 1, (Counter(reply.cache for reply in replies), stack.web.log.read_text())


def test_answers_are_the_models_own_before_and_after_the_cache(stack: Stack, models: Path, photographs: Path) -> None:
    model = Model.load(models / "cifar10_large" / "model.onnx")
    catalogue = Catalogue(photographs)
    for item in ITEMS:
        batch = to_pixels(catalogue.content(item.id))[np.newaxis]
        for _ in range(2):
            reply = stack.ask("POST", "/predict", b'{"data": "%s"}' % item.id.encode())
            assert np.allclose(prediction_of(reply), model.predict(batch)[0], atol=1e-6)


def prediction_of(reply: Reply) -> list[float]:
    prediction: list[float] = json.loads(reply.body)["prediction"]
    return prediction


@pytest.mark.parametrize("fault", ["killed", "stopped", "full"])
def test_under_load_a_redis_that_fails_costs_no_request_and_is_used_again(stack: Stack, fault: str) -> None:
    eventually(lambda: used_again(stack), deadline_s=60)
    with stack.load() as replies:
        eventually(lambda: len(replies) > 50, deadline_s=60)
        if fault == "killed":
            stack.redis.kill()
        elif fault == "stopped":
            os.kill(stack.redis.pid, signal.SIGSTOP)
        else:
            with connect_blocking(stack.redis.url()) as client:
                client.flushall()
                client.config_set("maxmemory", 1)
        began = len(replies)
        eventually(lambda: sum(reply.cache == "bypass" for reply in replies[began:]) > 20, deadline_s=60)
        if fault == "killed":
            stack.redis.start()
        elif fault == "stopped":
            os.kill(stack.redis.pid, signal.SIGCONT)
        else:
            with connect_blocking(stack.redis.url()) as client:
                client.config_set("maxmemory", 0)
        eventually(lambda: used_again(stack), deadline_s=60)
    assert {reply.cache for reply in replies} <= {"hit", "miss", "stale", "bypass"}, "no request failed"
    metric = {"killed": "down", "stopped": "slow", "full": "full"}[fault]
    assert stack.metric(f'prediction_cache_bypasses_total{{reason="{metric}"}}') > 0


def test_a_model_that_is_swapped_under_load_never_answers_with_predictions_of_the_old_one(
    stack: Stack, models: Path, photographs: Path
) -> None:
    catalogue = Catalogue(photographs)
    files = [models / name / "model.onnx" for name in ("cifar10_large", "cifar10_small")]
    expected = {
        hashlib.sha256(file.read_bytes()).hexdigest()[:12]: {
            item.id: Model.load(file).predict(to_pixels(catalogue.content(item.id))[np.newaxis])[0] for item in ITEMS
        }
        for file in files
    }
    seen = set()
    with stack.load():
        for file in (files[1], files[0], files[1]):
            version = stack.swap(file)
            end = time.monotonic() + 60
            while time.monotonic() < end:
                for item in ITEMS:
                    named, prediction = predicted(stack, item.id)
                    assert np.allclose(prediction, expected[named][item.id], atol=1e-6)
                    seen.add(named)
                if named == version:
                    break
            assert named == version
    assert seen == set(expected)


def predicted(stack: Stack, item: str) -> tuple[str, list[float]]:
    """Which model says that it answered, and what."""
    reply = stack.ask("POST", "/predict", b'{"data": "%s"}' % item.encode())
    return reply.model, prediction_of(reply)


def test_an_invalidation_through_one_worker_holds_for_all(stack: Stack) -> None:
    eventually(lambda: used_again(stack), deadline_s=60)
    before = stack.metric(CALLS)
    assert stack.ask("DELETE", "/cache/items/0000", token=TOKEN).cache == "200"
    replies = [stack.ask("POST", "/predict", ITEM).cache for _ in range(20)]
    assert replies == ["miss"] + ["hit"] * 19
    assert stack.metric(CALLS) - before == 1


def test_the_demo_shows_items_the_stampede_and_the_traffic(stack: Stack) -> None:
    shown = run_demo(PACKAGE, stack.web.url, CACHE_TOKEN=TOKEN)
    assert (shown.returncode, shown.stderr) == (0, "")
    for expected in ("0007", "rocket (part)", "100 identical requests at once: ", "hit", "miss", "p99 (ms)"):
        assert expected in shown.stdout
