"""The ways to have an item's tensor: make it, or get it from Redis in one form or another."""

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from chapter4_serving_patterns.data_cache_pattern.value import Entry, decode, encode
from mlsys.redis import BlockingRedis

SIDES = (32, 224)
BATCH = 8
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
"""Of ImageNet, by channel, as the book's networks want them."""
Tensor = NDArray[Any]


def pixels(file: Path, side: int) -> NDArray[np.uint8]:
    """A picture's file as uint8 [side, side, 3]."""
    with Image.open(io.BytesIO(file.read_bytes())) as image:
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC))


def floats(file: Path, side: int) -> NDArray[np.float32]:
    """The same as float32 [1, 3, side, side], scaled, as the book keeps it."""
    scaled = (pixels(file, side).astype(np.float32) / np.float32(255) - MEAN) / STD
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[np.newaxis])


@dataclass(frozen=True)
class Way:
    """make: from a file and a side. to_bytes, from_bytes: the form in Redis; without them there is no cache."""

    name: str
    make: Callable[[Path, int], Tensor]
    to_bytes: Callable[[Tensor], bytes] | None = None
    from_bytes: Callable[[bytes], Tensor] | None = None


def _as_json(tensor: Tensor) -> bytes:
    return json.dumps(tensor.tolist()).encode()


def _of_json(value: bytes) -> Tensor:
    return np.array(json.loads(value), np.float32)


def _as_value(tensor: Tensor) -> bytes:
    return encode(Entry(time.time(), tensor))


def _of_value(value: bytes) -> Tensor:
    entry = decode(value)
    assert entry  # noqa: S101  # or what follows measures nothing
    return cast("Tensor", entry.tensor)


NONE, JSON, BINARY, OURS = WAYS = (
    Way("no cache: read and decode the picture", floats),
    Way("JSON list of floats (the book's way)", floats, _as_json, _of_json),
    Way("the same floats, binary", floats, _as_value, _of_value),
    Way("the pixels, binary (this pattern)", pixels, _as_value, _of_value),
)


class Kept:
    """One way for one size, with the item in Redis under BATCH keys."""

    def __init__(self, way: Way, side: int, file: Path, redis: BlockingRedis) -> None:
        self.way, self._side, self._file, self._redis = way, side, file, redis
        self.tensor = way.make(file, side)
        self._keys = [f"{{items}}:{way.name}:{side}:{number}" for number in range(BATCH)]
        self.size = 0
        if way.to_bytes:
            value = way.to_bytes(self.tensor)
            self.size = len(value)
            redis.mset(dict.fromkeys(self._keys, value))

    def read(self) -> Tensor:
        """The tensor, as a prediction needs it."""
        if not self.way.from_bytes:
            return self.way.make(self._file, self._side)
        return self.way.from_bytes(cast("bytes", self._redis.get(self._keys[0])))

    def read_several(self) -> list[Tensor]:
        """BATCH tensors; from Redis in one round trip."""
        if not self.way.from_bytes:
            return [self.read() for _ in self._keys]
        return [self.way.from_bytes(value) for value in cast("list[bytes]", self._redis.mget(self._keys))]

    def write(self) -> None:
        """Keep the tensor, which is there already."""
        if self.way.to_bytes:
            self._redis.set(self._keys[0], self.way.to_bytes(self.tensor))


def require_same(kept: list[Kept]) -> None:
    """Raises: RuntimeError if a way does not give back what it was given."""
    for each in kept:
        for found in (each.read(), *each.read_several()):
            alike = (found.dtype, found.shape) == (each.tensor.dtype, each.tensor.shape)
            if not (alike and np.array_equal(found, each.tensor)):
                raise RuntimeError(f"{each.way.name} gives another tensor back than it was given.")
