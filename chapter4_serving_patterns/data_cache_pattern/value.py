"""What is kept of an item: one binary value, which says of itself what it is.

A byte each for the version, the dtype and the number of dimensions; eight for the time in seconds, a float; four for
each dimension; then the tensor's bytes as they lie in memory. Numbers are little-endian. Where there is no tensor the
dtype is 0, and the reason follows in UTF-8.
"""

import math
import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
VERSION = 1
_HEAD = struct.Struct("<BBBd")
_NONE = 0
_DTYPES: dict[int, np.dtype[Any]] = {
    code: np.dtype(name) for code, name in enumerate(("u1", "<i8", "<f2", "<f4", "<f8"), start=1)
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


class Absent(Exception):
    """The source says that the item has no tensor; the text is why."""


class Kind(NamedTuple):
    """What tensors have in common. Who makes them otherwise gives them another name, and neither reads the other's."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def fits(self, tensor: Array) -> bool:
        """Whether the tensor can be one of them."""
        return (tensor.dtype, tensor.shape) == (self.dtype, self.shape)


class Entry(NamedTuple):
    """What is known of one item since `stamp` (seconds since 1970): its tensor, or why it has none."""

    stamp: float
    tensor: Array | None
    reason: str = ""


def encode(entry: Entry) -> bytes:
    """The entry as a value. Raises: KeyError for a tensor of a dtype that has no code."""
    tensor = entry.tensor
    if tensor is None:
        return _HEAD.pack(VERSION, _NONE, 0, entry.stamp) + entry.reason.encode()
    little = tensor.dtype.newbyteorder("<")
    head = _HEAD.pack(VERSION, _CODES[little], tensor.ndim, entry.stamp)
    return head + struct.pack(f"<{tensor.ndim}I", *tensor.shape) + tensor.astype(little, copy=False).tobytes()


def decode(value: bytes | None) -> Entry | None:
    """The entry; None of what is not a whole value of this version, which is worth no more than none.

    The tensor is a view of the value's own bytes, and cannot be written.
    """
    try:
        version, code, dimensions, stamp = _HEAD.unpack_from(value or b"")
        if not value or version != VERSION or not math.isfinite(stamp):
            return None
        if code == _NONE:
            return Entry(stamp, None, value[_HEAD.size :].decode())
        shape = struct.unpack_from(f"<{dimensions}I", value, _HEAD.size)
        body = memoryview(value)[_HEAD.size + 4 * dimensions :]
        return Entry(stamp, np.frombuffer(body, _DTYPES[code]).reshape(shape))
    except (struct.error, KeyError, ValueError):  # too short; no such dtype; a body of another size, or no text
        return None
