"""Callers of the gRPC side who send what no client library would: a status that says so, and nothing lost."""

import struct
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from grpc import StatusCode
from tritonclient.grpc import service_pb2, service_pb2_grpc

from mlsys.testing import eventually

from .fronts import floats
from .servers import Running, Untyped, unhurt, version
from .test_overload import in_progress

pytestmark = pytest.mark.parametrize("server", ["ours"], indirect=True)

RAW = floats([1, 2, 3], [4, 5, 6]).tobytes()
SERVICE = "/inference.GRPCInferenceService/"
HUGE = 2**62


@pytest.fixture(autouse=True)
def nothing_is_lost(server: Running) -> Iterator[None]:
    """After each attack the server still answers, rightly, and has logged no error of its own."""
    yield
    unhurt(server)


@pytest.fixture
def channel(server: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc_target, options=[("grpc.max_send_message_length", -1)]) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.Channel) -> Untyped:
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


def request(model: str = "fixed", raw: list[bytes] | None = None, **changes: Untyped) -> Untyped:
    """A right request to `fixed` (FP32 [2, 3]) but for these changes of its one tensor."""
    message = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=[RAW] if raw is None else raw)
    message.inputs.add(**({"name": "input", "datatype": "FP32", "shape": [2, 3]} | changes))
    return message


def slow(rows: int) -> Untyped:
    """Ones, for the network that takes some tens of milliseconds a row."""
    return request("slow", raw=[np.ones((rows, 256), np.float32).tobytes()], shape=[rows, 256])


def assert_refused(call: Untyped, message: Untyped, *codes: StatusCode) -> str:
    """The error's text."""
    with pytest.raises(grpc.RpcError) as raised:
        call(message, timeout=10)
    assert raised.value.code() in (codes or (StatusCode.INVALID_ARGUMENT,)), raised.value
    details: str = raised.value.details()
    assert 10 < len(details) < 2000
    return details


def twice() -> Untyped:
    message = request(raw=[RAW, RAW])
    message.inputs.append(message.inputs[0])
    return message


def asking(*outputs: str) -> Untyped:
    message = request()
    for name in outputs:
        message.outputs.add(name=name)
    return message


def typed(**fields: Sequence[float] | Sequence[bytes]) -> Untyped:
    return service_pb2.InferTensorContents(**fields)


def floats_of(n: int) -> Untyped:
    return typed(fp32_contents=[1] * n)


REQUESTS = {
    "no tensors": service_pb2.ModelInferRequest(model_name="fixed"),
    "raw without tensors": service_pb2.ModelInferRequest(model_name="fixed", raw_input_contents=[RAW]),
    "no contents": request(raw=[]),
    "raw contents too many": request(raw=[RAW, RAW]),
    "raw and typed": request(contents=floats_of(6)),
    "a tensor twice": twice(),
    "raw too short": request(raw=[RAW[:-1]]),
    "raw too long": request(raw=[RAW + b"\0"]),
    "raw empty": request(raw=[b""]),
    "another name": request(name="nobody"),
    "no name": request(name=""),
    "another datatype": request(datatype="INT32"),
    "a datatype of no kind": request(datatype="COMPLEX64"),
    "no datatype": request(datatype=""),
    "a turned shape": request(shape=[3, 2]),
    "another rank": request(shape=[6]),
    "no shape": request(shape=[]),
    "negative sizes": request(shape=[-2, -3]),
    "a free size": request(shape=[-1, 3]),
    "a zero": request(shape=[0, 3], raw=[b""]),
    "huge sizes": request(shape=[HUGE, HUGE]),
    "a product that overflows to zero": request(shape=[2**32, 2**32]),
    "a product that overflows to six": request(shape=[-(2**63) + 1, 6]),
    "100,000 dimensions": request(shape=[1] * 100_000),
    "typed, too few": request(raw=[], contents=floats_of(5)),
    "typed, too many": request(raw=[], contents=floats_of(7)),
    "typed, in the wrong field": request(raw=[], contents=typed(fp64_contents=[1] * 6)),
    "typed, in two fields": request(raw=[], contents=typed(fp32_contents=[1] * 6, int_contents=[1])),
    "typed half precision": request("fp16", raw=[], datatype="FP16", shape=[1, 2], contents=floats_of(2)),
    "typed over the datatype": request(
        "uint8", raw=[], datatype="UINT8", shape=[1, 2], contents=typed(uint_contents=[256, 0])
    ),
    "typed under the datatype": request(
        "int8", raw=[], datatype="INT8", shape=[1, 2], contents=typed(int_contents=[-129, 0])
    ),
    "text whose length is beyond the end": request(
        "text", raw=[struct.pack("<I", 9) + b"ab"], datatype="BYTES", shape=[1, 2]
    ),
    "text that is not UTF-8": request(
        "text", raw=[], datatype="BYTES", shape=[1, 2], contents=typed(bytes_contents=[b"\xff", b""])
    ),
    "an unknown output": asking("nobody"),
    "an output twice": asking("output", "output"),
}


@pytest.mark.parametrize("message", REQUESTS.values(), ids=REQUESTS)
def test_a_wrong_request_is_refused(stub: Untyped, message: Untyped) -> None:
    assert_refused(stub.ModelInfer, message)


@pytest.mark.parametrize("name", ["", "nobody", "../fixed", "fixed/", "fixed\0", "a" * 100_000, "Fixed"])
def test_nothing_is_found_where_nothing_is(stub: Untyped, name: str) -> None:
    assert_refused(stub.ModelInfer, request(name), StatusCode.NOT_FOUND)
    assert_refused(stub.ModelMetadata, service_pb2.ModelMetadataRequest(name=name), StatusCode.NOT_FOUND)
    loading = service_pb2.RepositoryModelLoadRequest(model_name=name)
    assert_refused(stub.RepositoryModelLoad, loading, StatusCode.NOT_FOUND)


def test_a_caller_cannot_give_the_model_that_is_loaded(server: Running, stub: Untyped) -> None:
    message = service_pb2.RepositoryModelLoadRequest(model_name="adder")
    message.parameters["config"].string_param = "{}"
    message.parameters["file:1/model.onnx"].bytes_param = b"x"
    assert_refused(stub.RepositoryModelLoad, message)
    metadata = stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="adder"), timeout=5)
    assert list(metadata.versions) == [version(server.models, "adder")]


METHODS = ["ModelInfer", "ModelMetadata", "ModelReady", "RepositoryIndex", "RepositoryModelLoad", "ModelConfig"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "content", [b"\xff" * 9, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe"], ids=["bytes", "cut", "UTF-8"]
)
def test_a_message_that_is_none_is_refused(channel: grpc.Channel, method: str, content: bytes) -> None:
    assert_refused(channel.unary_unary(SERVICE + method), content, StatusCode.INVALID_ARGUMENT)


def test_what_is_not_served_is_said_to_be_unimplemented(channel: grpc.Channel) -> None:
    for method in (SERVICE + "SystemSharedMemoryRegister", SERVICE + "Nothing", "/no.Service/Method"):
        assert_refused(channel.unary_unary(method), b"", StatusCode.UNIMPLEMENTED)


def test_a_message_over_the_limit_is_refused(stub: Untyped) -> None:
    assert_refused(stub.ModelInfer, request(raw=[bytes(17 * 2**20)]), StatusCode.RESOURCE_EXHAUSTED)


def test_a_small_message_that_unpacks_to_a_large_one_is_refused(stub: Untyped) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        stub.ModelInfer(request(raw=[bytes(200 * 2**20)]), timeout=20, compression=grpc.Compression.Gzip)
    assert raised.value.code() == StatusCode.RESOURCE_EXHAUSTED


def test_a_compressed_message_is_taken(stub: Untyped) -> None:
    assert stub.ModelInfer(request(), timeout=5, compression=grpc.Compression.Gzip).raw_output_contents[0] == RAW


@pytest.mark.parametrize("value", [-1, 2**63 - 1, "soon", True])
def test_a_timeout_that_is_none_is_refused_and_a_distant_one_taken(stub: Untyped, value: float | str) -> None:
    message = request()
    kind = {bool: "bool_param", int: "int64_param", str: "string_param"}[type(value)]
    setattr(message.parameters["timeout"], kind, value)
    if value == 2**63 - 1:
        assert stub.ModelInfer(message, timeout=1e8).raw_output_contents[0] == RAW
    else:
        assert "timeout" in assert_refused(stub.ModelInfer, message)


def test_names_that_callers_think_of_do_not_become_metrics(server: Running, stub: Untyped) -> None:
    for number in range(50):
        assert_refused(stub.ModelInfer, request(f"thought-of-{number}"), StatusCode.NOT_FOUND)
    assert "thought-of" not in server.ask("GET", "/metrics").body.decode()


def test_a_caller_who_leaves_takes_nobody_with_him(server: Running, stub: Untyped) -> None:
    leavers = [stub.ModelInfer.future(slow(rows=128), timeout=60) for _ in range(10)]  # long work: nobody is done
    stayers = [stub.ModelInfer.future(slow(rows=1), timeout=60) for _ in range(10)]
    eventually(lambda: in_progress(server) == len(leavers + stayers), deadline_s=30)
    for call in leavers:
        assert call.cancel()
    for call in stayers:
        assert call.result(60).raw_output_contents[0] == np.ones((1, 256), np.float32).tobytes()
    for call in leavers:
        assert call.cancelled()


def test_the_callers_deadline_is_kept(stub: Untyped) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        stub.ModelInfer(slow(rows=64), timeout=0.005)
    assert raised.value.code() == StatusCode.DEADLINE_EXCEEDED


def test_good_requests_among_bad_ones_are_all_answered_rightly(stub: Untyped) -> None:
    wrong, refused = list(REQUESTS.values()), threading.Semaphore(0)

    def one(number: int) -> bool:
        if number % 2:
            try:
                stub.ModelInfer(wrong[number % len(wrong)], timeout=20)
            except grpc.RpcError as error:
                refused.release()
                return bool(error.code() == StatusCode.INVALID_ARGUMENT)
        rows = np.full((1 + number % 4, 3), number, np.float32)
        message = service_pb2.ModelInferRequest(model_name="adder", raw_input_contents=[rows.tobytes()] * 2)
        for name in ("a", "b"):
            message.inputs.add(name=name, datatype="FP32", shape=rows.shape)
        message.outputs.add(name="sum")
        answer: bytes = stub.ModelInfer(message, timeout=20).raw_output_contents[0]
        expected: bytes = (2 * rows).tobytes()
        return answer == expected

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(one, range(200)))
    assert all(refused.acquire(blocking=False) for _ in range(100))
