"""A result as it is kept in Redis: a JSON array, with the model that it is of.

It has no more than 64 bytes, with which Redis keeps a whole record in half the memory (hash-max-listpack-value).
"""

from typing import Literal, Self

import msgspec


class Prediction(msgspec.Struct, frozen=True, array_like=True):
    """The class of a picture, its probability (0 to 1), and the name and the version of the model that says so."""

    label: str
    probability: float
    model: str
    version: str
    v: Literal[1] = 1

    def encode(self) -> bytes:
        """As it is kept."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, content: bytes) -> Self | None:
        """What was kept, or None if it is damaged or of another form."""
        try:
            return msgspec.json.decode(content, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
