"""What one worker has leased: it is kept by a heartbeat until Redis has been told what became of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import prometheus_client
import structlog

from mlsys.errors import NotReady

from .jobs import Jobs
from .records import Lease

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
_FORGET_AFTER = 20  # leases
log = structlog.get_logger("worker")


class Holding:
    """The leases of the consumer `name`. `registry` has the metrics of what became of them."""

    def __init__(self, jobs: Jobs, name: str, lease_ms: int) -> None:
        self._jobs = jobs
        self._name = name
        self._lease_ms = lease_ms
        self._held: dict[str, Lease] = {}
        self._in_doubt = False
        self.registry = prometheus_client.CollectorRegistry()
        about = "Leases, by what became of them."
        self._ended = prometheus_client.Counter("leases_ended", about, ["how"], registry=self.registry)

    async def take(self, count: int, block_ms: int) -> list[Lease]:
        """Up to so many jobs, as Jobs.lease. Raises: NotReady."""
        if self._in_doubt:  # a lease whose answer gets lost is nobody's until it runs out: ask something else first
            await self._jobs.queue()
        self._in_doubt = False
        try:
            leases = await self._jobs.lease(self._name, count, block_ms)
        except NotReady:
            self._in_doubt = True
            raise
        self._held |= {lease.entry: lease for lease in leases}
        return leases

    async def finish(self, results: Sequence[tuple[Lease, bytes]]) -> None:
        """Store results, however long that takes."""
        await self._tell("done", [lease for lease, _ in results], lambda: self._jobs.finish(results))

    async def fail(self, lease: Lease, reason: str, *, poison: bool) -> None:
        """Report a failure, however long that takes."""
        log.warning("failed", job=lease.id, attempt=lease.attempt, reason=reason, poison=poison)
        how = "poison" if poison else "failed"
        await self._tell(how, [lease], lambda: self._jobs.fail(lease, reason, poison=poison))

    async def give_back(self, leases: Sequence[Lease]) -> None:
        """Return leases, however long that takes."""
        await self._tell("given_back", leases, lambda: self._jobs.give_back(leases))

    def drop(self, leases: Sequence[Lease]) -> None:
        """Let leases run out, so that others try: nobody is at work on these any more."""
        for lease in leases:
            self._held.pop(lease.entry, None)

    async def give_all_back(self) -> int:
        """Return what is left, at the end, in one try; how many that were. Raises: NotReady, and they run out then."""
        leases = list(self._held.values())
        await self._jobs.give_back(leases)
        return len(leases)

    async def beat(self) -> None:
        """Extend what is held, three times in the length of a lease, until this is cancelled."""
        while True:
            await asyncio.sleep(self._lease_ms / 3000)
            leases = list(self._held.values())
            try:
                kept = await self._jobs.extend(leases)
                await self._jobs.forget(_FORGET_AFTER * self._lease_ms)
            except NotReady:  # it has been logged; the next beat may be in time
                continue
            except Exception:
                log.exception("unexpected error")
                continue
            for lease in leases:
                if lease.id not in kept and lease.entry in self._held:
                    del self._held[lease.entry]
                    log.warning("lease lost", job=lease.id, attempt=lease.attempt)

    async def _tell(self, how: str, leases: Sequence[Lease], call: Callable[[], Awaitable[object]]) -> None:
        """Call, again and again while Redis is away: each of these calls may come twice."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await call()
                break
            except NotReady:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self.drop(leases)
        self._ended.labels(how).inc(len(leases))
