"""A model that another process serves, asked over gRPC by the Open Inference Protocol (v2), with raw tensors.

Any server of the protocol will do. The labels come from Triton's model configuration extension, as the parameter
`labels`: a JSON list. Source: github.com/kserve/open-inference-protocol, and Triton's protocol extensions.
"""

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from . import logs
from .errors import BadGateway, DeadlineExceeded, NotReady, OverCapacity, ServiceError
from .metadata import Tensor

# Read when grpc is imported: else it prints beside the logs, and now and then aborts a process that is forked.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
import grpc
import grpc.aio
from tritonclient.grpc import service_pb2 as v2
from tritonclient.grpc import service_pb2_grpc

Array = NDArray[Any]
T = TypeVar("T")
_NUMPY = {
    "BOOL": np.dtype("?"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
} | {
    f"{kind}INT{bits}": np.dtype(f"<{kind.lower() or 'i'}{bits // 8}") for kind in ("", "U") for bits in (8, 16, 32, 64)
}
_DATATYPES = {kind: name for name, kind in _NUMPY.items()}
_OPTIONS = (
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.lb_policy_name", "round_robin"),  # else one connection, to one of the addresses, takes every request
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # else the backoff of another client in this process holds for this one
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),  # 120 s without this, while a server that came back waits
)


class NoSuchModel(NotReady):
    """The server has no model of this name and version (now): it may have another version, or load it later."""


class Declared(NamedTuple):
    """What a served model says of itself. `labels` is empty where its configuration has none."""

    name: str
    version: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    labels: list[str]


class RemoteModel:
    """One model of one server: `target` is host:port, `name` the model's.

    The connection is opened by the first call and belongs to its event loop. It is kept, and opened anew when it broke.

    Every call raises: DeadlineExceeded if there is no answer in time; NoSuchModel; OverCapacity if the server is;
    NotReady if it is not there; BadGateway if it refuses what was sent, or answers what is no answer.
    """

    def __init__(self, target: str, name: str) -> None:
        self.target = target
        self.name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._channel: grpc.aio.Channel | None = None

    async def declared(self, *, timeout_s: float) -> Declared:
        """The name, the newest version, the inputs, the outputs and the labels, within `timeout_s` seconds."""
        stub, end = self._stub(), time.monotonic() + timeout_s
        asked = v2.ModelMetadataRequest(name=self.name)
        found = await self._call(stub.ModelMetadata, asked, timeout_s)
        version = found.versions[-1] if found.versions else ""
        configuration = v2.ModelConfigRequest(name=self.name, version=version)
        config = (await self._call(stub.ModelConfig, configuration, end - time.monotonic())).config
        return Declared(
            found.name, version, _tensors(found.inputs), _tensors(found.outputs), self._labels(config.parameters)
        )

    async def infer(self, batch: Array, declared: Declared, *, timeout_s: float) -> dict[str, Array]:
        """The declared outputs, by name, of a batch of the (first) declared input; shapes are not checked.

        NoSuchModel is raised if the server has another version than the declared one, so that a model that was put in
        its place meanwhile gets nothing that was made for the old one.
        timeout_s: becomes the gRPC deadline, so that the server too stops when nobody waits any more.
        """
        request = v2.ModelInferRequest(
            model_name=self.name, model_version=declared.version, id=logs.request_id.get() or ""
        )
        request.inputs.add(name=declared.inputs[0].name, datatype=_DATATYPES[batch.dtype], shape=batch.shape)
        request.raw_input_contents.append(batch.tobytes())
        for output in declared.outputs:
            request.outputs.add(name=output.name)
        answer = await self._call(self._stub().ModelInfer, request, timeout_s)
        if answer.model_version != declared.version:
            raise self._wrong(f"version {answer.model_version!r} answered, {declared.version!r} was asked")
        return self._decode(answer, declared.outputs)

    async def close(self) -> None:
        """Close the connection; what is in progress on it fails."""
        if self._channel:
            await self._channel.close()
        self._channel = self._loop = None

    def _stub(self) -> service_pb2_grpc.GRPCInferenceServiceStub:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._channel, self._loop = grpc.aio.insecure_channel(self.target, options=_OPTIONS), loop
        return service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def _call(self, method: Callable[..., Awaitable[T]], request: object, timeout_s: float) -> T:
        metadata = (("x-request-id", current),) if (current := logs.request_id.get()) else ()
        try:
            return await method(request, timeout=max(0.0, timeout_s), metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise self._as_service_error(error, timeout_s) from error

    def _as_service_error(self, error: grpc.aio.AioRpcError, timeout_s: float) -> ServiceError:
        said = (
            f"The model server at {self.target} {{}}: {(error.details() or error.code().name)[:300]}".rstrip(".") + "."
        )
        match error.code():
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return DeadlineExceeded(f"The model server at {self.target} did not answer within {timeout_s:.3g} s.")
            case grpc.StatusCode.NOT_FOUND:
                return NoSuchModel(said.format(f"does not have {self.name}"))
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return OverCapacity(said.format("is over capacity"))
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
                return NotReady(said.format("is not available"))
            case _:
                return BadGateway(said.format(f"failed ({error.code().name.lower()})"))

    def _decode(self, answer: v2.ModelInferResponse, declared: list[Tensor]) -> dict[str, Array]:
        names = [tensor.name for tensor in answer.outputs]
        if sorted(names) != sorted(output.name for output in declared) or len(names) != len(answer.raw_output_contents):
            raise self._wrong(f"{len(answer.raw_output_contents)} raw tensors for the outputs {names}")
        datatypes = {output.name: output.datatype for output in declared}
        pairs = zip(answer.outputs, answer.raw_output_contents, strict=True)
        return {tensor.name: self._array(tensor, datatypes[tensor.name], raw) for tensor, raw in pairs}

    def _array(self, tensor: v2.ModelInferResponse.InferOutputTensor, datatype: str, raw: bytes) -> Array:
        dtype, shape = _NUMPY.get(datatype), list(tensor.shape)
        fits = dtype is not None and min(shape, default=0) >= 0 and math.prod(shape) * dtype.itemsize == len(raw)
        if tensor.datatype != datatype or not fits:
            found = f"output {tensor.name} is {tensor.datatype}{shape} in {len(raw)} bytes"
            raise self._wrong(f"{found}, and was declared as {datatype}")
        return np.frombuffer(raw, dtype).reshape(shape)

    def _labels(self, parameters: Any) -> list[str]:  # noqa: ANN401  # a protobuf map
        if "labels" not in parameters:
            return []
        text = parameters["labels"].string_value
        try:
            return msgspec.json.decode(text, type=list[str])
        except msgspec.DecodeError as error:
            raise self._wrong(f"its labels are {text[:100]!r} ({error})") from None

    def _wrong(self, what: str) -> BadGateway:
        return BadGateway(f"The model server at {self.target} gave no usable answer for {self.name}: {what}.")


def _tensors(declared: Any) -> list[Tensor]:  # noqa: ANN401  # a repeated protobuf field
    return [Tensor(name=each.name, datatype=each.datatype, shape=list(each.shape)) for each in declared]
