"""The vertical chain with each of its stages killed, hung and lying: the error names it in time, and it comes back."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mlsys.ports import free_port
from mlsys.testing import Answer, Server, eventually

from .cable import Cable

PACKAGE = "chapter4_serving_patterns.vertical_microservice_pattern"
ORDER = ("outlier", "prediction", "decision")
SURE, STRANGE = [5.1, 3.5, 1.4, 0.2], [51.0, 35.0, 14.0, 2.0]
CAP_MS = 500
SLACK_S = 3.0
"""On a busy machine, for what takes CAP_MS here."""

pytestmark = pytest.mark.e2e
each_stage = pytest.mark.parametrize("name", ORDER)


class Stack(NamedTuple):
    """The chain, and each stage with the cable through which the chain reaches it."""

    chain: Server
    stages: dict[str, Server]
    cables: dict[str, Cable]


@pytest.fixture(scope="module")
def stack(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("chain")
    stages = {name: stage(name, models, folder, free_port()) for name in ORDER}
    with contextlib.ExitStack() as stack:
        stack.callback(kill_all, stages)  # also those that have taken another's place
        for server in stages.values():
            eventually(server.is_ready, deadline_s=20)
        cables = {name: stack.enter_context(Cable(server.port)) for name, server in stages.items()}
        names = [
            {"name": name, "url": f"http://127.0.0.1:{cables[name].port}", "cap_ms": CAP_MS, "reserve_ms": 50}
            for name in ORDER
        ]
        environment = {"PORT": str(free_port()), "STAGES": json.dumps(names), "REQUEST_TIMEOUT_S": "5"}
        chain = Server(f"{PACKAGE}.app:create_app", folder / "chain.log", environment)
        stack.callback(chain.kill)
        eventually(chain.is_ready, deadline_s=20)
        yield Stack(chain, stages, cables)


def kill_all(stages: dict[str, Server]) -> None:
    for server in stages.values():
        server.kill()


def stage(name: str, models: Path, folder: Path, port: int) -> Server:
    environment = {
        "PORT": str(port),
        "MODEL_PATH": str(models / "iris_svc" / "model.onnx"),
        "OUTLIER_MODEL_PATH": str(models / "iris_outlier" / "model.onnx"),
    }
    return Server(f"{PACKAGE}.{name}:create_app", folder / f"{name}.log", environment)


def predict(stack: Stack, flower: list[float], request_id: str = "one") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", stack.chain.port, timeout=20)
    try:
        headers = {"Content-Type": "application/json", "X-Trace": "true", "X-Request-ID": request_id}
        connection.request("POST", "/predict", json.dumps({"data": [flower]}), headers)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def asked(server: Server) -> int:
    """How often a stage was asked."""
    text = server.get("/metrics").body.decode()
    found = re.findall(r'^http_requests_total\{method="POST",route="/stage",status="\d+"\} (\S+)$', text, re.MULTILINE)
    return int(sum(map(float, found)))


def works(stack: Stack) -> bool:
    return predict(stack, SURE).status == 200


def require_failure(stack: Stack, name: str, status: int) -> Answer:
    """One prediction fails in time and names the stage; what was found before is there; nobody later was asked."""
    later = [stack.stages[other] for other in ORDER[ORDER.index(name) + 1 :]]
    before = [asked(server) for server in later]
    began = time.monotonic()
    answer = predict(stack, SURE)
    took_s = time.monotonic() - began
    assert answer.status == status, answer.body
    assert f"tage {name} " in answer.error["message"]
    details = answer.error["details"]
    assert details["stage"] == name
    assert [step["stage"] for step in details["trace"]] == list(ORDER[: ORDER.index(name) + 1])
    assert details["trace"][-1]["error"] == answer.error["code"]
    assert all(step["result"] for step in details["trace"][:-1])
    assert took_s < CAP_MS / 1000 + SLACK_S
    assert [asked(server) for server in later] == before
    return answer


GOOD_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def json_answer(body: bytes, head: bytes = GOOD_HEAD) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


LIES = {
    "500": json_answer(b"{}", b"HTTP/1.1 500 Internal Server Error\r\n"),
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "a refusal": json_answer(b"{}", b"HTTP/1.1 422 Unprocessable Entity\r\n"),
    "no HTTP": b"I am no server.\r\n\r\n",
    "no JSON": json_answer(b"{result"),
    "no UTF-8": json_answer(b'{"result": {"label": "\xff"}}'),
    "nothing": json_answer(b""),
    "no result": json_answer(b'{"stop": null}'),
    "a result of nulls": json_answer(
        b'{"result":{"score":null,"outlier":null,"label":null,"probabilities":null,"action":null,"rule":null}}'
    ),
    "values of other types": json_answer(
        b'{"result":{"score":"0","outlier":0,"label":1,"probabilities":[0,"1",0],"action":1,"rule":1}}'
    ),
    "a number beyond all": json_answer(
        b'{"result":{"score":1e999,"outlier":false,"label":"setosa",'
        b'"probabilities":[1e999,0,0],"action":"accept","rule":1e999}}'
    ),
    "an unknown class": json_answer(
        b'{"result":{"score":"low","label":"rose","probabilities":[1,0,0],"action":"\x41"}}'
    ),
    "a stop without a name": json_answer(
        b'{"result":{"score":1,"outlier":false,"label":"setosa","probabilities":[1,0,0],"action":"a","rule":"a"},'
        b'"stop":"?"}'
    ),
    "depth": json_answer(b'{"result":' + b"[" * 10_000),
    "more than an answer has": json_answer(b'{"result":"' + b"x" * 1_000_000 + b'"}'),
}


class Liar:
    """Stands at a port and answers every request with these bytes; slowly, it sends a byte each 0.1 s."""

    def __init__(self, port: int, answer: bytes, *, slowly: bool = False) -> None:
        self._answer = answer
        self._slowly = slowly
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            with caller, contextlib.suppress(OSError):  # who asked has given up
                caller.recv(65536)
                for part in self._parts():
                    caller.sendall(part)

    def _parts(self) -> Iterator[bytes]:
        if not self._slowly:
            yield self._answer
            return
        for byte in self._answer:
            yield bytes([byte])
            if self._ended.wait(0.1):
                return


@each_stage
@pytest.mark.parametrize("lie", LIES)
def test_a_stage_that_answers_no_finding_is_a_502_that_names_it(stack: Stack, name: str, lie: str) -> None:
    with stack.cables[name].cut("reset"), Liar(stack.cables[name].port, LIES[lie]):
        require_failure(stack, name, 502)
    eventually(lambda: works(stack), deadline_s=10)


@each_stage
def test_a_stage_that_sends_a_byte_now_and_then_is_a_504_that_names_it(stack: Stack, name: str) -> None:
    with stack.cables[name].cut("reset"), Liar(stack.cables[name].port, json_answer(b"{}"), slowly=True):
        require_failure(stack, name, 504)
    eventually(lambda: works(stack), deadline_s=10)


@each_stage
def test_a_stage_that_no_byte_reaches_is_a_504_that_names_it(stack: Stack, name: str) -> None:
    with stack.cables[name].cut("silent"):
        require_failure(stack, name, 504)
    eventually(lambda: works(stack), deadline_s=10)


@each_stage
def test_a_stage_that_hangs_is_a_504_that_names_it(stack: Stack, name: str) -> None:
    process = stack.stages[name].process
    os.kill(process.pid, signal.SIGSTOP)
    try:
        later = ORDER[ORDER.index(name) + 1 :]
        answer = predict(stack, SURE)
        assert (answer.status, answer.error["details"]["stage"]) == (504, name)
        if "prediction" not in later:  # it, or the last stage, hangs: an outlier does not get that far
            assert predict(stack, STRANGE).json["stopped_by"] == {"stage": "outlier", "reason": "outlier"}
        health = stack.chain.get("/health/all").json
        assert health[name]["error"]["code"] == "deadline_exceeded"
        assert all(health[other] == {"health": "ok"} for other in ORDER if other != name)
        require_ready_without(stack, name)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    eventually(lambda: works(stack), deadline_s=10)


def require_ready_without(stack: Stack, name: str) -> None:
    """The chain is ready as long as its first stage is, and says which later one it is without."""
    ready = stack.chain.get("/ready")
    if name == ORDER[0]:
        assert (ready.status, ready.error["code"]) == (503, "not_ready")
    else:
        assert (ready.status, ready.json) == (200, {"stages": f"without {name}"})


@each_stage
def test_a_killed_stage_is_a_503_that_names_it_until_it_is_back(stack: Stack, name: str, models: Path) -> None:
    old = stack.stages[name]
    expected = predict(stack, SURE).json
    old.process.kill()
    old.process.wait()
    answer = require_failure(stack, name, 503)
    assert answer.headers["retry-after"] == "1"
    assert stack.chain.get("/health").status == 200
    require_ready_without(stack, name)
    assert stack.chain.get("/health/all").json[name]["error"]["code"] == "not_ready"
    stack.stages[name] = stage(name, models, old.log.parent, old.port)
    eventually(lambda: works(stack), deadline_s=20)
    again = predict(stack, SURE).json
    assert [again[other] for other in ORDER] == [expected[other] for other in ORDER]


def test_a_stage_whose_place_another_service_takes_makes_the_chain_unready(stack: Stack) -> None:
    with stack.cables["outlier"].cut("reset"), Liar(stack.cables["outlier"].port, json_answer(b'{"gives":"weather"}')):
        ready = stack.chain.get("/ready")
        assert (ready.status, ready.error["code"]) == (503, "not_ready")
        assert "stage outlier is a service that gives weather" in ready.error["message"]
        require_failure(stack, "outlier", 502)
    eventually(lambda: stack.chain.get("/ready").status == 200, deadline_s=10)


def test_the_stages_after_a_stop_never_see_the_request(stack: Stack) -> None:
    counts = {name: asked(stack.stages[name]) for name in ORDER}
    for _ in range(5):
        assert predict(stack, STRANGE).json["stopped_by"]["stage"] == "outlier"
    eventually(lambda: asked(stack.stages["outlier"]) == counts["outlier"] + 5, deadline_s=5)
    assert [asked(stack.stages[name]) for name in ORDER[1:]] == [counts[name] for name in ORDER[1:]]


def test_every_stage_logs_the_request_under_the_callers_id(stack: Stack) -> None:
    assert predict(stack, SURE, "the-callers-own").status == 200
    for server in stack.stages.values():
        eventually(lambda server=server: "the-callers-own" in server.log.read_text(), deadline_s=5)  # type: ignore[misc]


def test_a_hung_stage_costs_each_of_many_callers_its_cap_and_the_chain_answers_others_meanwhile(stack: Stack) -> None:
    process = stack.stages["prediction"].process
    answers: list[Answer] = []
    callers = [threading.Thread(target=lambda: answers.append(predict(stack, SURE))) for _ in range(20)]
    os.kill(process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        for caller in callers:
            caller.start()
        assert predict(stack, STRANGE).json["stopped_by"]
        for caller in callers:
            caller.join()
        assert time.monotonic() - began < CAP_MS / 1000 + SLACK_S
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert [answer.status for answer in answers] == [504] * 20
    eventually(lambda: works(stack), deadline_s=10)
    assert "Traceback" not in stack.chain.log.read_text()
