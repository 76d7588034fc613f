"""What the cache asks of a memory that several processes share: here Redis, in tests a dictionary."""

from enum import StrEnum
from typing import NamedTuple, Protocol

from .entry import Marks
from .key import Scopes


class Unavailable(Exception):
    """The memory cannot be used now. reason: down, slow, full, refused, or large for a content that is too long."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Found(NamedTuple):
    """The bytes under a key, if any, and the marks of the last invalidations of its scopes."""

    content: bytes | None
    marks: Marks


class Claim(StrEnum):
    """Who computes: this caller; another, who has begun; or nobody, for there is something new under the key."""

    OURS = "ours"
    ANOTHERS = "anothers"
    CHANGED = "changed"


class Store(Protocol):
    """Every method raises Unavailable, and soon."""

    async def get(self, key: str, scopes: Scopes) -> Found:
        """What is there, and whether it was invalidated, in one round trip."""

    async def put(self, key: str, content: bytes, keep_s: float) -> None:
        """Keep the bytes for so many seconds at most, and let the claim on the key go."""

    async def claim(self, key: str, seen: bytes | None, for_s: float) -> Claim:
        """Ask to be the one who computes, for so many seconds; `seen` is what `get` has found."""

    async def release(self, key: str) -> None:
        """Let the claim go without a result."""

    async def wait(self, key: str, within_s: float) -> None:
        """Return when nobody has a claim on the key, at the latest after so many seconds."""

    async def mark(self, scope: str, keep_s: float) -> None:
        """Invalidate the scope now, and know it for so many seconds."""
