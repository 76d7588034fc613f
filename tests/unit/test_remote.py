"""The client of a served model, against a gRPC server of the protocol that can lie, fail and hang."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc
import numpy as np
import pytest
from tritonclient.grpc import model_config_pb2, service_pb2_grpc
from tritonclient.grpc import service_pb2 as v2

from mlsys import logs
from mlsys.errors import BadGateway, DeadlineExceeded, NotReady, OverCapacity
from mlsys.metadata import Tensor
from mlsys.ports import free_port
from mlsys.remote import Declared, NoSuchModel, RemoteModel

T = TypeVar("T")
BATCH = np.arange(6, dtype=np.float32).reshape(2, 3)
DECLARED = Declared(
    "sums",
    "abc",
    [Tensor(name="input", datatype="FP32", shape=[-1, 3])],
    [Tensor(name="sum", datatype="FP32", shape=[-1]), Tensor(name="rows", datatype="INT64", shape=[1])],
    ["few", "many"],
)


class Sums(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # no types
    """Serves a model that sums rows. `lie` changes an answer before it is sent; `fail` is a status to end with."""

    def __init__(self) -> None:
        self.lie: Callable[[v2.ModelInferResponse], object] = lambda _: None
        self.fail: tuple[grpc.StatusCode, str] | None = None
        self.labels = json.dumps(DECLARED.labels)
        self.asked: list[tuple[v2.ModelInferRequest, dict[str, str], float]] = []
        self.hang = threading.Event()
        self.hang.set()

    def ModelMetadata(self, request: Any, _: Any) -> Any:  # noqa: N802, ANN401  # the protocol's name
        answer = v2.ModelMetadataResponse(name=request.name, versions=["old", "abc"])
        for there, tensors in ((answer.inputs, DECLARED.inputs), (answer.outputs, DECLARED.outputs)):
            for tensor in tensors:
                there.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        return answer

    def ModelConfig(self, request: Any, _: Any) -> Any:  # noqa: N802, ANN401  # the protocol's name
        config = model_config_pb2.ModelConfig(name=request.name)
        if self.labels:
            config.parameters["labels"].string_value = self.labels
        return v2.ModelConfigResponse(config=config)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802, ANN401  # the protocol's name
        self.asked.append((request, dict(context.invocation_metadata()), context.time_remaining()))
        self.hang.wait()
        if self.fail:
            context.abort(*self.fail)
        batch = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(list(request.inputs[0].shape))
        answer = v2.ModelInferResponse(model_name=request.model_name, model_version=request.model_version)
        for name, datatype, array in (("rows", "INT64", np.array([len(batch)])), ("sum", "FP32", batch.sum(axis=1))):
            answer.outputs.add(name=name, datatype=datatype, shape=array.shape)
            answer.raw_output_contents.append(array.tobytes())
        self.lie(answer)
        return answer


@pytest.fixture
def sums() -> Sums:
    return Sums()


@pytest.fixture
def target(sums: Sums) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(sums, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    sums.hang.set()
    server.stop(None).wait()


def ask(target: str, do: Callable[[RemoteModel], Awaitable[T]]) -> T:
    """Do something with the model `sums` of the server."""

    async def go() -> T:
        model = RemoteModel(target, "sums")
        try:
            return await do(model)
        finally:
            await model.close()

    return asyncio.run(go())


def infer(target: str, timeout_s: float = 5.0) -> dict[str, Any]:
    return ask(target, lambda model: model.infer(BATCH, DECLARED, timeout_s=timeout_s))


def test_it_tells_what_the_server_declares_with_the_newest_version_and_the_labels(target: str) -> None:
    assert ask(target, lambda model: model.declared(timeout_s=5)) == DECLARED


def test_a_server_that_tells_no_labels_has_none(target: str, sums: Sums) -> None:
    sums.labels = ""
    assert ask(target, lambda model: model.declared(timeout_s=5)).labels == []


@pytest.mark.parametrize("labels", ["few", '{"0": "few"}', "[0, 1]"])
def test_labels_of_another_form_are_a_bad_gateway(target: str, sums: Sums, labels: str) -> None:
    sums.labels = labels
    with pytest.raises(BadGateway, match="its labels are "):
        ask(target, lambda model: model.declared(timeout_s=5))


def test_a_batch_comes_back_as_the_declared_outputs_whatever_their_order(target: str) -> None:
    outputs = infer(target)
    assert outputs["sum"].tolist() == [3.0, 12.0]
    assert outputs["rows"].tolist() == [2]


def test_the_request_names_version_outputs_id_and_deadline(target: str, sums: Sums) -> None:
    token = logs.request_id.set("request-7")
    try:
        infer(target, timeout_s=3.0)
    finally:
        logs.request_id.reset(token)
    ((request, metadata, remaining_s),) = sums.asked
    assert (request.model_name, request.model_version, request.id) == ("sums", "abc", "request-7")
    assert [output.name for output in request.outputs] == ["sum", "rows"]
    assert metadata["x-request-id"] == "request-7"
    assert 2.0 < remaining_s < 3.1  # gRPC rounds a deadline up


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, NotReady),
        (grpc.StatusCode.NOT_FOUND, NoSuchModel),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, OverCapacity),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.INVALID_ARGUMENT, BadGateway),
        (grpc.StatusCode.UNIMPLEMENTED, BadGateway),
        (grpc.StatusCode.INTERNAL, BadGateway),
        (grpc.StatusCode.UNKNOWN, BadGateway),
    ],
)
def test_each_status_of_the_server_is_an_error_of_ours(
    target: str, sums: Sums, code: grpc.StatusCode, expected: type[Exception]
) -> None:
    sums.fail = (code, "No coffee.")
    with pytest.raises(expected) as raised:
        infer(target)
    assert type(raised.value) is expected
    assert target in str(raised.value)


LIES: dict[str, Callable[[v2.ModelInferResponse], object]] = {
    "another version": lambda answer: setattr(answer, "model_version", "old"),
    "a missing output": lambda answer: (answer.outputs.pop(), answer.raw_output_contents.pop()),
    "no raw content": lambda answer: answer.raw_output_contents.pop(),
    "an output twice": lambda answer: setattr(answer.outputs[1], "name", "rows"),
    "another name": lambda answer: setattr(answer.outputs[1], "name", "total"),
    "another datatype": lambda answer: setattr(answer.outputs[1], "datatype", "FP64"),
    "a longer shape": lambda answer: answer.outputs[1].shape.append(2),
    "a negative shape": lambda answer: answer.outputs[1].shape.extend([-1, -1]),
    "missing bytes": lambda answer: answer.raw_output_contents.__setitem__(1, b"\0" * 7),
    "nothing": lambda answer: answer.Clear(),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_is_none_is_a_bad_gateway(target: str, sums: Sums, lie: str) -> None:
    sums.lie = LIES[lie]
    with pytest.raises(BadGateway, match="gave no usable answer for sums"):
        infer(target)


def test_a_server_that_hangs_is_left_at_the_deadline(target: str, sums: Sums) -> None:
    sums.hang.clear()
    with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.2 s"):
        infer(target, timeout_s=0.2)


def test_a_server_that_is_not_there_is_not_ready() -> None:
    with pytest.raises(NotReady, match="is not available"):
        infer(f"127.0.0.1:{free_port()}")


def test_one_model_can_be_asked_in_one_event_loop_after_another(target: str) -> None:
    model = RemoteModel(target, "sums")
    for _ in range(2):
        assert asyncio.run(model.declared(timeout_s=5)) == DECLARED


def test_a_server_that_comes_back_is_found_again(sums: Sums) -> None:
    address = f"127.0.0.1:{free_port()}"

    async def go(model: RemoteModel) -> None:
        with pytest.raises(NotReady):
            await model.declared(timeout_s=1)
        server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(sums, server)
        server.add_insecure_port(address)
        server.start()
        try:
            async with asyncio.timeout(10):
                while True:
                    try:
                        assert await model.declared(timeout_s=1) == DECLARED
                        return
                    except NotReady:
                        await asyncio.sleep(0.02)
        finally:
            server.stop(None).wait()

    ask(address, go)
