"""Requests that are computed together: each gets its own answer, also beside one that fails."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc import StatusCode
from tritonclient.grpc import service_pb2, service_pb2_grpc

from .servers import Running, Untyped, ours, unhurt

pytestmark = pytest.mark.e2e
CALLERS = 32


@pytest.fixture(scope="module")
def batching(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with one inference thread, and time to gather up to eight rows."""
    environment = {"WORKERS": "1", "MAX_BATCH": "8", "MAX_DELAY_MS": "5"}
    running = ours(networks, tmp_path_factory.mktemp("batching"), **environment)
    yield running
    running.kill()


def batches(server: Running, model: str) -> tuple[int, int]:
    """Batches and rows of the model so far."""
    text = server.ask("GET", "/metrics").body.decode()
    count, total = (
        re.search(rf'^model_batch_size_{what}{{model="{model}"}} (\S+)$', text, re.MULTILINE)
        for what in ("count", "sum")
    )
    return (int(float(count[1])), int(float(total[1]))) if count and total else (0, 0)


def test_a_request_that_fails_does_not_fail_its_neighbours(batching: Running) -> None:
    """The table's index 10 passes every check of the protocol, and makes ONNX Runtime raise."""
    wrong = [n for n in range(200) if n % 5 == 0]

    def one(number: int) -> tuple[int, Untyped]:
        index = [10 if number in wrong else number % 10] * (1 + number % 3)
        answer = batching.infer(
            "table", {"inputs": [{"name": "index", "datatype": "INT64", "shape": [len(index)], "data": index}]}
        )
        return answer.status, answer.json["outputs"][0]["data"] if answer.status == 200 else answer.json["error"]

    with ThreadPoolExecutor(CALLERS) as pool:
        for number, (status, found) in enumerate(pool.map(one, range(200))):
            if number in wrong:
                assert status == 400
                assert "table" in found
            else:
                assert (status, found) == (200, [number % 10 / 2] * (1 + number % 3))
    unhurt(batching)


def test_requests_of_different_sizes_and_outputs_over_both_sides_are_not_mixed_up(batching: Running) -> None:
    before = batches(batching, "adder")
    with grpc.insecure_channel(batching.grpc_target) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

        def over_grpc(number: int, rows: np.ndarray, outputs: list[str]) -> list[list[float]]:
            message = service_pb2.ModelInferRequest(model_name="adder", raw_input_contents=[rows.tobytes()] * 2)
            for name in ("b", "a") if number % 3 else ("a", "b"):
                message.inputs.add(name=name, datatype="FP32", shape=rows.shape)
            for name in outputs:
                message.outputs.add(name=name)
            return [
                np.frombuffer(raw, np.float32).tolist()
                for raw in stub.ModelInfer(message, timeout=20).raw_output_contents
            ]

        def over_rest(_: int, rows: np.ndarray, outputs: list[str]) -> list[list[float]]:
            tensor = {"datatype": "FP32", "shape": rows.shape, "data": rows.flatten().tolist()}
            asked = {
                "inputs": [tensor | {"name": name} for name in ("a", "b")],
                "outputs": [{"name": name} for name in outputs],
            }
            return [output["data"] for output in batching.infer("adder", asked).json["outputs"]]

        def one(number: int) -> bool:
            rows = np.full((1 + number % 11, 3), number, np.float32)
            outputs = [["sum"], ["difference"], ["difference", "sum"]][number % 3]
            right = [(2 * rows if name == "sum" else 0 * rows).flatten().tolist() for name in outputs]
            return (over_grpc if number % 2 else over_rest)(number, rows, outputs) == right

        with ThreadPoolExecutor(CALLERS) as pool:
            assert all(pool.map(one, range(400)))
    after = batches(batching, "adder")
    assert after[0] - before[0] < 400  # some were computed together, or this says nothing
    assert after[1] - before[1] == sum(1 + number % 11 for number in range(400))
    unhurt(batching)


@pytest.mark.parametrize("model", ["positive", "fixed"])
def test_a_network_that_does_not_answer_row_by_row_is_asked_for_each_request_alone(
    batching: Running, model: str
) -> None:
    def one(number: int) -> bool:
        row = [float(number), 0.0, float(number + 1), 0.0, 0.0, 7.0]
        shape = [6] if model == "positive" else [2, 3]
        answer = batching.infer(model, {"inputs": [{"name": "input", "datatype": "FP32", "shape": shape, "data": row}]})
        places = [place for place, value in enumerate(row) if value]
        return bool(answer.json["outputs"][0]["data"] == (places if model == "positive" else row))

    with ThreadPoolExecutor(CALLERS) as pool:
        assert all(pool.map(one, range(100)))
    unhurt(batching)


def test_a_request_larger_than_a_batch_is_answered_whole(batching: Running) -> None:
    rows = [[n, n, n] for n in range(1000)]
    tensor = {"datatype": "FP32", "shape": [1000, 3], "data": rows}
    answer = batching.infer("adder", {"inputs": [tensor | {"name": "a"}, tensor | {"name": "b"}]})
    assert answer.json["outputs"][0]["shape"] == [1000, 3]
    assert answer.json["outputs"][0]["data"] == (2 * np.array(rows)).flatten().tolist()


def test_one_client_alone_does_not_wait_for_company(batching: Running) -> None:
    """The delay bound holds a request back only while others are computed: alone, there is nobody to wait for."""
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    for _ in range(20):
        assert batching.infer("fp32", {"inputs": [tensor]}).status == 200
    text = batching.ask("GET", "/metrics").body.decode()
    found = re.search(r'^model_queue_seconds_sum{model="fp32"} (\S+)$', text, re.MULTILINE)
    assert found
    assert float(found[1]) / 20 < 0.004


def test_a_message_of_the_wrong_rows_is_refused_beside_right_ones(batching: Running) -> None:
    """Two requests of uneven inputs, 2 + 1 rows and 1 + 2, would fit together, and give both wrong sums."""
    with grpc.insecure_channel(batching.grpc_target) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = []
        for number in range(100):
            a, b = (2, 1) if number % 2 else (1, 2)
            message = service_pb2.ModelInferRequest(
                model_name="adder", raw_input_contents=[bytes(12 * a), bytes(12 * b)]
            )
            message.inputs.add(name="a", datatype="FP32", shape=[a, 3])
            message.inputs.add(name="b", datatype="FP32", shape=[b, 3])
            calls.append(stub.ModelInfer.future(message, timeout=10))
        assert {call.code() for call in calls} == {StatusCode.INVALID_ARGUMENT}
    unhurt(batching)
