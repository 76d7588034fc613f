"""A memory in a dictionary, that can be told to fail, and a model that counts what it is asked."""

import asyncio

from ..cache import Outcome
from ..key import Scopes
from ..memory import Claim, Found, Unavailable


class Dictionary:
    """A Store of this process. Several caches may share one, as processes share Redis. Nothing ends by itself, but a
    claim that somebody has waited for long enough.
    """

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.kept_s: dict[str, float] = {}
        self.claims: set[str] = set()
        self.marks: dict[str, float] = {}
        self.fail = ""
        self.refuse_writes = ""

    async def get(self, key: str, scopes: Scopes) -> Found:
        await self._ask(self.fail)
        model, item = scopes
        return Found(self.contents.get(key), (self.marks.get(model, 0.0), self.marks.get(item, 0.0)))

    async def put(self, key: str, content: bytes, keep_s: float) -> None:
        await self._ask(self.fail or self.refuse_writes)
        self.contents[key], self.kept_s[key] = content, keep_s
        self.claims.discard(key)

    async def claim(self, key: str, seen: bytes | None, for_s: float) -> Claim:  # noqa: ARG002
        await self._ask(self.fail or self.refuse_writes)
        if self.contents.get(key) != seen:
            return Claim.CHANGED
        if key in self.claims:
            return Claim.ANOTHERS
        self.claims.add(key)
        return Claim.OURS

    async def release(self, key: str) -> None:
        await self._ask(self.fail)
        self.claims.discard(key)

    async def wait(self, key: str, within_s: float) -> None:  # noqa: ARG002
        for _ in range(100):
            if key not in self.claims:
                return
            await self._ask(self.fail)
        self.claims.discard(key)

    async def mark(self, scope: str, keep_s: float) -> None:  # noqa: ARG002
        await self._ask(self.fail)
        self.marks[scope] = self.marks.get(scope, 0.0) + 1

    async def _ask(self, reason: str) -> None:
        await asyncio.sleep(0)  # others have their turn, as with a real one
        if reason:
            raise Unavailable(reason)


class Model:
    """Computes b"1", b"2", …; waits for `go` if that is set to be awaited."""

    def __init__(self) -> None:
        self.calls = 0
        self.refuses = False
        self.fails: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> Outcome:
        self.calls += 1
        content = b"%d" % self.calls
        await self.go.wait()
        if self.fails:
            raise self.fails
        return Outcome(content, self.refuses)
