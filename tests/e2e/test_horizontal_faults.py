"""The horizontal microservices as processes: each one killed, paused and replaced by one that fails, and back again."""

import http.client
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from chapter4_serving_patterns.horizontal_microservice_pattern.stand_in import FAULTS, WELL, StandIn
from mlsys.iris import LABELS
from mlsys.ports import free_port
from mlsys.testing import Answer, Server, eventually

pytestmark = pytest.mark.e2e
PATTERN = "chapter4_serving_patterns.horizontal_microservice_pattern"
FLOWER = b'{"data": [[5.1, 3.5, 1.4, 0.2]]}'
DEADLINE_S = 0.4
SLACK_S = 1.5
"""What a busy machine may add to a deadline."""


class Stand:
    """Three services and a proxy, each a process. A service may be started again on its port."""

    def __init__(self, folder: Path, models: Path) -> None:
        self._folder, self._models = folder, models
        self.ports = {name: free_port() for name in LABELS}
        self.services: dict[str, Server] = {}
        for name in LABELS:
            self.start(name)
        urls = {f"{name.upper()}_URL": f"http://127.0.0.1:{port}" for name, port in self.ports.items()}
        times = {"BRANCH_TIMEOUT_S": str(DEADLINE_S)}
        self._environment = {"PORT": str(free_port()), **urls, **times}
        self.start_proxy()

    def start(self, name: str) -> None:
        model = str(self._models / f"iris_binary_{name}" / "model.onnx")
        environment = {"PORT": str(self.ports[name]), "MODEL_PATH": model, "ACCESS_LOG": "false"}
        log = self._folder / f"{name}-{time.monotonic_ns()}.log"
        self.services[name] = Server(f"{PATTERN}.service:create_app", log, environment)

    def start_proxy(self) -> None:
        log = self._folder / f"proxy-{time.monotonic_ns()}.log"
        self.proxy = Server(f"{PATTERN}.app:create_app", log, self._environment)

    def ask(self, policy: str = "best_effort", path: str = "/predict") -> tuple[Answer, float]:
        """The answer to a flower, and the seconds that it took."""
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=10)
        began = time.monotonic()
        try:
            connection.request("POST", path, FLOWER, {"Content-Type": "application/json", "Policy": policy})
            response = connection.getresponse()
            headers = {key.lower(): value for key, value in response.getheaders()}
            return Answer(response.status, headers, response.read()), time.monotonic() - began
        finally:
            connection.close()

    def all_answer(self) -> bool:
        return self.ask("all")[0].status == 200

    def end(self) -> None:
        for server in (self.proxy, *self.services.values()):
            server.kill()


@pytest.fixture(scope="module")
def _started(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stand]:
    stand = Stand(tmp_path_factory.mktemp("horizontal"), models)
    try:
        eventually(stand.proxy.is_ready, deadline_s=40)
        yield stand
    finally:
        stand.end()


@pytest.fixture
def stand(_started: Stand) -> Stand:
    """All of it, in order."""
    eventually(_started.all_answer, deadline_s=20)
    return _started


def without(stand: Stand, name: str, code: str) -> None:
    """Check that the other two are answered within the deadline, and this one named by the code, by all routes."""
    answer, seconds = stand.ask()
    assert (answer.status, seconds < DEADLINE_S + SLACK_S) == (200, True), (answer, seconds)
    assert answer.json[name]["error"]["code"] == code, answer
    for other in set(LABELS) - {name}:
        p, rest = answer.json[other]["prediction"]
        assert p + rest == pytest.approx(1, abs=1e-6)
    label, _ = stand.ask(path="/predict/label")
    assert list(label.json["missing"]) == [name]
    events, _ = stand.ask(path="/predict/stream")
    assert events.body.decode().endswith('event: end\ndata: {"answered":2}\n\n')
    refused, _ = stand.ask("all")
    assert refused.status in (502, 503, 504)
    assert name in refused.error["details"]


@pytest.mark.parametrize("name", LABELS)
def test_a_killed_service_is_missing_until_it_is_back(stand: Stand, name: str) -> None:
    before = stand.ask()[0].json
    stand.services[name].kill()
    without(stand, name, "not_ready")
    assert "error" in stand.proxy.get("/health/all").json[name]
    assert stand.proxy.get("/ready").json == {"services": f"without {name}"}
    stand.start(name)
    eventually(stand.all_answer, deadline_s=20)
    assert stand.ask()[0].json == before


@pytest.mark.parametrize("name", LABELS)
def test_a_service_that_is_paused_is_missing_after_the_deadline_until_it_goes_on(stand: Stand, name: str) -> None:
    process = stand.services[name].process
    process.send_signal(signal.SIGSTOP)
    try:
        without(stand, name, "deadline_exceeded")
        assert stand.ask("quorum=2")[1] < DEADLINE_S
    finally:
        process.send_signal(signal.SIGCONT)
    eventually(stand.all_answer, deadline_s=10)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("hangs", "deadline_exceeded"),
        ("answers a byte a second", "deadline_exceeded"),
        ("breaks the connection", "not_ready"),
        ("answers 500", "bad_gateway"),
        ("answers no JSON", "bad_gateway"),
        ("answers three numbers", "bad_gateway"),
        ("answers a megabyte", "bad_gateway"),
    ],
)
def test_a_service_that_fails_in_its_own_way_is_the_only_one_missing(stand: Stand, fault: str, code: str) -> None:
    stand.services["versicolor"].kill()
    with StandIn("versicolor", lambda _: b'{"prediction":[0.5,0.5]}', port=stand.ports["versicolor"]) as one:
        eventually(stand.all_answer, deadline_s=5)
        one.way = FAULTS[fault]
        without(stand, "versicolor", code)
        one.way = WELL
        assert stand.all_answer()
    stand.start("versicolor")


def test_two_services_that_fail_leave_the_third_and_three_leave_an_error(stand: Stand) -> None:
    for name in ("setosa", "virginica"):
        stand.services[name].kill()
    answer, _ = stand.ask()
    assert {name: next(iter(one)) for name, one in answer.json.items()} == {
        "setosa": "error",
        "versicolor": "prediction",
        "virginica": "error",
    }
    stand.services["versicolor"].kill()
    answer, _ = stand.ask()
    assert (answer.status, set(answer.error["details"])) == (503, set(LABELS))
    assert stand.proxy.get("/ready").status == 503
    assert stand.proxy.get("/health").status == 200
    for name in LABELS:
        stand.start(name)


def test_five_hundred_requests_to_services_that_hang_and_break_leave_no_connection_open(stand: Stand) -> None:
    open_before = _files(stand.proxy)
    with ExitStack() as stack:
        for name, fault in (("setosa", "hangs"), ("virginica", "breaks the connection")):
            stand.services[name].kill()
            one = stack.enter_context(StandIn(name, lambda _: b"", port=stand.ports[name]))
            one.way = FAULTS[fault]
        with ThreadPoolExecutor(50) as pool:
            found = list(pool.map(lambda _: stand.ask()[0], range(500)))
        assert all(answer.status == 200 and "prediction" in answer.json["versicolor"] for answer in found)
    eventually(lambda: _files(stand.proxy) <= open_before + 60, deadline_s=10)  # those kept for the next requests
    for name in ("setosa", "virginica"):
        stand.start(name)


def test_sigterm_lets_requests_in_progress_be_answered(stand: Stand) -> None:
    stand.services["setosa"].process.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as pool:
            request = pool.submit(stand.ask)
            eventually(lambda: _metric(stand, "http_requests_in_flight") == 2, deadline_s=5, every_s=0.01)
            assert stand.proxy.stop() == 0
            assert request.result()[0].status == 200
    finally:
        stand.services["setosa"].process.send_signal(signal.SIGCONT)
    stand.start_proxy()
    eventually(stand.proxy.is_ready, deadline_s=20)


def _files(server: Server) -> int:
    return psutil.Process(server.process.pid).num_fds()


def _metric(stand: Stand, name: str) -> float:
    lines = stand.proxy.get("/metrics").body.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))
