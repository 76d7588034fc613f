"""More than the server can do, and callers who will not wait: refused at once, dropped, never mixed up."""

import http.client
import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc import StatusCode
from tritonclient.grpc import service_pb2, service_pb2_grpc

from mlsys.testing import Answer, eventually

from .servers import Running, Untyped, ours, unhurt

pytestmark = pytest.mark.e2e
QUEUE = 8
MIB = 2**20


@pytest.fixture(scope="module")
def narrow(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that computes one request at a time and lets eight wait."""
    environment = {"WORKERS": "1", "MAX_BATCH": "1", "MAX_QUEUE": str(QUEUE)}
    running = ours(networks, tmp_path_factory.mktemp("narrow"), **environment)
    yield running
    running.kill()


@pytest.fixture(scope="module")
def impatient(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that computes one request at a time and gives each a second."""
    environment = {"WORKERS": "1", "MAX_BATCH": "1", "REQUEST_TIMEOUT_S": "1"}
    running = ours(networks, tmp_path_factory.mktemp("impatient"), **environment)
    yield running
    running.kill()


def slow(number: float, **parameters: object) -> dict[str, object]:
    """A request that takes some tens of milliseconds, and whose answer is its own."""
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 256], "data": [number] * 256}
    return {"inputs": [tensor], "parameters": parameters}


def message(number: float) -> Untyped:
    row = np.full((1, 256), number, np.float32)
    request = service_pb2.ModelInferRequest(model_name="slow", raw_input_contents=[row.tobytes()])
    request.inputs.add(name="input", datatype="FP32", shape=[1, 256])
    return request


def is_own(answer: Answer, number: float) -> bool:
    return bool(answer.json["outputs"][0]["data"] == [number] * 256)


def in_progress(server: Running) -> int:
    """Requests that wait for a model or are being computed, over REST and gRPC together."""
    text = server.ask("GET", "/metrics").body.decode()
    return sum(int(float(n)) for n in re.findall(r"^model_requests_in_progress{.*} (\S+)$", text, re.MULTILINE))


def computed(server: Running) -> int:
    """Inferences of the slow model so far."""
    text = server.ask("GET", "/metrics").body.decode()
    found = re.search(r'^model_compute_seconds_count{model="slow"} (\S+)$', text, re.MULTILINE)
    return int(float(found[1])) if found else 0


def test_a_flood_over_rest_is_refused_beyond_the_queue_and_the_accepted_are_answered_rightly(narrow: Running) -> None:
    before = narrow.resident_bytes()
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda number: narrow.infer("slow", slow(number)), range(300)))
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) == {200, 503}
    assert statuses[200] >= QUEUE
    for number, answer in enumerate(answers):
        if answer.status == 200:
            assert is_own(answer, number)
        else:
            assert int(answer.headers["retry-after"]) >= 1
            assert "again" in answer.json["error"]
    assert narrow.resident_bytes() - before < 100 * MIB
    unhurt(narrow)


def test_a_flood_over_grpc_is_refused_beyond_the_queue_and_the_accepted_are_answered_rightly(narrow: Running) -> None:
    with grpc.insecure_channel(narrow.grpc_target) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer.future(message(number), timeout=20) for number in range(300)]
        codes = Counter(call.code() for call in calls)
        assert set(codes) == {StatusCode.OK, StatusCode.UNAVAILABLE}
        assert codes[StatusCode.OK] >= QUEUE
        for number, call in enumerate(calls):
            if call.code() == StatusCode.OK:
                assert call.result().raw_output_contents[0] == np.full(256, number, np.float32).tobytes()
    unhurt(narrow)


def test_health_and_other_models_are_answered_during_a_flood(narrow: Running) -> None:
    with ThreadPoolExecutor(40) as pool:
        flood = [pool.submit(narrow.infer, "slow", slow(number)) for number in range(80)]
        for _ in range(5):
            assert narrow.ask("GET", "/v2/health/live").status == 200
            assert narrow.ask("GET", "/v2/models/slow/ready").status == 200
            unhurt(narrow)
        assert {each.result().status for each in flood} <= {200, 503}


def test_a_request_whose_time_is_over_before_its_turn_is_told_so_and_not_computed(narrow: Running) -> None:
    before = computed(narrow)
    with ThreadPoolExecutor(QUEUE) as pool:
        pending = [pool.submit(narrow.infer, "slow", slow(number, timeout=1000)) for number in range(QUEUE)]
        answers = [each.result() for each in pending]
    assert {answer.status for answer in answers} == {504}
    assert all(set(answer.json) == {"error"} for answer in answers)
    unhurt(narrow)
    assert computed(narrow) - before <= QUEUE // 2


def test_the_servers_own_bound_holds_where_the_caller_gives_none(impatient: Running) -> None:
    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(lambda number: impatient.infer("slow", slow(number)), range(60)))
    assert 504 in {answer.status for answer in answers} <= {200, 504}
    assert all(is_own(answer, number) for number, answer in enumerate(answers) if answer.status == 200)
    unhurt(impatient)


def test_callers_over_rest_who_hang_up_are_not_computed_for(narrow: Running) -> None:
    before, body = computed(narrow), json.dumps(slow(1)).encode()
    head = f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    callers = [socket.create_connection(("127.0.0.1", narrow.http), timeout=5) for _ in range(QUEUE)]
    for caller in callers:
        caller.sendall(head + body)
    for caller in callers:
        caller.close()
    eventually(lambda: narrow.infer("slow", slow(2)).status == 200, deadline_s=10)
    assert computed(narrow) - before <= QUEUE // 2
    unhurt(narrow)


def test_callers_over_grpc_who_cancel_are_not_computed_for(narrow: Running) -> None:
    before = computed(narrow)
    with grpc.insecure_channel(narrow.grpc_target) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer.future(message(1), timeout=20) for _ in range(QUEUE)]
        eventually(lambda: in_progress(narrow) > 1, deadline_s=5, every_s=0.001)
        for call in calls:
            call.cancel()
        eventually(lambda: narrow.infer("slow", slow(3)).status == 200, deadline_s=5)
    assert computed(narrow) - before <= QUEUE // 2
    unhurt(narrow)


def test_unloading_waits_for_what_was_accepted(narrow: Running) -> None:
    with ThreadPoolExecutor(QUEUE) as pool:
        pending = [pool.submit(narrow.infer, "slow", slow(number)) for number in range(QUEUE)]
        eventually(
            lambda: in_progress(narrow) + sum(each.done() for each in pending) == QUEUE, deadline_s=5, every_s=0.001
        )
        assert narrow.ask("POST", "/v2/repository/models/slow/unload").status == 200
        answers = [each.result() for each in pending]
    assert narrow.infer("slow", slow(0)).status == 404
    assert narrow.ask("POST", "/v2/repository/models/slow/load").status == 200
    assert [answer.status for answer in answers] == [200] * QUEUE
    assert all(is_own(answer, number) for number, answer in enumerate(answers))


def test_a_body_over_the_limit_is_refused_before_it_is_read(narrow: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", narrow.http, timeout=5)
    connection.putrequest("POST", "/v2/models/adder/infer")
    connection.putheader("Content-Length", str(2**40))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    assert "bytes" in json.loads(response.read())["error"]
    connection.close()
    unhurt(narrow)


def test_a_body_without_a_length_is_cut_at_the_limit(narrow: Running) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(MIB)

    try:
        answer = narrow.ask("POST", "/v2/models/adder/infer", endless())
    except OSError:  # refused and closed while the caller still sent
        answer = None
    assert answer is None or answer.status == 413
    assert narrow.resident_bytes() < 2**30
    unhurt(narrow)


def test_a_request_that_never_ends_is_given_up(impatient: Running) -> None:
    with socket.create_connection(("127.0.0.1", impatient.http), timeout=10) as connection:
        connection.sendall(b"POST /v2/models/adder/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert set(json.loads(body)) == {"error"}


@pytest.mark.parametrize("side", ["http", "grpc"])
def test_connections_that_say_nothing_or_half_keep_nobody_out(narrow: Running, side: str) -> None:
    idle = [socket.create_connection(("127.0.0.1", getattr(narrow, side)), timeout=5) for _ in range(200)]
    for number, connection in enumerate(idle):
        if number % 2:
            connection.sendall(b"POST /v2/mod")
            connection.shutdown(socket.SHUT_WR)
    unhurt(narrow)
    for connection in idle:
        connection.close()
    unhurt(narrow)
    eventually(lambda: in_progress(narrow) == 0, deadline_s=5)
