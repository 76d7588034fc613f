"""Requests that hypothesis makes up, the same in every run: refused as the caller's fault, or answered rightly."""

import json
import math
import socket
from collections import Counter
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import StatusCode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from mlsys.testing import Answer

from .networks import DATATYPES
from .servers import Running, unhurt

pytestmark = pytest.mark.parametrize("server", ["ours"], indirect=True)

EXAMPLES = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=5_000,  # ms an example
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
THE_CALLERS_FAULT = {StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND, StatusCode.UNIMPLEMENTED}
METHODS = [method.name for method in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods]
NAMES = st.sampled_from(["input", "output", "", "Input", "a", "\0", "../input", "é"]) | st.text(max_size=5)
KINDS = st.sampled_from([*DATATYPES, "BYTES", "BF16", "fp32", ""])
SIZES = st.sampled_from([0, 1, 2, 3, 6, -1, -2, 2**31, 2**32, 2**63 - 1, -(2**63), 2**64]) | st.integers()
ANY_NUMBER = st.integers() | st.floats() | st.sampled_from([255, 256, -128, 2**53 + 1, 2**63, 1e39, 65505.0])
SCALARS = st.none() | st.booleans() | ANY_NUMBER | st.text(max_size=5)
ANY_JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
PARAMETERS = st.dictionaries(
    st.sampled_from(["binary_data_size", "binary_data", "binary_data_output", "timeout", "priority", "x"]),
    ANY_JSON,
    max_size=2,
)
RAW = st.binary(min_size=16, max_size=16)
OUTPUTS = st.lists(st.fixed_dictionaries({"name": NAMES}, optional={"parameters": PARAMETERS | ANY_JSON}), max_size=2)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "BOOL": st.booleans(),
    "FP32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "FP64": st.floats(allow_nan=False, allow_infinity=False),
    "BYTES": st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
} | {
    name: st.integers(int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    for name, (_, kind) in DATATYPES.items()
    if "INT" in name
}
WRONG_TENSORS = {
    "name": NAMES | ANY_JSON,
    "datatype": KINDS | ANY_JSON,
    "shape": st.lists(SIZES, max_size=4) | ANY_JSON,
    "data": st.lists(SCALARS, min_size=2, max_size=2) | ANY_JSON,
    "parameters": PARAMETERS | ANY_JSON,
    "other": ANY_JSON,
}
WRONG_REQUESTS = {
    "inputs": ANY_JSON,
    "id": st.text(max_size=5) | ANY_JSON,
    "outputs": OUTPUTS | ANY_JSON,
    "parameters": PARAMETERS | ANY_JSON,
    "other": ANY_JSON,
}


@st.composite
def asked(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A model and a right request of one row of two, up to two of whose fields are replaced or left out."""
    datatype = draw(st.sampled_from(sorted(VALUES)))
    row = draw(st.lists(VALUES[datatype], min_size=2, max_size=2))
    tensor = {"name": "input", "datatype": datatype, "shape": [1, 2], "data": draw(st.sampled_from([row, [row]]))}
    request: dict[str, Any] = {"inputs": [tensor]}
    for _ in range(draw(st.integers(0, 2))):
        part, wrong = draw(st.sampled_from([(tensor, WRONG_TENSORS), (request, WRONG_REQUESTS)]))
        field = draw(st.sampled_from(sorted(wrong)))
        if draw(st.integers(0, 9)):
            part[field] = draw(wrong[field])
        else:
            part.pop(field, None)
    return ("text" if datatype == "BYTES" else datatype.lower()), request


def assert_refused_or_right(answer: Answer, request: Any) -> None:  # noqa: ANN401  # any JSON
    assert answer.status in {200, 400, 404, 413}, (answer, request)
    if answer.status != 200:
        assert isinstance(answer.json["error"], str)
        assert set(answer.json) == {"error"}
    elif "inference-header-content-length" not in answer.headers:
        json.loads(answer.body, parse_constant=pytest.fail)  # NaN and Infinity are no JSON
        same(answer.json["outputs"], request["inputs"][0]["data"])


def same(outputs: list[Any], data: list[Any]) -> None:
    """All networks that these requests can please give back what they are given."""
    for output in outputs:
        given_, returned = np.array(data).flatten().tolist(), np.array(output["data"]).flatten().tolist()
        assert len(returned) == math.prod(output["shape"])
        kind = {"FP32": np.float32, "FP64": np.float64}.get(output["datatype"])  # which round
        assert returned == (np.array(given_, kind).tolist() if kind else given_)


def test_any_json_is_refused_or_answered_rightly(server: Running) -> None:
    statuses: Counter[int] = Counter()

    @given(asked() | st.tuples(st.just("fixed"), ANY_JSON))
    @EXAMPLES
    def attack(asked: tuple[str, Any]) -> None:
        model, request = asked
        answer = server.infer(model, request)
        assert_refused_or_right(answer, request)
        statuses[answer.status] += 1

    attack()
    assert min(statuses[200], statuses[400]) > 20, statuses  # else it says nothing
    unhurt(server)


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name != "FP16"])
def test_any_number_is_refused_or_comes_back_as_it_was(server: Running, datatype: str) -> None:
    @given(st.lists(ANY_NUMBER, min_size=2, max_size=2))
    @settings(EXAMPLES, max_examples=40)
    def attack(data: list[float]) -> None:
        request = {"inputs": [{"name": "input", "datatype": datatype, "shape": [1, 2], "data": data}]}
        assert_refused_or_right(server.infer(datatype.lower(), request), request)

    attack()
    unhurt(server)


def test_any_division_of_the_body_is_refused_or_answered(server: Running) -> None:
    statuses: Counter[int] = Counter()

    @given(
        st.sampled_from([[], [{"name": "output"}], [{"name": "output", "parameters": {"binary_data": True}}]]),
        st.one_of(RAW, RAW, st.binary(max_size=40)),
        st.one_of(st.none(), st.none(), SIZES),
        st.one_of(st.just(16), st.just(16), SIZES),
    )
    @EXAMPLES
    def attack(outputs: list[Any], tail: bytes, length: int | None, size: int) -> None:
        tensor = {"name": "input", "datatype": "UINT64", "shape": [1, 2], "parameters": {"binary_data_size": size}}
        request = {"inputs": [tensor], "outputs": outputs}
        head = json.dumps(request).encode()
        headers = [("Inference-Header-Content-Length", str(len(head) if length is None else length))]
        answer = server.send("/v2/models/uint64/infer", headers, head + tail)
        statuses[answer.status] += 1
        if answer.status == 200:
            tensor["data"] = np.frombuffer(tail, np.uint64).tolist()
        assert_refused_or_right(answer, request)

    attack()
    assert min(statuses[200], statuses[400]) > 10, statuses  # else it says nothing
    unhurt(server)


CONTENTS = st.builds(
    service_pb2.InferTensorContents,
    bool_contents=st.lists(st.booleans(), max_size=2),
    int_contents=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=2),
    uint_contents=st.lists(st.integers(0, 2**32 - 1), max_size=2),
    fp32_contents=st.lists(st.floats(width=32), max_size=2),
    bytes_contents=st.lists(st.binary(max_size=4), max_size=2),
)
WRONG_MESSAGES = st.builds(
    service_pb2.ModelInferRequest,
    model_version=st.sampled_from(["", "1"]),
    id=st.text(max_size=5),
    outputs=st.lists(st.builds(service_pb2.ModelInferRequest.InferRequestedOutputTensor, name=NAMES), max_size=2),
    raw_input_contents=st.lists(st.binary(max_size=20), max_size=1),
)
WRONG_INPUTS = st.builds(
    service_pb2.ModelInferRequest.InferInputTensor,
    name=st.just("") | NAMES,
    datatype=KINDS,
    shape=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
    contents=st.none() | CONTENTS,
)


@st.composite
def messages(draw: st.DrawFn) -> Any:  # noqa: ANN401  # generated code is not typed
    """A right message of 16 bytes to a model of 8-byte elements; protobuf's merging makes some of them wrong."""
    datatype = draw(st.sampled_from(["INT64", "UINT64", "FP64"]))
    message = service_pb2.ModelInferRequest(model_name=datatype.lower(), raw_input_contents=[draw(RAW)])
    message.inputs.add(name="input", datatype=datatype, shape=[1, 2])
    wrong = draw(st.integers(0, 3))
    if wrong & 1:
        message.MergeFrom(draw(WRONG_MESSAGES))
    if wrong & 2:
        message.inputs[0].MergeFrom(draw(WRONG_INPUTS))
    return message


def code_of(channel: grpc.Channel, method: str, content: bytes) -> StatusCode:
    try:
        channel.unary_unary(f"/inference.GRPCInferenceService/{method}")(content, timeout=5)
    except grpc.RpcError as error:
        code: StatusCode = error.code()
        return code
    return StatusCode.OK


def test_any_message_is_refused_or_answered(server: Running) -> None:
    with grpc.insecure_channel(server.grpc_target) as channel:
        codes: Counter[StatusCode] = Counter()

        @given(messages())
        @EXAMPLES
        def attack(message: Any) -> None:  # noqa: ANN401  # generated code is not typed
            code = code_of(channel, "ModelInfer", message.SerializeToString())
            assert code in THE_CALLERS_FAULT | {StatusCode.OK}
            codes[code] += 1

        attack()
        assert min(codes[StatusCode.OK], codes[StatusCode.INVALID_ARGUMENT]) > 20, codes  # else it says nothing
    unhurt(server)


@pytest.mark.parametrize("method", METHODS)
def test_any_bytes_are_refused_by_every_method_or_answered(server: Running, method: str) -> None:
    with grpc.insecure_channel(server.grpc_target) as channel:

        @given(st.binary(max_size=60))
        @settings(EXAMPLES, max_examples=30)
        def attack(content: bytes) -> None:
            assert code_of(channel, method, content) in THE_CALLERS_FAULT | {StatusCode.OK}

        attack()
    unhurt(server)


@pytest.mark.parametrize("side", ["http", "grpc"])
def test_any_bytes_on_a_connection_hurt_nobody_else(server: Running, side: str) -> None:
    preludes = st.sampled_from([b"", b"POST /v2/models/adder/infer HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])

    @given(preludes, st.binary(max_size=200))
    @settings(EXAMPLES, max_examples=60)
    def attack(prelude: bytes, content: bytes) -> None:
        with socket.create_connection(("127.0.0.1", getattr(server, side)), timeout=5) as connection:
            connection.sendall(prelude + content)

    attack()
    unhurt(server)
