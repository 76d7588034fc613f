"""What the clients' libraries hide: the protocol's JSON and messages themselves, for our server and for MLServer."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc.aio
import tritonclient.http.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.grpc import InferResult, service_pb2, service_pb2_grpc

from .fronts import Front, floats
from .networks import DATATYPES
from .servers import Running, Untyped, version

ROW = floats([1, 2, 3])
TENSOR = {"name": "input", "datatype": "FP32", "shape": [2, 3]}
FIELDS = {
    "BOOL": ("bool_contents", [True, False]),
    "UINT8": ("uint_contents", [0, 255]),
    "UINT16": ("uint_contents", [0, 65_535]),
    "UINT32": ("uint_contents", [0, 2**32 - 1]),
    "UINT64": ("uint64_contents", [0, 2**64 - 1]),
    "INT8": ("int_contents", [-128, 127]),
    "INT16": ("int_contents", [-(2**15), 2**15 - 1]),
    "INT32": ("int_contents", [-(2**31), 2**31 - 1]),
    "INT64": ("int64_contents", [-(2**63), 2**63 - 1]),
    "FP32": ("fp32_contents", [1.5, -0.1]),
    "FP64": ("fp64_contents", [1.5, -0.1]),
}


@pytest.fixture
def channel(server: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc_target) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.Channel) -> Untyped:
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.mark.parametrize("data", [[1, 2.5, -3, 4e10, 5, 6], [[1, 2.5, -3], [4e10, 5, 6]]], ids=["flat", "nested"])
def test_json_data_is_flat_or_nested(server: Running, data: list[Any]) -> None:
    answer = server.infer("fixed", {"id": "7", "inputs": [TENSOR | {"data": data}]})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["model_name"] == "fixed"
    assert answer.json["model_version"] == version(server.models, "fixed")
    assert answer.json["id"] == "7"
    [output] = answer.json["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("output", "FP32", [2, 3])
    assert np.array(output["data"]).flatten().tolist() == [1, 2.5, -3, 4e10, 5, 6]


def test_unknown_parameters_are_taken(server: Running) -> None:
    tensor = TENSOR | {"data": [0] * 6, "parameters": {"content_type": "np"}}
    request = {"inputs": [tensor], "parameters": {"custom": "x", "number": 1, "yes": True}}
    assert server.infer("fixed", request).status == 200


def test_an_error_is_an_object_with_one_text(server: Running) -> None:
    answer = server.infer("nobody", {"inputs": [TENSOR | {"data": [0] * 6}]})
    assert (answer.status, set(answer.json), "nobody" in answer.json["error"]) == (404, {"error"}, True)


def test_health_is_a_status(server: Running) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/adder/ready"):
        assert server.ask("GET", path).status == 200


def test_health_is_also_what_the_specification_has_as_its_body(server: Running) -> None:
    assert server.ask("GET", "/v2/health/live").json["live"] is True
    ready = server.ask("GET", "/v2/health/ready").json
    assert (ready["live"], ready["ready"]) == (True, True)  # the specification says one, its authors' server the other
    assert server.ask("GET", "/v2/models/adder/ready").json == {"name": "adder", "ready": True}


def test_an_unknown_models_readiness_is_a_client_error(server: Running) -> None:
    assert 400 <= server.ask("GET", "/v2/models/nobody/ready").status < 500


def test_the_index_can_be_limited_to_what_is_ready(server: Running) -> None:
    headers = {"Content-Type": "application/json"}
    answer = server.ask("POST", "/v2/repository/index", b'{"ready": true}', headers)
    assert {entry["state"] for entry in answer.json} == {"READY"}


def test_the_index_needs_no_body(server: Running) -> None:
    answer = server.ask("POST", "/v2/repository/index")
    assert (answer.status, len(answer.json)) == (200, len(list(server.models.iterdir())))


@pytest.mark.parametrize("datatype", FIELDS)
def test_typed_contents_are_taken(stub: Untyped, datatype: str) -> None:
    field, values = FIELDS[datatype]
    request = service_pb2.ModelInferRequest(model_name=datatype.lower(), id="9")
    tensor = request.inputs.add(name="input", datatype=datatype, shape=[1, 2])
    getattr(tensor.contents, field).extend(values)
    response = stub.ModelInfer(request, timeout=10)
    assert response.id == "9"
    kind = DATATYPES[datatype][1]
    if response.raw_output_contents:
        returned = np.frombuffer(response.raw_output_contents[0], kind).tolist()
    else:
        returned = list(getattr(response.outputs[0].contents, field))
    assert returned == np.array(values, kind).tolist()


@pytest.mark.parametrize("datatype", FIELDS)
def test_typed_contents_are_answered_in_the_form_that_the_client_library_reads(stub: Untyped, datatype: str) -> None:
    field, values = FIELDS[datatype]
    request = service_pb2.ModelInferRequest(model_name=datatype.lower())
    tensor = request.inputs.add(name="input", datatype=datatype, shape=[1, 2])
    getattr(tensor.contents, field).extend(values)
    returned = InferResult(stub.ModelInfer(request, timeout=10)).as_numpy("output")
    np.testing.assert_array_equal(returned, np.array([values], DATATYPES[datatype][1]))


def test_typed_text_is_taken(stub: Untyped) -> None:
    request = service_pb2.ModelInferRequest(model_name="text")
    tensor = request.inputs.add(name="input", datatype="BYTES", shape=[1, 2])
    tensor.contents.bytes_contents.extend([b"", "猫".encode()])
    assert InferResult(stub.ModelInfer(request, timeout=10)).as_numpy("output").tolist() == [[b"", "猫".encode()]]


def test_raw_contents_are_answered_raw(stub: Untyped) -> None:
    request = service_pb2.ModelInferRequest(model_name="adder", raw_input_contents=[ROW.tobytes(), ROW.tobytes()])
    for name in ("a", "b"):
        request.inputs.add(name=name, datatype="FP32", shape=[1, 3])
    request.outputs.add(name="sum")
    response = stub.ModelInfer(request, timeout=10)
    assert list(response.raw_output_contents) == [(ROW + ROW).tobytes()]
    assert not response.outputs[0].contents.ByteSize()


def test_the_standard_health_service_answers(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", "inference.GRPCInferenceService"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_names_the_services(channel: grpc.Channel) -> None:
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    [answer] = stub.ServerReflectionInfo(iter([asked]), timeout=10)
    named = {service.name for service in answer.list_services_response.service}
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= named


async def gathered(module: Untyped, target: str, front: Front) -> list[np.ndarray]:
    async with module.InferenceServerClient(target) as client:
        assert await client.is_server_ready()
        feeds = [front.inputs({"a": ROW * n, "b": ROW}) for n in range(20)]
        answers = await asyncio.gather(*(client.infer("adder", each, outputs=front.outputs(["sum"])) for each in feeds))
        return [answer.as_numpy("sum") for answer in answers]


def test_the_asynchronous_clients_get_their_own_answers(front: Front, server: Running) -> None:
    module = tritonclient.http.aio if front.is_rest else tritonclient.grpc.aio
    target = server.rest_target if front.is_rest else server.grpc_target
    for n, rows in enumerate(asyncio.run(gathered(module, target, front))):
        np.testing.assert_array_equal(rows, ROW * (n + 1))


def test_json_is_written_as_json(server: Running) -> None:
    answer = server.infer("iris_svc", {"inputs": [TENSOR | {"shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]})
    label, probabilities = sorted(json.loads(answer.body)["outputs"], key=lambda output: str(output["name"]))
    assert (label["datatype"], label["shape"], label["data"]) == ("INT64", [1], [0])
    assert probabilities["data"][0] > 0.9
