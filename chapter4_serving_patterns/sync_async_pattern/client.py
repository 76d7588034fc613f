"""The slow path as this service sees it: a queue behind HTTP, the asynchronous pattern's API."""

import math
import time
import uuid
from typing import Self

import aiohttp
import msgspec
import structlog

from mlsys.errors import BadGateway, NotReady
from mlsys.upstream import Reply, Upstream

from .answer import as_service_error, require_job, taken
from .both import NotQueued, WhyNot

_READY_S = 0.5
_SILENT_S = 10.0  # between two lines of the log for one reason: the metric counts, the log explains


class Job(msgspec.Struct):
    """The picture's file; msgspec writes bytes as base64."""

    image_data: bytes


class QueueClient:
    """Connections to one queue, kept between `async with` and its end; at most so many requests are in progress."""

    def __init__(self, url: str, max_connections: int) -> None:
        self._queue = Upstream("The queue", url, max_connections=max_connections)
        self._said_at: dict[WhyNot, float] = {}

    async def __aenter__(self) -> Self:
        await self._queue.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._queue.__aexit__()

    async def enqueue(self, picture: bytes) -> str:
        """The new job's id. It takes as long as the queue does: the caller bounds it. Raises: NotQueued."""
        # With the key a job that is sent twice, because a connection broke, is queued once.
        once = {"Idempotency-Key": str(uuid.uuid4())}
        body = msgspec.json.encode(Job(picture))
        try:
            return self._taken(await self._queue.ask("POST", "/predict", body, headers=once, timeout_s=None))
        except NotReady as error:
            raise self._not_queued(WhyNot.DOWN, str(error)) from error
        except BadGateway as error:
            raise self._not_queued(WhyNot.REFUSED, str(error)) from error

    async def job(self, job_id: uuid.UUID, timeout_s: float) -> bytes:
        """What the queue says of a job, as JSON. Raises: NotFound, NotReady, BadGateway, DeadlineExceeded."""
        status, answer = await self._queue.ask("GET", f"/job/{job_id}", timeout_s=timeout_s)
        if status != 200:
            raise as_service_error(status, answer)
        require_job(answer, job_id)
        return answer

    async def events(self, job_id: uuid.UUID, timeout_s: float) -> aiohttp.ClientResponse:
        """The queue's event stream about a job, begun within `timeout_s`; the caller closes it. Raises: as `job`."""
        response = await self._queue.open(f"/job/{job_id}/events", timeout_s=timeout_s)
        if response.status == 200:
            return response
        response.close()
        raise as_service_error(response.status, b"")

    async def ready(self) -> None:
        """A check. Raises: NotReady, BadGateway, DeadlineExceeded."""
        await self._queue.get("/ready", timeout_s=_READY_S)

    def _taken(self, reply: Reply) -> str:
        if reply.status != 200:
            why = {429: WhyNot.FULL, 503: WhyNot.DOWN, 504: WhyNot.LATE}.get(reply.status, WhyNot.REFUSED)
            raise self._not_queued(why, f"status {reply.status}: {reply.body[:200]!r}")
        return taken(reply.body)

    def _not_queued(self, why: WhyNot, reason: str) -> NotQueued:
        now = time.monotonic()
        if now - self._said_at.get(why, -math.inf) > _SILENT_S:
            self._said_at[why] = now
            structlog.get_logger("queue").warning("no better answers", why=why, reason=reason)
        return NotQueued(why)
