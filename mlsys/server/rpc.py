"""The Open Inference Protocol's methods over gRPC: messages to inferences and back.

Source: Triton's grpc_service.proto, of which kserve/open-inference-protocol is the part that all servers have.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from google.protobuf.json_format import ParseDict
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc import service_pb2 as v2

from ..errors import InvalidRequest, NotFound
from ..metadata import Tensor
from ..network import Array
from . import facts, tensors
from .repository import Repository, Served

SERVICE = v2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
Message = Any
"""A protobuf message of the stubs, which have no types."""
Method = Callable[[Message, float], Awaitable[Message]]
"""From a request and the seconds it has, to the answer."""
_CONTENTS = {
    "BOOL": "bool_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_CONTENTS |= {f"INT{bits}": "int_contents" for bits in (8, 16, 32)}
_CONTENTS |= {f"UINT{bits}": "uint_contents" for bits in (8, 16, 32)}
_FORMS = ("classification", "shared_memory_region")


class Methods:
    """The methods that are offered. They raise what mlsys.server.repository does, and InvalidRequest."""

    def __init__(self, models: Repository) -> None:
        self._models = models

    def by_name(self) -> dict[str, Method]:
        """Each method by its name in the protocol."""
        return {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "ModelInfer": self._model_infer,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }

    async def _model_infer(self, request: Message, remaining_s: float) -> Message:
        served = self._models.get(request.model_name, request.model_version)
        feeds = _feeds(request, served.network.inputs)
        outputs = _outputs(request, served.network.outputs)
        arrays = await served.infer(feeds, outputs, min(_timeout_s(request), remaining_s))
        return _answer(request, served, outputs, arrays)

    async def _server_live(self, _: Message, __: float) -> Message:
        return v2.ServerLiveResponse(live=True)

    async def _server_ready(self, _: Message, __: float) -> Message:
        return v2.ServerReadyResponse(ready=True)

    async def _server_metadata(self, _: Message, __: float) -> Message:
        return v2.ServerMetadataResponse(**facts.server(self._models))

    async def _model_ready(self, request: Message, _: float) -> Message:
        try:
            self._models.get(request.name, request.version)
        except NotFound:
            return v2.ModelReadyResponse(ready=False)
        return v2.ModelReadyResponse(ready=True)

    async def _model_metadata(self, request: Message, _: float) -> Message:
        found = facts.metadata(self._models.get(request.name, request.version))
        return ParseDict(found, v2.ModelMetadataResponse())

    async def _model_config(self, request: Message, _: float) -> Message:
        found = facts.configuration(self._models.get(request.name, request.version))
        return v2.ModelConfigResponse(config=ParseDict(found, model_config_pb2.ModelConfig()))

    async def _model_statistics(self, request: Message, _: float) -> Message:
        served = [self._models.get(request.name, request.version)] if request.name else self._models
        found = {"model_stats": [facts.statistics(one) for one in served]}
        return ParseDict(found, v2.ModelStatisticsResponse())

    async def _index(self, request: Message, _: float) -> Message:
        entries = [entry._asdict() for entry in self._models.index(ready=request.ready)]
        return v2.RepositoryIndexResponse(models=entries)

    async def _load(self, request: Message, _: float) -> Message:
        await self._models.load(request.model_name, list(request.parameters))
        return v2.RepositoryModelLoadResponse()

    async def _unload(self, request: Message, _: float) -> Message:
        await self._models.unload(request.model_name)
        return v2.RepositoryModelUnloadResponse()


def _feeds(request: Message, declared: Sequence[Tensor]) -> dict[str, Array]:
    known = {tensor.name: tensor for tensor in declared}
    inputs, raw = request.inputs, request.raw_input_contents
    tensors.check_names("input", [tensor.name for tensor in inputs], known, all_of_them=True)
    if raw and len(raw) != len(inputs):
        raise InvalidRequest(f"The request has {len(inputs)} inputs and {len(raw)} raw contents.")
    feeds = {}
    for at, tensor in enumerate(inputs):
        if tensor.parameters and "shared_memory_region" in tensor.parameters:
            raise InvalidRequest(f"Input {tensor.name!r} is in shared memory, which this server does not offer.")
        if raw and tensor.HasField("contents"):
            raise InvalidRequest(f"Input {tensor.name!r} has contents, and the request has raw contents too: send one.")
        place, datatype, shape = known[tensor.name], tensor.datatype, list(tensor.shape)
        if raw:
            feeds[tensor.name] = tensors.from_raw(place, datatype, shape, memoryview(raw[at]))
        else:
            feeds[tensor.name] = tensors.from_values(place, datatype, shape, _values(tensor))
    return feeds


def _values(tensor: Message) -> list[Any]:
    field = _CONTENTS.get(tensor.datatype)
    filled = [descriptor.name for descriptor, _ in tensor.contents.ListFields()]
    if field is None or filled != [field]:
        expected = field or "raw_input_contents"
        found = " and ".join(filled) or "no contents"
        name, datatype = tensor.name[:80], tensor.datatype[:20]
        raise InvalidRequest(f"Input {name!r} has {found}; the data of {datatype!r} belong into {expected}.")
    return list(getattr(tensor.contents, field))


def _outputs(request: Message, declared: Sequence[Tensor]) -> list[str]:
    known = [tensor.name for tensor in declared]
    if not request.outputs:
        return known
    names = [output.name for output in request.outputs]
    tensors.check_names("output", names, known, all_of_them=False)
    for output in request.outputs:
        if output.parameters and any(form in output.parameters for form in _FORMS):
            raise InvalidRequest(f"Output {output.name!r} is asked for in a form that this server does not offer.")
    return names


def _timeout_s(request: Message) -> float:
    """Triton's parameter `timeout`, microseconds; infinite if there is none, or 0."""
    if not request.parameters or "timeout" not in request.parameters:
        return float("inf")
    parameter = request.parameters["timeout"]
    kind = parameter.WhichOneof("parameter_choice")
    if kind not in ("int64_param", "uint64_param") or getattr(parameter, kind) < 0:
        raise InvalidRequest("The parameter `timeout` must be a whole number of microseconds, 0 for none.")
    return getattr(parameter, kind) / 1e6 or float("inf")


def _answer(request: Message, served: Served, outputs: list[str], arrays: Sequence[Array]) -> Message:
    """Always with raw contents: Triton's client reads no others."""
    datatypes = {tensor.name: tensor.datatype for tensor in served.network.outputs}
    answer = v2.ModelInferResponse(model_name=served.name, model_version=served.network.version, id=request.id)
    for name, array in zip(outputs, arrays, strict=True):
        answer.outputs.add(name=name, datatype=datatypes[name], shape=array.shape)
        answer.raw_output_contents.append(bytes(tensors.to_raw(array)))
    return answer
