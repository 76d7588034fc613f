"""The server killed, stopped and given bad files, under load: no answer is wrong, and what was accepted is answered."""

import contextlib
import json
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Self

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

from mlsys.testing import eventually

from . import networks as build
from .fronts import Front, floats
from .servers import Running, ours, unhurt, version
from .test_overload import in_progress, is_own, message, slow

pytestmark = pytest.mark.e2e
ROW = floats([1, 2, 3])
LOAD = "/v2/repository/models/adder/load"


@pytest.fixture
def start(networks: Path, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """`start(**environment)`: a server of its own with a copy of the models, which the test may spoil."""
    started: list[Running] = []

    def start(**environment: str) -> Running:
        shutil.copytree(networks, tmp_path / "models", dirs_exist_ok=True)
        started.append(ours(tmp_path / "models", tmp_path, **environment))
        return started[-1]

    yield start
    for server in started:
        server.kill()


class Callers:
    """Four callers who ask `adder` for 1 + 1 one request after the other, until the block ends.

    answers: how often each (version, sum) came. refused: the statuses of errors.
    """

    def __init__(self, server: Running) -> None:
        self._server = server
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(n,)) for n in range(4)]
        self.answers: set[tuple[str, float]] = set()
        self.refused: set[str] = set()
        self.n = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, n: int = 50) -> None:
        """Wait until they have been answered n times more."""
        goal = self.n + n
        eventually(lambda: self.n >= goal, deadline_s=20)

    def _call(self, number: int) -> None:
        target = self._server.grpc_target if number % 2 else self._server.rest_target
        with contextlib.closing(Front("grpc" if number % 2 else "rest-binary", target)) as front:
            self._ask(front)

    def _ask(self, front: Front) -> None:
        ones = floats([1, 1, 1])
        while not self._stop.is_set():
            try:
                answered = front.infer("adder", {"a": ones, "b": ones}, ["sum"])
                self.answers.add((answered.version, *set(answered.arrays["sum"].flatten().tolist())))
            except InferenceServerException as error:
                self.refused.add(str(error.status()))
            except (OSError, HTTPException):  # killed before it answered, or while it did
                self.refused.add("None")
            self.n += 1


def test_a_client_goes_on_with_a_server_that_was_killed_and_started_again(start: Callable[..., Running]) -> None:
    server = start()
    fronts = [Front("grpc", server.grpc_target), Front("rest-binary", server.rest_target)]
    for front in fronts:
        front.infer("adder", {"a": ROW, "b": ROW})
    server.stop(signal.SIGKILL)
    for front in fronts:
        with pytest.raises((InferenceServerException, OSError)):
            front.infer("adder", {"a": ROW, "b": ROW}, ["sum"])
    server.start()
    eventually(server.is_ready, deadline_s=30)

    def answers(front: Front) -> bool:
        try:
            return bool((front.infer("adder", {"a": ROW, "b": ROW}, ["sum"]).arrays["sum"] == 2 * ROW).all())
        except (InferenceServerException, OSError):  # gRPC backs off before it connects again
            return False

    for front in fronts:
        eventually(lambda front=front: answers(front), deadline_s=20)  # type: ignore[misc]
        front.close()


def test_a_stopped_server_answers_what_it_has_accepted_and_ends_well(start: Callable[..., Running]) -> None:
    server, n = start(WORKERS="1", MAX_BATCH="1"), 15
    with ThreadPoolExecutor(n) as pool, grpc.insecure_channel(server.grpc_target) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer.future(message(number), timeout=20) for number in range(n)]
        answers = [pool.submit(server.infer, "slow", slow(number), timeout_s=20) for number in range(n)]
        pending = [*calls, *answers]
        eventually(lambda: in_progress(server) + sum(each.done() for each in pending) >= 2 * n, deadline_s=5)
        server.process.send_signal(signal.SIGTERM)
        for number in range(n):
            assert calls[number].result().raw_output_contents[0] == np.full(256, number, np.float32).tobytes()
            assert is_own(answers[number].result(), number)
    assert server.process.wait(10) == 0
    assert "Traceback" not in server.log.read_text()


def killed_under_load(server: Running, kills: int) -> None:
    right = {(version(server.models, "adder"), 2.0)}
    with Callers(server) as callers:
        for _ in range(kills):
            callers.more()
            server.stop(signal.SIGKILL)
            server.start()
            eventually(server.is_ready, deadline_s=30)
        callers.more()
    assert callers.answers == right
    assert callers.refused <= {"None", "StatusCode.UNAVAILABLE"}, callers.refused


def test_a_killed_server_gives_no_wrong_answer(start: Callable[..., Running]) -> None:
    killed_under_load(start(), 1)


def test_a_stopped_server_waits_no_longer_for_silent_callers_than_a_request_may_take(
    start: Callable[..., Running],
) -> None:
    server = start(REQUEST_TIMEOUT_S="1", DRAIN_TIMEOUT_S="2")
    with (
        socket.create_connection(("127.0.0.1", server.http)) as half,
        socket.create_connection(("127.0.0.1", server.http)),
        socket.create_connection(("127.0.0.1", server.grpc)),
    ):
        half.sendall(b"POST /v2/models/adder/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        eventually(lambda: b"http_requests_in_flight 2.0" in server.ask("GET", "/metrics").body, deadline_s=5)
        assert server.stop(deadline_s=6) == 0


def test_a_stopped_server_ends_also_while_its_health_is_watched(start: Callable[..., Running]) -> None:
    server = start(DRAIN_TIMEOUT_S="60")
    with grpc.insecure_channel(server.grpc_target) as channel:
        watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=30)
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        server.process.send_signal(signal.SIGTERM)
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert server.process.wait(20) == 0


def test_a_stopped_server_takes_no_new_requests(start: Callable[..., Running]) -> None:
    server = start()
    assert server.stop() == 0
    with pytest.raises(OSError, match="refused"):
        server.ask("GET", "/v2/health/live")


def test_a_second_server_on_a_taken_port_refuses_with_one_sentence(start: Callable[..., Running]) -> None:
    server = start()
    first = server.process
    server.start()
    second, server.process = server.process, first
    assert second.wait(20) != 0
    said = server.log.read_text().strip().splitlines()[-1]
    assert str(server.http) in said or str(server.grpc) in said
    assert "Traceback" not in server.log.read_text()
    unhurt(server)


def test_unloading_and_loading_under_load_gives_no_wrong_answer(start: Callable[..., Running]) -> None:
    server = start()
    with Callers(server) as callers:
        for _ in range(20):
            assert server.ask("POST", "/v2/repository/models/adder/unload").status == 200
            assert server.ask("POST", LOAD).status == 200
            callers.more(5)
    assert callers.answers == {(version(server.models, "adder"), 2.0)}
    assert callers.refused <= {"404", "400", "503", "StatusCode.NOT_FOUND", "StatusCode.UNAVAILABLE"}
    unhurt(server)


def test_a_new_model_takes_over_under_load_without_one_failed_request(start: Callable[..., Running]) -> None:
    server = start()
    versions = {version(server.models, "adder"): 2.0}
    with Callers(server) as callers:
        callers.more()
        for scale in (10, 100):
            build.write(server.models / "adder", build.adder(scale))
            versions[version(server.models, "adder")] = 2.0 * scale
            assert server.ask("POST", LOAD).status == 200
            callers.more()
    assert callers.refused == set()
    assert callers.answers == set(versions.items())
    assert server.ask("GET", "/v2/models/adder").json["versions"] == [version(server.models, "adder")]


def test_a_request_whose_body_comes_while_its_model_is_replaced_is_answered_by_the_new_one(
    start: Callable[..., Running],
) -> None:
    server = start(REQUEST_TIMEOUT_S="5", DRAIN_TIMEOUT_S="5")
    inputs = [{"name": name, "datatype": "FP32", "shape": [1, 3], "data": [1, 1, 1]} for name in ("a", "b")]
    content = json.dumps({"inputs": inputs}).encode()

    def slowly() -> Iterator[bytes]:
        yield content[:20]
        build.write(server.models / "adder", build.adder(10))
        assert server.ask("POST", LOAD).status == 200
        yield content[20:]

    answer = server.ask("POST", "/v2/models/adder/infer", slowly())
    assert answer.status == 200
    assert answer.json["model_version"] == version(server.models, "adder")


SPOILERS: dict[str, Callable[[Path], object]] = {
    "garbage": lambda file: file.write_bytes(b"no model"),
    "nothing": lambda file: file.write_bytes(b""),
    "half": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "gone": lambda file: file.unlink(),
    "a folder": lambda file: file.rename(file.with_name("aside")).with_name("model.onnx").mkdir(),
}


@pytest.fixture(scope="module")
def spoilt(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose models the tests spoil; each restores its own."""
    folder = tmp_path_factory.mktemp("spoilt")
    shutil.copytree(networks, folder / "models")
    running = ours(folder / "models", folder)
    yield running
    running.kill()


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
def test_a_file_that_is_no_model_is_refused_with_the_reason_and_the_old_one_serves_on(
    spoilt: Running, spoil: Callable[[Path], object]
) -> None:
    before, folder = version(spoilt.models, "adder"), spoilt.models / "adder"
    spoil(folder / "model.onnx")
    try:
        with Callers(spoilt) as callers:
            callers.more(10)
            answer = spoilt.ask("POST", LOAD)
            callers.more(10)
        assert 400 <= answer.status < 500
        assert "adder" in answer.json["error"]
        assert (callers.refused, callers.answers) == (set(), {(before, 2.0)})
        index = {entry["name"]: entry for entry in spoilt.ask("POST", "/v2/repository/index").json}
        assert (index["adder"]["state"], index["adder"]["version"]) == ("READY", before)
    finally:
        shutil.rmtree(folder)
        build.write(folder, build.adder())
    assert spoilt.ask("POST", LOAD).status == 200
    unhurt(spoilt)


def test_models_loaded_and_unloaded_by_many_at_once_end_up_as_the_last_one_asked(spoilt: Running) -> None:
    names = ["uint16", "uint32", "int16", "int32"]

    def one(number: int) -> int:
        verb = "load" if number % 2 else "unload"
        return spoilt.ask("POST", f"/v2/repository/models/{names[number // 2 % 4]}/{verb}").status

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(one, range(80))) == {200}
        assert set(pool.map(lambda name: one(2 * names.index(name) + 1), names)) == {200}
    index = {entry["name"]: entry["state"] for entry in spoilt.ask("POST", "/v2/repository/index").json}
    assert {index[name] for name in names} == {"READY"}
    unhurt(spoilt)


@pytest.mark.soak
def test_a_model_that_is_loaded_again_and_again_leaves_nothing_behind(spoilt: Running) -> None:
    def load(n: int) -> int:
        for _ in range(n):
            assert spoilt.ask("POST", "/v2/repository/models/slow/load").status == 200
        return spoilt.resident_bytes()

    settled = load(300)  # the allocator's arenas fill first
    assert load(300) - settled < 40 * 2**20  # a leak would be 300 files of 260 KiB and more
    unhurt(spoilt)


@pytest.mark.soak
def test_twenty_kills_under_load_give_no_wrong_answer(start: Callable[..., Running]) -> None:
    killed_under_load(start(), 20)


def test_a_model_whose_inputs_differ_takes_over_and_the_old_inputs_are_refused(spoilt: Running) -> None:
    shutil.copy(spoilt.models / "fp32" / "model.onnx", spoilt.models / "int8" / "model.onnx")
    assert spoilt.ask("POST", "/v2/repository/models/int8/load").status == 200
    tensor = {"name": "input", "datatype": "INT8", "shape": [1, 2], "data": [1, 2]}
    assert spoilt.infer("int8", {"inputs": [tensor]}).status == 400
    assert spoilt.infer("int8", {"inputs": [tensor | {"datatype": "FP32"}]}).json["outputs"][0]["data"] == [1, 2]


def test_a_server_whose_model_is_spoilt_does_not_start_and_says_why(
    start: Callable[..., Running], networks: Path, tmp_path: Path
) -> None:
    (tmp_path / "models" / "adder").mkdir(parents=True)
    (tmp_path / "models" / "adder" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(AssertionError, match="adder"):
        ours(tmp_path / "models", tmp_path)
    assert "Traceback" not in (tmp_path / "ours.log").read_text()


def test_the_index_is_json_also_when_nothing_is_loaded(start: Callable[..., Running]) -> None:
    server = start()
    for path in server.models.iterdir():
        assert server.ask("POST", f"/v2/repository/models/{path.name}/unload").status == 200
    index = json.loads(server.ask("POST", "/v2/repository/index").body)
    assert {entry["state"] for entry in index} == {"UNAVAILABLE"}
    assert server.ask("POST", "/v2/repository/index", b'{"ready":true}').json == []
    assert server.ask("GET", "/v2/health/live").status == 200
