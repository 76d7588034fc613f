"""The Open Inference Protocol's REST form: bodies to requests, answers to bodies, JSON and binary data mixed at will.

Source: kserve/open-inference-protocol (inference_rest.md); Triton's binary tensor data, schedule policy and model
repository extensions. Unknown members and parameters are passed over, as the protocol asks for.
"""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ..errors import InvalidRequest
from ..network import Array, Network
from . import tensors

HEADER_LENGTH = b"inference-header-content-length"
"""Header that says where the JSON ends and the binary data begin."""
_JSON, _OCTETS = b"application/json", b"application/octet-stream"
_DIGITS = 19
_Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # without a bound 10**400 is one, and no float
T = TypeVar("T")
_NONE = Raw(b"")  # what a tensor without `data` has


class InputParameters(Struct, frozen=True):
    """Of an input. Shared memory is known only to be refused: the data would be missing."""

    binary_data_size: _Size | None = None
    shared_memory_region: Any = None


class OutputParameters(Struct, frozen=True):
    """Of an output that is asked for. What would change its form, and is not offered, is known to be refused."""

    binary_data: bool | None = None
    classification: Any = None
    shared_memory_region: Any = None


class Parameters(Struct, frozen=True):
    """Of a request. `timeout` is in microseconds, 0 for none."""

    binary_data_output: bool = False
    timeout: _Size = 0


class InputTensor(Struct):
    """One input: its data are in `data`, or binary after the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: InputParameters = InputParameters()
    data: Raw = _NONE


class AskedOutput(Struct):
    """One output that the caller wants."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferenceRequest(Struct):
    """The JSON of a request; without `outputs` all are answered."""

    inputs: list[InputTensor]
    id: str = ""
    parameters: Parameters = Parameters()
    outputs: list[AskedOutput] = []


class OutputTensor(Struct, omit_defaults=True):
    """One output of an answer."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | UnsetType = UNSET
    data: list[Any] | UnsetType = UNSET


class InferenceResponse(Struct, omit_defaults=True):
    """The JSON of an answer; `id` is the request's, if it has one."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    id: str = ""


class Inference(Struct):
    """A request, decoded and checked against the model. `binary`: which of the outputs are answered as binary data."""

    feeds: dict[str, Array]
    outputs: list[str]
    binary: list[bool]
    timeout_s: float | None
    id: str


_decoder = msgspec.json.Decoder(InferenceRequest)
_encoder = msgspec.json.Encoder()


def decode(body: bytes, header_length: Sequence[bytes], network: Network) -> Inference:
    """A request's body, given the values of its HEADER_LENGTH headers. Raises: InvalidRequest."""
    size = _json_size(body, header_length)
    request = read_json(_decoder, memoryview(body)[:size])
    feeds = _feeds(request.inputs, memoryview(body)[size:], network)
    outputs, binary = _outputs(request, network)
    return Inference(feeds, outputs, binary, request.parameters.timeout / 1e6 or None, request.id)


def encode(
    name: str, inference: Inference, arrays: Sequence[Array], network: Network
) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Body and headers of the answer. Raises: InvalidRequest for numbers that JSON cannot carry."""
    datatypes = {tensor.name: tensor.datatype for tensor in network.outputs}
    outputs, blobs = [], []
    for output, binary, array in zip(inference.outputs, inference.binary, arrays, strict=True):
        answer = OutputTensor(output, datatypes[output], list(array.shape))
        if binary:
            blob = tensors.to_raw(array)
            answer.parameters = {"binary_data_size": len(blob)}
            blobs.append(blob)
        else:
            answer.data = tensors.to_values(output, array)
        outputs.append(answer)
    body = _encoder.encode(InferenceResponse(name, network.version, outputs, inference.id))
    headers = [(b"content-type", _OCTETS if blobs else _JSON)]
    if blobs:
        headers.append((HEADER_LENGTH, b"%d" % len(body)))
        body = b"".join((body, *blobs))
    headers.append((b"content-length", b"%d" % len(body)))
    return body, headers


def read_json(decoder: "msgspec.json.Decoder[T]", body: bytes | memoryview) -> T:
    """Decode a JSON body. Raises: InvalidRequest with the place."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The body is not what this route takes: {tensors.reason(error)}.") from None


def _json_size(body: bytes, header_length: Sequence[bytes]) -> int:
    if not header_length:
        return len(body)
    value = header_length[0]
    if len(header_length) > 1 or not value.isdigit() or len(value) > _DIGITS or int(value) > len(body):
        found = b", ".join(header_length)[:40].decode("latin-1")
        raise InvalidRequest(f"Inference-Header-Content-Length is {found!r}; the body has {len(body)} bytes.")
    return int(value)


def _feeds(inputs: Sequence[InputTensor], binary: memoryview, network: Network) -> dict[str, Array]:
    declared = {tensor.name: tensor for tensor in network.inputs}
    tensors.check_names("input", [tensor.name for tensor in inputs], declared, all_of_them=True)
    feeds, at = {}, 0
    for tensor in inputs:
        size = tensor.parameters.binary_data_size
        if tensor.parameters.shared_memory_region is not None:
            raise InvalidRequest(f"Input {tensor.name!r} is in shared memory, which this server does not offer.")
        if (size is None) == (tensor.data is _NONE):
            raise InvalidRequest(f"Input {tensor.name!r} needs either `data` or the parameter `binary_data_size`.")
        if size is None:
            feeds[tensor.name] = tensors.from_json(declared[tensor.name], tensor.datatype, tensor.shape, tensor.data)
            continue
        if at + size > len(binary):
            raise InvalidRequest(
                f"Input {tensor.name!r} needs {size} bytes after the JSON; {len(binary) - at} are left."
            )
        blob = binary[at : at + size]
        feeds[tensor.name] = tensors.from_raw(declared[tensor.name], tensor.datatype, tensor.shape, blob)
        at += size
    if at != len(binary):
        raise InvalidRequest(f"After the JSON are {len(binary)} bytes; the inputs account for {at}.")
    return feeds


def _outputs(request: InferenceRequest, network: Network) -> tuple[list[str], list[bool]]:
    """Names of the outputs to answer, and which of them as binary data."""
    known = [tensor.name for tensor in network.outputs]
    default = request.parameters.binary_data_output
    if not request.outputs:
        return known, [default] * len(known)
    names = [output.name for output in request.outputs]
    tensors.check_names("output", names, known, all_of_them=False)
    for output in request.outputs:
        if output.parameters.classification or output.parameters.shared_memory_region is not None:
            raise InvalidRequest(f"Output {output.name!r} is asked for in a form that this server does not offer.")
    return names, [default if (own := output.parameters.binary_data) is None else own for output in request.outputs]
