"""The gRPC transport against a server of this test's own, which notes what it is told and fails as it is told to."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from mlsys.errors import DeadlineExceeded
from mlsys.ports import free_port

from ..call import Caller, Deadline, RetryBudget, Unavailable
from ..over_grpc import Grpc
from ..transport import Refused, WrongAnswer

PIXELS = np.arange(3072, dtype=np.uint8).reshape(1, 32, 32, 3)


class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # the stubs have no types
    """Answers label 7, unless it has a status to fail with, or a size that is wrong, or seconds to take."""

    def __init__(self) -> None:
        self.status: grpc.StatusCode | None = None
        self.size, self.takes_s = 40, 0.0
        self.labels = '["a", "b"]'
        self.peers: list[str] = []
        self.left_s: list[float | None] = []
        self.asked: list[Any] = []

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802, ANN401  # gRPC's names and types
        self.peers.append(context.peer())
        self.left_s.append(context.time_remaining())
        self.asked.append(request)
        if self.status:
            context.abort(self.status, "as told")
        end = time.monotonic() + self.takes_s
        while context.is_active() and time.monotonic() < end:
            time.sleep(0.01)
        answer = service_pb2.ModelInferResponse(model_name=request.model_name)
        answer.outputs.add(name="label", datatype="INT64", shape=[1])
        answer.outputs.add(name="probabilities", datatype="FP32", shape=[1, 10])
        answer.raw_output_contents.extend([np.int64(7).tobytes(), bytes(self.size)])
        return answer

    def ModelMetadata(self, request: Any, _: Any) -> Any:  # noqa: N802, ANN401
        answer = service_pb2.ModelMetadataResponse(name=request.name, platform="onnx", versions=["1"])
        answer.inputs.add(name="input", datatype="UINT8", shape=[-1, 32, 32, 3])
        return answer

    def ModelConfig(self, _: Any, __: Any) -> Any:  # noqa: N802, ANN401
        answer = service_pb2.ModelConfigResponse()
        answer.config.parameters["labels"].string_value = self.labels
        return answer


def serve(servicer: Servicer, port: int) -> Callable[[], None]:
    server = grpc.server(ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return lambda: server.stop(0).wait(5)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def servicer(port: int) -> Iterator[Servicer]:
    servicer = Servicer()
    stop = serve(servicer, port)
    yield servicer
    stop()


@pytest.fixture
def transport(port: int) -> Grpc:
    return Grpc("127.0.0.1", port)


def test_pixels_travel_as_the_bytes_they_are(servicer: Servicer, transport: Grpc) -> None:
    answer = transport.infer("m", PIXELS, 5.0)
    assert {name: array.tolist() for name, array in answer.items()} == {"label": [7], "probabilities": [[0.0] * 10]}
    (request,) = servicer.asked
    assert list(request.raw_input_contents) == [PIXELS.tobytes()]
    assert list(request.inputs[0].shape) == [1, 32, 32, 3]


def test_the_server_is_told_the_time_that_is_left(servicer: Servicer, transport: Grpc) -> None:
    deadline = Deadline(60.0)
    Caller().call(lambda left_s: transport.infer("m", PIXELS, left_s), deadline)
    left = deadline.left()
    assert left is not None
    assert servicer.left_s == [pytest.approx(left, abs=5)]
    transport.infer("m", PIXELS, None)
    assert servicer.left_s[1] is None or servicer.left_s[1] > 1e9


def test_one_connection_serves_call_after_call(servicer: Servicer, transport: Grpc) -> None:
    for _ in range(20):
        transport.infer("m", PIXELS, 5.0)
    assert len(set(servicer.peers)) == 1


def test_a_server_that_is_late_costs_no_more_than_the_deadline(servicer: Servicer, transport: Grpc) -> None:
    servicer.takes_s = 10
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        transport.infer("m", PIXELS, 0.3)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.NOT_FOUND, Refused),
        (grpc.StatusCode.INVALID_ARGUMENT, Refused),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Unavailable),
        (grpc.StatusCode.INTERNAL, WrongAnswer),
        (grpc.StatusCode.UNKNOWN, WrongAnswer),
        (grpc.StatusCode.UNIMPLEMENTED, WrongAnswer),
    ],
)
def test_a_status_says_whether_another_attempt_may_help(
    servicer: Servicer, transport: Grpc, status: grpc.StatusCode, kind: type[Exception]
) -> None:
    servicer.status = status
    with pytest.raises(kind):
        transport.infer("m", PIXELS, 5.0)


def test_an_answer_of_too_few_bytes_is_an_error_of_ours(servicer: Servicer, transport: Grpc) -> None:
    servicer.size = 36
    with pytest.raises(WrongAnswer, match="tensors that cannot be read"):
        transport.infer("m", PIXELS, 5.0)


def test_metadata_has_the_protocols_own_form(servicer: Servicer, transport: Grpc) -> None:
    assert transport.metadata("m", 5.0) == {
        "name": "m",
        "versions": ["1"],
        "platform": "onnx",
        "inputs": [{"name": "input", "datatype": "UINT8", "shape": [-1, 32, 32, 3]}],
        "outputs": [],
    }


def test_labels_come_from_the_models_configuration(servicer: Servicer, transport: Grpc) -> None:
    assert transport.labels("m", 5.0) == ["a", "b"]
    servicer.labels = ""
    with pytest.raises(WrongAnswer, match="does not name the classes of m"):
        transport.labels("m", 5.0)


def test_a_server_that_is_not_there_is_unavailable(port: int, transport: Grpc) -> None:
    for ask in (transport.labels, transport.metadata):
        with pytest.raises(Unavailable, match="cannot be reached"):
            ask("m", 5.0)


def test_a_retry_reaches_a_server_that_has_come_back_although_the_connection_had_failed(
    port: int, transport: Grpc
) -> None:
    stops: list[Callable[[], None]] = []
    attempts = []

    def ask(left_s: float | None) -> object:
        attempts.append(left_s)
        return transport.infer("m", PIXELS, left_s)

    back = threading.Timer(0.2, lambda: stops.append(serve(Servicer(), port)))
    back.start()
    try:
        caller = Caller(RetryBudget(most=5), draw=lambda: 1.0)  # asks after 0, 0.1, 0.3, 0.7 and 1.5 s
        assert caller.call(ask, Deadline(10.0))
    finally:
        back.join()
        stops[0]()
    assert len(attempts) <= 4, "by itself gRPC tries to connect again after 1 s"
