"""The three ways to send a picture, and the decoding of them: off the event loop, a bounded number at a time."""

import asyncio
import base64
import binascii
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlsys.endpoint import decode
from mlsys.errors import InvalidInput, UnsupportedMediaType
from mlsys.picture import to_pixels

from .form import file_in


class Picture(msgspec.Struct, forbid_unknown_fields=True):
    """`data` is a picture's file in base64, with or without a data URL's beginning."""

    data: Annotated[str, msgspec.Meta(min_length=1)]


class Upload(NamedTuple):
    """A request's body, and what it says it is."""

    content_type: str
    body: bytes


class Decoder:
    """Turns uploads into pixels in threads of its own; Pillow works without the interpreter's lock."""

    def __init__(self, threads: int, max_pixels: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "decode")
        self._max_pixels = max_pixels

    async def __call__(self, upload: Upload) -> NDArray[np.uint8]:
        """The pixels [32, 32, 3]. Raises: InvalidJson, InvalidInput, UnsupportedMediaType, PayloadTooLarge."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._pixels, upload)

    def _pixels(self, upload: Upload) -> NDArray[np.uint8]:
        return to_pixels(picture(upload), max_pixels=self._max_pixels)


def require_known(content_type: str) -> None:
    """Raises: UnsupportedMediaType, so that a body of another kind need not be received."""
    kind = _kind(content_type)
    if kind not in ("application/json", "multipart/form-data") and not kind.startswith("image/"):
        said = f"not {content_type[:80]!r}" if content_type else "the request has none"
        raise UnsupportedMediaType(
            f"Content-Type must be application/json, multipart/form-data or that of a picture (image/…); {said}."
        )


def picture(upload: Upload) -> bytes:
    """The picture's file in an upload of a known type. Raises: InvalidJson, InvalidInput."""
    match _kind(upload.content_type):
        case "application/json":
            return _from_base64(decode(_PICTURE, upload.body).data)
        case "multipart/form-data":
            return file_in(upload.content_type, upload.body)
        case _:
            return upload.body


_PICTURE = msgspec.json.Decoder(Picture)


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _from_base64(data: str) -> bytes:
    if data.startswith("data:"):
        data = data.partition(",")[2]
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:  # a ValueError of text that is not ASCII
        reason = str(error)
        raise InvalidInput(f"`data` is not base64: {reason[0].lower()}{reason[1:]} - at `$.data`.") from None
