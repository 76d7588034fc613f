"""The lesson: the tensors of items, kept where every process finds them, so that a prediction need not wait for data.

Age decides. A young tensor is used; an older one is used too, and renewed in the background; one that is too old is
fetched anew while the caller waits, or refused. What was fetched is stored after the caller has been served, and that
an item has no tensor is remembered too, for a short time. Several ids are one round trip. Without Redis all goes on,
slower: after a pause one request asks it again, and the others do not wait for that.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from mlsys.errors import NotReady, ServiceError
from mlsys.redis import Redis, answering

from .flights import Flights
from .value import Absent, Array, Entry, Kind, decode, encode

SKEW_S = 60.0  # by which the clock of another machine may be ahead; what is from a later time is not believed
NEVER = float("-inf")
Known = dict[str, Entry | None]
Fetch = Callable[[str], Awaitable[Array]]
Tell = Callable[[str], object]


class Policy(NamedTuple):
    """Times in seconds. A tensor is young until `renew_s`, usable until `expire_s`, and until `keep_s` known as too
    old; for `absent_s` it is believed that there is none. For `pause_s` a Redis that failed is left alone.
    """

    renew_s: float
    expire_s: float
    keep_s: float
    absent_s: float
    pause_s: float = 1.0
    refuse_expired: bool = False  # else the caller waits
    fetches: int = 8  # at a time


class Found(NamedTuple):
    """An item's tensor, or None and the reason; the seconds since the source was asked, and how it was found: as a hit,
    stale (a hit that is being renewed), or fetched after a miss, expired, or as a bypass of the cache, maybe down.
    """

    tensor: Array | None
    reason: str
    age_s: float
    how: str


class TensorCache:
    """Tensors of one kind, by item id. `flights` must be closed at the end.

    fetch: gets one from its source. Raises: Absent, or a ServiceError that says why it cannot now.
    clock: seconds since 1970. tell: is told how each was found, absent, refused, filled, not filled and not fetched.
    """

    def __init__(
        self, redis: Redis, fetch: Fetch, kind: Kind, policy: Policy, clock: Callable[[], float], tell: Tell
    ) -> None:
        self._redis, self._fetch, self._kind = redis, fetch, kind
        self._policy, self._clock, self._tell = policy, clock, tell
        self._slots = asyncio.Semaphore(policy.fetches)
        self._failed_at = NEVER
        self.flights: Flights[Entry] = Flights(lambda: tell("not fetched"))

    async def get(self, ids: Sequence[str], *, renew: bool = False) -> dict[str, Found | ServiceError]:
        """What there is of each id, or why nothing can be said of it now. renew: the cache is not asked, but filled."""
        known = None if renew else await self._read(ids)
        found = await asyncio.gather(*(self._one(item, known, renew) for item in ids), return_exceptions=True)
        for each in found:
            if isinstance(each, Found):
                self._tell("absent" if each.tensor is None else each.how)
            elif not isinstance(each, ServiceError):
                raise each
        return dict(zip(ids, found, strict=True))  # type: ignore[arg-type]  # the others are raised

    async def warm(self, ids: Sequence[str]) -> None:
        """Fetch of these what the cache does not have young; what cannot be fetched now is left to the next time."""
        known = await self._read(ids) or {}  # nothing while Redis is away: there is nothing to fill
        old = [item for item, entry in known.items() if self._age(entry) >= self._policy.renew_s]
        await asyncio.gather(*(self.flights.join(item, self._fetched) for item in old), return_exceptions=True)

    async def _one(self, item: str, known: Known | None, renew: bool) -> Found:
        entry, policy, how = known[item] if known else None, self._policy, "miss" if known else "bypass"
        age = self._age(entry)
        if entry and entry.tensor is None and age < policy.absent_s:
            return Found(None, entry.reason, age, "hit")
        if entry and entry.tensor is not None:
            if age < policy.renew_s:
                return Found(entry.tensor, "", age, "hit")
            self.flights.join(item, self._fetched)
            if age < policy.expire_s:
                return Found(entry.tensor, "", age, "stale")
            if policy.refuse_expired:
                self._tell("refused")
                raise NotReady(f"What is known of item {item} is {age:.0f} s old, and is being renewed; try again.")
            how = "expired"
        new = await self.flights.result(item, self._fetched, anew=renew)
        return Found(new.tensor, new.reason, self._age(new), how)

    async def _fetched(self, item: str) -> Entry:
        async with self._slots:
            stamp = self._clock()  # before the source is asked, so that nothing is younger than it seems
            try:
                entry = Entry(stamp, await self._fetch(item))
            except Absent as absent:
                entry = Entry(stamp, None, str(absent))
        self.flights.start(self._fill(item, entry))
        return entry

    async def _fill(self, item: str, entry: Entry) -> None:
        keep_s = self._policy.absent_s if entry.tensor is None else self._policy.keep_s
        told = "not filled"  # Redis is away, or full: who asks next fetches again
        if not self._is_away():
            with contextlib.suppress(NotReady), answering():
                await self._redis.set(self._key(item), encode(entry), px=int(keep_s * 1000))
                told = "filled"
        self._tell(told)

    async def _read(self, ids: Sequence[str]) -> Known | None:
        """What the cache has of each; None if it does not answer."""
        if self._is_away():
            return None
        if self._failed_at > NEVER:  # the pause is over: one finds out, and the others go on without
            self._failed_at = self._clock()
        try:
            with answering():
                values: list[Any] = await self._redis.mget([self._key(item) for item in ids])
        except NotReady:
            self._failed_at = self._clock()
            return None
        self._failed_at = NEVER
        return {item: self._usable(decode(value)) for item, value in zip(ids, values, strict=True)}

    def _usable(self, entry: Entry | None) -> Entry | None:
        """What can be one of ours: a value of another kind, or from the future, is worth no more than none."""
        ours = entry and (entry.tensor is None or self._kind.fits(entry.tensor))
        return entry if entry and ours and entry.stamp <= self._clock() + SKEW_S else None

    def _is_away(self) -> bool:
        return 0 <= self._clock() - self._failed_at < self._policy.pause_s

    def _age(self, entry: Entry | None) -> float:
        return max(0.0, self._clock() - entry.stamp) if entry else float("inf")

    def _key(self, item: str) -> str:
        return f"{{items}}:{self._kind.name}:{item}"  # in braces: in a Redis Cluster one MGET reaches one node
