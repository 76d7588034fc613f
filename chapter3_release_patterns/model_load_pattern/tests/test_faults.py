"""The service in its own processes: swapped under load, offered bad models, started without a source."""

import http.client
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from mlsys import iris
from mlsys.testing import Server, eventually

from .conftest import sha256
from .origin import Origin

pytestmark = pytest.mark.e2e
TARGET = "chapter3_release_patterns.model_load_pattern.app:create_app"
FLOWER = json.dumps({"data": iris.SAMPLE})
Start = Callable[..., Server]


class Load:
    """Callers that ask without a pause, on kept-alive connections."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.answers: Counter[tuple[int, str]] = Counter()
        self.errors: list[str] = []
        self.since: set[str] = set()
        self._done = threading.Event()
        self._lock = threading.Lock()

    @contextmanager
    def running(self, callers: int) -> Iterator["Load"]:
        threads = [threading.Thread(target=self._ask) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._done.set()
            for thread in threads:
                thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=10)
        try:
            while not self._done.is_set():
                connection.request("POST", "/predict", FLOWER, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                with self._lock:
                    by = response.headers.get("x-model-sha256", "")
                    self.answers[(response.status, by)] += 1
                    self.since.add(by)
        except (OSError, http.client.HTTPException) as error:
            self.errors.append(repr(error))
        finally:
            connection.close()


def environment(origin: Origin, directory: Path, **more: str) -> dict[str, str]:
    return {
        "MODEL_SOURCE": origin.alias,
        "MODEL_DIRECTORY": str(directory),
        "POLL_S": "0.1",
        "ACCESS_LOG": "false",
        "LOG_FORMAT": "json",
        **more,
    }


def serving(server: Server) -> str:
    return str(server.get("/metadata").json["model"]["release"])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_swap_under_load_loses_no_request_and_neither_does_the_rollback(
    serve: Start, origin: Origin, tmp_path: Path, svc: bytes, forest: bytes, workers: str
) -> None:
    origin.promote("1.0.0", svc)
    server = serve(TARGET, WORKERS=workers, **environment(origin, tmp_path / "models"))
    with Load(server).running(4) as load:
        eventually(lambda: sum(load.answers.values()) > 200, deadline_s=20)
        for name, content in (("1.1.0", forest), ("1.0.0", svc), ("1.1.0", forest)):
            origin.promote(name, content)
            eventually(partial(only, load, sha256(content)), deadline_s=20)
    assert not load.errors
    assert {status for status, _ in load.answers} == {200}
    assert {by for _, by in load.answers} == {sha256(svc), sha256(forest)}
    assert server.stop() == 0


def is_refused(server: Server, name: str) -> bool:
    return name in server.get("/ready").json["model"]


def only(load: Load, wanted: str) -> bool:
    """Whether for the last 50 answers and more this model alone has answered."""
    load.since.clear()
    before = sum(load.answers.values())
    eventually(lambda: sum(load.answers.values()) > before + 50, deadline_s=20)
    return load.since == {wanted}


def test_bad_models_are_refused_under_load_and_ready_metrics_and_log_say_so(
    serve: Start, origin: Origin, tmp_path: Path, svc: bytes, perceptron: bytes, slow: bytes
) -> None:
    origin.promote("1.0.0", svc)
    server = serve(TARGET, **environment(origin, tmp_path / "models", SMOKE_LATENCY_MS="10"))
    bad = {
        "1.1.0-corrupt": (svc[:2000], None, "not a whole ONNX file"),
        "1.2.0-signature": (perceptron, None, "its signature is"),
        "1.3.0-hash": (svc, "0" * 64, "was promised"),
        "1.4.0-slow": (slow, None, "a prediction takes it"),
    }
    with Load(server).running(1) as load:
        for name, (content, digest, reason) in bad.items():
            origin.promote(name, content, sha256=digest)
            eventually(partial(is_refused, server, name), deadline_s=30)
            ready = server.get("/ready")
            assert ready.status == 200
            assert reason in ready.json["model"]
            assert serving(server) == "1.0.0"
            assert "\nmodel_refused 1.0" in server.get("/metrics").body.decode()
            assert name in server.log.read_text()
    assert not load.errors
    assert set(load.answers) == {(200, sha256(svc))}
    origin.promote("1.0.0", svc)
    eventually(lambda: server.get("/ready").json == {"model": "ok"}, deadline_s=10)


def test_without_a_model_the_service_does_not_get_ready_and_then_it_does(
    start: Start, origin: Origin, tmp_path: Path, svc: bytes
) -> None:
    server = start(TARGET, **environment(origin, tmp_path / "models"))
    eventually(lambda: '"condition":"The model"' in server.log.read_text(), deadline_s=20)
    assert '"started"' not in server.log.read_text()
    origin.promote("1.0.0", svc)
    eventually(server.is_ready, deadline_s=20)
    assert serving(server) == "1.0.0"


def test_a_service_that_gets_no_model_in_time_ends_with_one_sentence(
    start: Start, origin: Origin, tmp_path: Path
) -> None:
    server = start(TARGET, **environment(origin, tmp_path / "models", MODEL_WAIT_S="1"))
    assert server.process.wait(20) == 3
    last = server.log.read_text().splitlines()[-1]
    assert last.startswith("Cannot start: The model was not usable within 1 s: registry+http://")
    assert "answered 404" in last


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_first_model_that_is_bad_ends_the_start_with_its_reason(
    start: Start, origin: Origin, tmp_path: Path, perceptron: bytes, workers: str
) -> None:
    origin.promote("1.1.0", perceptron)
    server = start(TARGET, WORKERS=workers, **environment(origin, tmp_path / "models"))
    assert server.process.wait(30) == 3
    assert "Cannot start: 1.1.0 of registry+http://" in server.log.read_text()
    assert "its signature is" in server.log.read_text()


def test_a_source_that_dies_takes_nothing_away_and_a_killed_worker_comes_back_with_the_last_model(
    serve: Start, origin: Origin, tmp_path: Path, svc: bytes, forest: bytes
) -> None:
    origin.promote("1.0.0", svc)
    server = serve(TARGET, WORKERS="2", **environment(origin, tmp_path / "models"))
    origin.promote("1.1.0", forest)
    eventually(lambda: {serving(server) for _ in range(10)} == {"1.1.0"}, deadline_s=20)
    origin.down = True
    eventually(lambda: server.get("/release").json["trouble"], deadline_s=20)
    workers = set(server.workers())
    os.kill(min(workers), signal.SIGKILL)
    eventually(lambda: len(set(server.workers()) - workers) == 1, deadline_s=20)
    eventually(lambda: server.log.read_text().count('"started"') >= 3, deadline_s=20)
    assert {serving(server) for _ in range(20)} == {"1.1.0"}
    assert server.get("/ready").status == 200


def test_a_stop_does_not_wait_for_a_fetch_and_the_next_start_resumes_it(
    start: Start, origin: Origin, tmp_path: Path, forest: bytes
) -> None:
    digest, directory = origin.promote("1.0.0", forest), tmp_path / "models"
    origin.hold_after = 3
    server = start(TARGET, **environment(origin, directory))
    eventually(lambda: sum(path.stat().st_size for path in directory.glob("*.part")), deadline_s=20)
    began = time.monotonic()
    assert server.stop(deadline_s=10) == 0
    assert time.monotonic() - began < 8
    origin.hold_after = None
    origin.released.set()
    again = start(TARGET, **environment(origin, directory))
    eventually(again.is_ready, deadline_s=20)
    assert origin.ranges
    assert (directory / f"{digest}.onnx").read_bytes() == forest
