"""Assembly: the fast model's answer goes out at once, the slow one's is proxied from the queue when it is there."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

from fastapi import Path as InPath
from fastapi import Response
from prometheus_client import Counter
from starlette.responses import StreamingResponse

from mlsys.app import Service
from mlsys.edge import remaining_s
from mlsys.errors import NotFound
from mlsys.picture import read_sample
from mlsys.remote import RemoteModel

from . import __doc__ as intent  # the pattern's one sentence
from . import describe
from .backends import add_description, trouble, wait_a_little
from .both import FAST, SLOW, Both, Bounds, Guess
from .client import QueueClient
from .fast import FastModel
from .settings import Settings
from .stream import Streams

JobId = Annotated[str, InPath(examples=[describe.JOB_ID])]
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def create_app(settings: Settings | None = None) -> Service:
    """The service. It answers nobody before the fast model does. Raises: SettingsError, StartupError."""
    settings = settings or Settings()
    service = Service(title="sync_async_pattern", description=intent or "", settings=settings)
    fast, slow = FastModel(settings), RemoteModel(settings.slow_target, SLOW)
    queue = QueueClient(settings.queue_url, settings.max_concurrency)

    async def guess(picture: bytes) -> Guess:
        return await fast.guess(picture, min(settings.fast_timeout_s, remaining_s()))

    async def fast_agrees() -> None:
        await fast.agree()

    async def queue_state() -> str | None:
        return await trouble(queue.ready)

    @asynccontextmanager
    async def connected() -> AsyncIterator[None]:
        try:
            async with queue:
                await wait_a_little(queue, settings.queue_wait_s, lambda: service.stopping)
                yield
        finally:
            await fast.close()
            await slow.close()

    bounds = Bounds(settings.fast_timeout_s, settings.queue_timeout_s)
    both = Both(guess, queue, bounds, settings.cascade_threshold)
    service.start_when(FAST, fast_agrees, within_s=settings.model_wait_s)
    service.while_serving(connected)
    service.ready_when(FAST, fast_agrees)
    service.ready_when("queue", queue_state)  # never against it: the fast answers need none
    add_predictions(service, both, settings)
    add_jobs(service, queue, settings)
    add_description(service, fast, slow, queue, settings.cascade_threshold)
    return service


def add_predictions(service: Service, both: Both, settings: Settings) -> None:
    """The routes that answer now, and may promise more."""
    sample = read_sample(settings.sample_path)
    answers = Counter(
        "sync_async_answers_total",
        "Fast answers, by why no better one will come (none: one will).",
        ["why_not"],
        registry=service.metrics.registry,
    )

    async def answered(picture: bytes) -> describe.Answer:
        found = await both.predict(picture, remaining_s)
        answers.labels(found.why_not or "none").inc()
        return describe.answer(found)

    @service.fast_post("/predict")
    async def predict(picture: describe.Picture) -> describe.Answer:
        """The fast model's label now, and the job id of the slow model's, if one will come."""
        return await answered(picture.image_data)

    @service.get("/predict/test", responses=describe.ANSWER)
    async def predict_test() -> describe.Answer:
        """The same for the sample."""
        return await answered(sample)


def add_jobs(service: Service, queue: QueueClient, settings: Settings) -> None:
    """The routes that pass on what the queue says of its jobs."""
    service.allow("/job/", max_body_bytes=1, timeout_s=settings.stream_s + settings.request_timeout_s)
    streams = Streams(settings.max_streams, settings.stream_s, lambda: service.stopping)

    @service.get("/job/{job_id}", responses=describe.JOB | describe.GONE)
    async def job(job_id: JobId) -> Response:
        """The slow model's answer, "" while there is none, and how the job stands."""
        answer = await queue.job(_known_form(job_id), settings.request_timeout_s)
        return Response(answer, media_type="application/json")

    @service.get("/job/{job_id}/events", responses=describe.EVENTS | describe.GONE, response_class=StreamingResponse)
    async def events(job_id: JobId) -> Response:
        """The same as server-sent events, one at each change, until there is nothing more to come."""
        found = _known_form(job_id)
        return await streams.open(lambda: queue.events(found, settings.request_timeout_s))


def _known_form(job_id: str) -> UUID:
    """Raises: NotFound of what can be no job, so that it gets into no other service's path."""
    if not _UUID.fullmatch(job_id):
        raise NotFound(f"There is no job {job_id[:40]!r}: an id is a uuid.")
    return UUID(job_id)
