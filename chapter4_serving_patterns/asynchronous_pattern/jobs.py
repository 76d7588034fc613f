"""The lesson: a queue in Redis that loses no job and stores no result twice, whatever dies and whenever.

Each step that must not be half done is one script, `scripts/<step>.lua`: Redis runs it whole or not at all, and each
may come twice. A worker does not take a job from the queue, it leases it; the job leaves the queue in the step that
stores its result. Who dies says nothing: its leases run out, and others get its jobs. Redis counts how often it has
delivered a job (the delivery count of the stream's entry), so attempts count too that nobody lived to report.

A lease is a consumer and the number of the attempt. A worker that was silent for too long has lost it, and can neither
extend nor return the job that another has meanwhile. Its result is welcome all the same: the first one counts.
"""

import hashlib
import re
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlsys.errors import Conflict
from mlsys.redis import Redis, answering

from .records import Dead, Enqueued, Full, Job, Lease, Policy, Queue, pace_ms, wait_s

GROUP, STREAM, WAITING, DEAD, PACE = "workers", "{jobs}:stream", "{jobs}:waiting", "{jobs}:dead", "{jobs}:pace"
JOB, PICTURE, KEY, EVENTS = "{jobs}:job:", "{jobs}:picture:", "{jobs}:key:", "{jobs}:events"
_KEYS = (STREAM, WAITING, DEAD, PACE, JOB, PICTURE, KEY, EVENTS)  # one {tag}: a Redis Cluster keeps them together
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Jobs:
    """The queue. Every method raises NotReady while Redis cannot be used; what was asked may have been done then."""

    def __init__(self, client: Redis, policy: Policy) -> None:
        self._redis = client
        self._policy = policy
        scripts = (Path(__file__).parent / "scripts").glob("*.lua")
        self._scripts = {file.stem: client.register_script(file.read_text()) for file in scripts}

    async def enqueue(self, picture: bytes, *, key: str = "") -> Enqueued:
        """A new job; or the one that was enqueued with this key before, and with the same picture.

        Raises: Full; Conflict if the key came with another picture.
        """
        digest, named = _sha256(picture), _sha256(key.encode()) if key else ""
        arguments = (str(uuid.uuid4()), digest, picture, self._policy.max_queue, named)
        said, id_, depth, *pace = await self._run("enqueue", GROUP, *arguments)
        if said == b"full":
            raise Full(depth, wait_s(depth, pace_ms(*pace[0])))
        if said == b"conflict":
            raise Conflict("This Idempotency-Key has come with another picture before: use a new one.")
        return Enqueued(id_.decode(), said == b"new")

    async def job(self, id_: str) -> Job | None:
        """The job, or None if there is none, or its record cannot be read."""
        found = await self._run("job", id_) if _ID.fullmatch(id_) else None
        if not found:
            return None
        state, attempts, position, result, reason, pace = found
        estimate = None if position is None else wait_s(position + 1, pace_ms(*pace))
        return Job(_text(state), attempts, position, estimate, result, _text(reason or b"") or None)

    async def delete(self, id_: str) -> bool:
        """Remove a job, whatever its state, its picture and its result; False if there is none."""
        return bool(_ID.fullmatch(id_) and await self._run("delete", GROUP, id_))

    async def queue(self) -> Queue:
        """How the queue is."""
        depth, dead, workers, pace = await self._run("queue", GROUP)
        return Queue(depth, pace_ms(*pace), dead, [(_text(name), pending) for name, pending in workers])

    async def lease(self, consumer: str, count: int, block_ms: int = 0) -> list[Lease]:
        """Up to `count` jobs: those of who has died, then new ones. If there are none, wait `block_ms` for a new one.

        What cannot be worked on becomes a dead letter: damaged records, and jobs that were delivered too often.
        """
        arguments = (GROUP, consumer, count, self._policy.lease_ms, self._policy.max_attempts)
        newest, rows = await self._run("lease", *arguments)
        if not rows and block_ms:
            with answering():
                await self._redis.xread({STREAM: newest}, count=1, block=block_ms)
            _, rows = await self._run("lease", *arguments)
        leases = []
        for entry, id_, attempt, digest, picture in rows:
            lease = Lease(_text(id_), _text(entry), picture, attempt, consumer)
            if _sha256(picture).encode() != digest:
                await self._bury(lease, "Its record or its picture in Redis is damaged.")
            elif attempt > self._policy.max_attempts:
                await self._bury(lease, f"Delivered {attempt - 1} times, and no worker lived to say how it went.")
            else:
                leases.append(lease)
        return leases

    async def extend(self, leases: Iterable[Lease]) -> set[str]:
        """Begin leases of one consumer anew; return the ids of those that it still has."""
        by_entry = {lease.entry: lease for lease in leases}
        pairs = [item for lease in by_entry.values() for item in (lease.entry, lease.attempt)]
        consumer = next((lease.consumer for lease in by_entry.values()), "")
        held = await self._run("extend", GROUP, consumer, *pairs) if pairs else []
        return {by_entry[_text(entry)].id for entry in held}

    async def finish(self, results: Iterable[tuple[Lease, bytes]]) -> set[str]:
        """Store results; return the ids of the jobs that had none, and were not deleted meanwhile."""
        pairs = [item for lease, result in results for item in (lease.id, result)]
        stored = await self._run("finish", GROUP, self._policy.result_ttl_s, *pairs) if pairs else []
        return {_text(id_) for id_ in stored}

    async def fail(self, lease: Lease, reason: str, *, poison: bool = False) -> None:
        """Have a job tried again later; with poison, or after too many attempts, it becomes a dead letter."""
        if poison or lease.attempt >= self._policy.max_attempts:
            await self._bury(lease, reason)
        else:
            pause_ms = min(self._policy.retry_ms << (lease.attempt - 1), self._policy.lease_ms)
            await self._if_held("put_back", lease, self._policy.lease_ms - pause_ms, lease.attempt, reason)

    async def give_back(self, leases: Iterable[Lease]) -> None:
        """Have jobs delivered again at once, as if these leases had not been."""
        for lease in leases:
            await self._if_held("put_back", lease, self._policy.lease_ms, lease.attempt - 1, "")

    async def dead(self, count: int) -> list[Dead]:
        """The oldest dead letters."""
        letters = await self._run("dead", count)
        return [Dead(_text(id_), _text(why), _text(attempts), int(at)) for id_, why, attempts, at in letters]

    async def requeue(self, id_: str) -> bool:
        """Put a dead job at the end of the queue, as if it were new; False if it is not dead, or its picture gone."""
        return bool(_ID.fullmatch(id_) and await self._run("requeue", GROUP, id_))

    async def forget(self, idle_ms: int) -> None:
        """Drop the names of consumers that have asked for nothing for so long, and have nothing."""
        await self._run("forget", GROUP, idle_ms)

    async def _bury(self, lease: Lease, reason: str) -> None:
        await self._if_held("bury", lease, reason, self._policy.dead_ttl_s, self._policy.max_dead)

    async def _if_held(self, script: str, lease: Lease, *arguments: str | int) -> None:
        await self._run(script, GROUP, lease.consumer, lease.entry, lease.attempt, lease.id, *arguments)

    async def _run(self, script: str, *arguments: str | bytes | int) -> Any:  # noqa: ANN401  # whatever it returns
        with answering():
            return await self._scripts[script](keys=_KEYS, args=arguments)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _text(content: bytes) -> str:
    return content.decode(errors="replace")
