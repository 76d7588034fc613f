"""Tensors of the Open Inference Protocol to numpy arrays and back: checked, little-endian, with few copies.

Source: kserve/open-inference-protocol; Triton's binary tensor data extension (for raw bytes).
"""

import math
import re
import struct
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec
import numpy as np

from ..errors import InvalidRequest
from ..metadata import Tensor
from ..network import NUMPY, Array

MAX_SIZE = 2**31 - 1
"""Largest size of a dimension."""
_OPENING = re.compile(rb"(?:\s*\[)*")


def check(declared: Tensor, datatype: str, shape: Sequence[int]) -> int:
    """Compare what a request says of a tensor with what the model declares; the number of elements.

    Raises: InvalidRequest naming tensor, found and expected.
    """
    if datatype != declared.datatype:
        raise InvalidRequest(f"Input {declared.name!r} is {datatype[:20]!r}; the model takes {declared.datatype}.")
    fits = len(shape) == len(declared.shape) and all(
        size == free if free != -1 else 1 <= size <= MAX_SIZE for size, free in zip(shape, declared.shape, strict=True)
    )
    if not fits:
        found = str(list(shape)) if len(shape) <= 8 else f"of {len(shape)} dimensions"
        expected = f"{declared.shape}, where -1 is any size of at least 1"
        raise InvalidRequest(f"Input {declared.name!r} has the shape {found}; the model takes {expected}.")
    return math.prod(shape)


def check_names(what: str, found: Sequence[str], known: Collection[str], *, all_of_them: bool) -> None:
    """Raises: InvalidRequest on a name twice, on one that the model does not have, on a missing one."""
    for name in found:
        if name not in known:
            raise InvalidRequest(f"The model has no {what} {name[:80]!r}; it has {', '.join(known)}.")
    if len(set(found)) != len(found):
        raise InvalidRequest(f"An {what} is named twice among {', '.join(found)}.")
    missing = [name for name in known if name not in found]
    if all_of_them and missing:
        raise InvalidRequest(f"The {what} {', '.join(missing)} is missing.")


def from_raw(declared: Tensor, datatype: str, shape: Sequence[int], content: memoryview) -> Array:
    """The array of an input that came as raw bytes: little-endian, row-major; a text is its length (4 bytes) and UTF-8.

    It is a view of `content` where that lies as numbers must. Raises: InvalidRequest if it is not what the model takes.
    """
    elements = check(declared, datatype, shape)
    if datatype == "BYTES":
        texts = list(_texts(declared.name, content, elements))
        return _array(declared.name, datatype, texts, (elements,)).reshape(shape)
    kind = NUMPY[datatype]
    if len(content) != elements * kind.itemsize:
        expected = f"{elements * kind.itemsize} are {list(shape)} of {datatype}"
        raise InvalidRequest(f"Input {declared.name!r} has {len(content)} bytes of data; {expected}.")
    if datatype == "BOOL" and np.frombuffer(content, np.uint8).max(initial=0) > 1:
        raise InvalidRequest(f"Input {declared.name!r} has bytes that are neither 0 nor 1, and is BOOL.")
    array = np.frombuffer(content, kind).reshape(shape)
    return array if array.flags.aligned else array.copy()


def from_json(declared: Tensor, datatype: str, shape: Sequence[int], data: msgspec.Raw) -> Array:
    """The array of an input whose data came as JSON: flat in row-major order, or nested as deep as its shape.

    Raises: InvalidRequest if it is not what the model takes, element by element.
    """
    elements = check(declared, datatype, shape)
    if datatype == "FP16":
        raise InvalidRequest(f"Input {declared.name!r} is FP16, which has no form in JSON: send it as binary data.")
    opening = _OPENING.match(bytes(data))
    depth = opening.group().count(b"[") if opening else 0
    if depth not in (1, len(shape)):
        raise InvalidRequest(
            f"The data of input {declared.name!r} are nested {depth} deep: make them flat, or {len(shape)} deep."
        )
    try:
        values = _decoder(datatype, depth).decode(data)
    except (msgspec.DecodeError, ValueError) as error:  # ValueError: text that is not UTF-8
        raise InvalidRequest(f"The data of input {declared.name!r} are not {datatype}: {reason(error)}.") from None
    return _array(declared.name, datatype, values, tuple(shape) if depth == len(shape) else (elements,)).reshape(shape)


def from_values(declared: Tensor, datatype: str, shape: Sequence[int], values: Sequence[Any]) -> Array:
    """The array of an input that came as a flat typed sequence (gRPC), texts as UTF-8. Raises: InvalidRequest."""
    elements = check(declared, datatype, shape)
    if datatype == "BYTES":
        values = [_text(declared.name, value) for value in values]
    return _array(declared.name, datatype, values, (elements,)).reshape(shape)


def to_raw(array: Array) -> bytes | memoryview:
    """The raw bytes of an output, without a copy where it is laid out as the protocol wants it."""
    if array.dtype != NUMPY["BYTES"]:
        return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data.cast("B")
    texts = [str(text).encode() for text in array.ravel()]
    return b"".join(part for text in texts for part in (struct.pack("<I", len(text)), text))


def to_values(name: str, array: Array) -> list[Any]:
    """The elements of an output for JSON, flat in row-major order.

    Raises: InvalidRequest if they are not all finite: JSON has no such number.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidRequest(f"Output {name!r} is not finite, and JSON has no such numbers: ask for binary data.")
    return array.ravel().tolist()


def reason(error: Exception) -> str:
    """What a decoder complains of, as part of a sentence."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    found = str(error)
    return found if found.startswith("JSON") else found[:1].lower() + found[1:]


def _array(name: str, datatype: str, values: Sequence[Any], shape: tuple[int, ...]) -> Array:
    try:
        if datatype == "UINT8" and len(shape) == 1:
            array = np.frombuffer(bytes(values), np.uint8)  # pictures: a third of the time
        else:
            array = np.array(values, NUMPY[datatype])
    except (ValueError, OverflowError) as error:  # ragged, or beyond the type
        raise InvalidRequest(f"The data of input {name!r} are not {datatype}: {reason(error)}.") from None
    if array.shape != shape:  # also how ragged texts show
        raise InvalidRequest(f"The data of input {name!r} are of the shape {list(array.shape)}, not {list(shape)}.")
    return array


def _texts(name: str, content: memoryview, elements: int) -> Iterator[str]:
    at = 0
    for _ in range(elements):
        size = int.from_bytes(content[at : at + 4], "little")
        if len(content) - at < 4 + size:
            raise InvalidRequest(f"The data of input {name!r} end within an element: {len(content)} bytes.")
        yield _text(name, content[at + 4 : at + 4 + size])
        at += 4 + size
    if at != len(content):
        raise InvalidRequest(f"Input {name!r} has {len(content)} bytes of data; its {elements} elements end at {at}.")


def _text(name: str, content: bytes | memoryview) -> str:
    try:
        return bytes(content).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"An element of input {name!r} is not UTF-8: {error.reason}.") from None


@lru_cache
def _decoder(datatype: str, depth: int) -> msgspec.json.Decoder[Any]:
    kind: Any = int if "INT" in datatype else element(datatype)  # numpy refuses what is out of bounds, and sooner
    for _ in range(depth):
        kind = list[kind]
    return msgspec.json.Decoder(kind)


def element(datatype: str) -> Any:  # noqa: ANN401  # a type
    """The type of one element in JSON, with its bounds, for msgspec."""
    if datatype in ("BOOL", "BYTES"):
        return bool if datatype == "BOOL" else str
    if datatype.startswith("FP"):
        limit = float(np.finfo(NUMPY[datatype]).max)
        return Annotated[float, msgspec.Meta(ge=-limit, le=limit)]
    bounds = np.iinfo(NUMPY[datatype])
    if datatype == "UINT64":  # msgspec takes no bound beyond int64; what is above, numpy refuses
        return Annotated[int, msgspec.Meta(ge=0)]
    return Annotated[int, msgspec.Meta(ge=int(bounds.min), le=int(bounds.max))]
