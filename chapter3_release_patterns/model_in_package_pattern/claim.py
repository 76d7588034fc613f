"""What the build wrote into a model package about its model, and whether the model that is there now is still that one.

A wheel's RECORD has digests too, but not everything that repackages a wheel keeps it.
"""

import hashlib
import zipfile
import zlib
from importlib.resources.abc import Traversable

import msgspec

from mlsys.errors import ModelError

MODEL, CLAIM = "model.onnx", "model.json"


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of model.json. version: the package's, so that files and metadata of two versions do not pass."""

    name: str
    version: str
    sha256: str
    size_bytes: int

    @classmethod
    def of(cls, name: str, version: str, content: bytes) -> "Claim":
        """What is to be written down of a model file."""
        return cls(name, version, hashlib.sha256(content).hexdigest(), len(content))


def model(files: Traversable, name: str, version: str) -> bytes:
    """The content of the model file beside a claim, in the package `version` of the model `name`.

    Raises: ModelError with the reason alone, if either file cannot be read, or they do not belong together.
    """
    try:
        claim = msgspec.json.decode(_read(files / CLAIM), type=Claim)
    except msgspec.DecodeError as error:
        raise ModelError(f"its {CLAIM} is not what the build writes: {error}") from error
    content = _read(files / MODEL, max(0, claim.size_bytes) + 1)  # one more tells, and a zip bomb stays packed
    found = Claim.of(name, version, content)
    for what in ("name", "version", "size_bytes", "sha256"):
        written, is_there = getattr(claim, what), getattr(found, what)
        if written != is_there:
            more = " or more" if what == "size_bytes" and is_there > written else ""
            raise ModelError(f"its model was built with the {what} {written} and now has {is_there}{more}")
    return content


def _read(file: Traversable, at_most: int = -1) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(at_most)
    except (OSError, zipfile.BadZipFile, zlib.error) as error:  # it may be read out of a wheel
        said = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"its {file.name} cannot be read ({said.lower()})") from error
