"""The same request in the protocol's three forms, and the tensor out of each answer."""

import http.client
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import grpc
import msgspec
import numpy as np
from tritonclient.grpc import service_pb2

from .grpc_load import METHOD, TIMEOUT_S
from .networks import Array, Case

Form = Literal["grpc", "binary", "json"]
TITLES: dict[Form, str] = {"grpc": "gRPC, raw", "binary": "REST, binary", "json": "REST, JSON"}
LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Request:
    """What is sent: to `path` with `headers`, or by gRPC, where both are empty."""

    form: Form
    path: str
    headers: dict[str, str]
    body: bytes


def request(form: Form, case: Case, row: Array) -> Request:
    """One row for one output, as the smallest request that says so."""
    tensor = {"name": "input", "shape": [1, *row.shape], "datatype": case.datatype}
    path = f"/v2/models/{case.name}/infer"
    if form == "json":
        content = {"inputs": [tensor | {"data": row.ravel().tolist()}], "outputs": [{"name": case.output}]}
        return Request(form, path, {"Content-Type": "application/json"}, msgspec.json.encode(content))
    if form == "binary":
        inputs = [tensor | {"parameters": {"binary_data_size": row.nbytes}}]
        outputs = [{"name": case.output, "parameters": {"binary_data": True}}]
        head = msgspec.json.encode({"inputs": inputs, "outputs": outputs})
        headers = {"Content-Type": "application/octet-stream", LENGTH: str(len(head))}
        return Request(form, path, headers, head + row.tobytes())
    message = service_pb2.ModelInferRequest(model_name=case.name, raw_input_contents=[row.tobytes()])
    message.inputs.add(**tensor)
    message.outputs.add(name=case.output)
    return Request(form, "", {}, message.SerializeToString())


def ask(request: Request, ports: Sequence[int]) -> Array:
    """The one output as it was answered. `ports`: REST, gRPC.

    Raises: OSError, HTTPException, grpc.RpcError, or ValueError with the answer if it is no success.
    """
    if request.form == "grpc":
        with grpc.insecure_channel(f"127.0.0.1:{ports[1]}") as channel:
            message = service_pb2.ModelInferResponse.FromString(
                channel.unary_unary(METHOD)(request.body, timeout=TIMEOUT_S)
            )
        return _floats(message.raw_output_contents[0])
    connection = http.client.HTTPConnection("127.0.0.1", ports[0], timeout=TIMEOUT_S)
    try:
        connection.request("POST", request.path, request.body, request.headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise ValueError(f"status {answer.status}: {content.decode(errors='replace')[:200]}")
    if request.form == "binary":
        return _floats(content[int(answer.headers[LENGTH]) :])
    return np.array(msgspec.json.decode(content)["outputs"][0]["data"], np.float32)


def _floats(content: bytes) -> Array:
    return np.frombuffer(content, "<f4")
