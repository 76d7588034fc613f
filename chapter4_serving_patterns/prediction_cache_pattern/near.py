"""A small memory in the process, before the one in Redis: no round trip, and an invalidation that is heard late."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from .key import Scopes
from .memory import Claim, Found, Store


class _Near(NamedTuple):
    found: Found
    until: float


class Near:
    """A Store before another one. It answers what that one said at most `keep_s` seconds ago, of `entries` keys.

    For so long this process may also answer what was invalidated through another.
    """

    def __init__(
        self, store: Store, *, entries: int, keep_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._entries, self._keep_s, self._clock = store, entries, keep_s, clock
        self._known: OrderedDict[str, _Near] = OrderedDict()
        self._cleared = 0

    async def get(self, key: str, scopes: Scopes) -> Found:
        """As Store."""
        near = self._known.get(key)
        if near and self._clock() < near.until:
            self._known.move_to_end(key)
            return near.found
        cleared = self._cleared
        found = await self._store.get(key, scopes)
        if found.content and cleared == self._cleared:  # else it may be from before the invalidation
            self._known[key] = _Near(found, self._clock() + self._keep_s)
            self._known.move_to_end(key)
            if len(self._known) > self._entries:
                self._known.popitem(last=False)
        return found

    async def put(self, key: str, content: bytes, keep_s: float) -> None:
        """As Store."""
        self._known.pop(key, None)
        await self._store.put(key, content, keep_s)

    async def claim(self, key: str, seen: bytes | None, for_s: float) -> Claim:
        """As Store. What follows is read from there."""
        self._known.pop(key, None)
        return await self._store.claim(key, seen, for_s)

    async def release(self, key: str) -> None:
        """As Store."""
        await self._store.release(key)

    async def wait(self, key: str, within_s: float) -> None:
        """As Store."""
        await self._store.wait(key, within_s)

    async def mark(self, scope: str, keep_s: float) -> None:
        """As Store; this process forgets all that it knows, which is little."""
        await self._store.mark(scope, keep_s)
        self._known.clear()
        self._cleared += 1
