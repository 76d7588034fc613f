"""Assembly of the API: it puts pictures into the queue, and says what has become of them. No model is near."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

from fastapi import Path
from fastapi.responses import StreamingResponse

from mlsys.app import Service
from mlsys.cifar10 import LABELS
from mlsys.errors import NotFound
from mlsys.openapi import example
from mlsys.picture import read_sample
from mlsys.redis import connect, ready

from . import __doc__ as intent  # the pattern's one sentence
from . import answers, describe
from .changes import Changes
from .events import HEADERS, Events, Limits
from .jobs import EVENTS, Jobs
from .settings import Settings
from .upload import add_upload

JobId = Annotated[str, Path(examples=[answers.JOB_ID])]


def create_app(settings: Settings | None = None) -> Service:
    """The service; it connects to nothing before it serves. Raises: SettingsError, StartupError."""
    settings = settings or Settings()
    service = Service(title="asynchronous_pattern", description=intent or "", settings=settings)
    client = connect(settings.redis_url)
    jobs = Jobs(client, settings.policy())
    changes = Changes(client, EVENTS, settings.check_s)
    limits = Limits(settings.max_streams, settings.stream_s, settings.check_s)
    events = Events(changes, partial(look, jobs), lambda: service.stopping, limits)

    @asynccontextmanager
    async def connected() -> AsyncIterator[None]:
        async with client, changes.heard():
            yield

    service.while_serving(connected)
    service.ready_when("redis", partial(ready, client))
    longest_s = settings.stream_s + settings.request_timeout_s
    service.allow("/job/", max_body_bytes=settings.max_body_bytes, timeout_s=longest_s)
    add_upload(service, jobs, read_sample(settings.sample_path))
    add_jobs(service, jobs, events)
    add_description(service, describe.metadata(settings.model_name))
    return service


def add_jobs(service: Service, jobs: Jobs, events: Events) -> None:
    """The routes of one job and of the queue."""

    @service.get("/job/{job_id}", responses=example({answers.JOB_ID: answers.DONE}) | describe.refused(404))
    async def job(job_id: JobId) -> dict[str, answers.JobState]:
        """What has become of a job. Its prediction is "" until it is done."""
        return {job_id: await _known(jobs, job_id)}

    @service.delete("/job/{job_id}", responses=example({answers.JOB_ID: answers.DELETED}) | describe.refused(404))
    async def delete(job_id: JobId) -> dict[str, answers.Deleted]:
        """Forget a job, its picture and its result; if a worker has it already, what comes of it is dropped."""
        if not await jobs.delete(job_id):
            raise _no_job(job_id)
        return {job_id: answers.DELETED}

    @service.get("/job/{job_id}/events", responses=describe.stream(), response_class=StreamingResponse)
    async def job_events(job_id: JobId) -> StreamingResponse:
        """As server-sent events, what GET /job/{job_id} would answer, each time that it has changed.

        The last one says done, dead or gone. An EventSource must be closed then, or it connects again.
        """
        await _known(jobs, job_id)
        return StreamingResponse(await events.of(job_id), media_type="text/event-stream", headers=HEADERS)

    @service.get("/queue", responses=example(answers.QUEUE))
    async def queue() -> answers.QueueState:
        """How many jobs wait, how fast they go, how many are dead, and how many each worker holds."""
        found = await jobs.queue()
        return {"depth": found.depth, "pace_ms": found.pace_ms, "dead": found.dead, "workers": dict(found.workers)}


def add_description(service: Service, about: answers.Metadata) -> None:
    """The routes that say what the service takes and gives."""

    @service.get("/metadata", responses=example(about))
    async def metadata() -> answers.Metadata:
        """Types of input and output, with samples, and the name of the model that the workers ask."""
        return about

    @service.get("/label", responses=example(list(LABELS)))
    async def label() -> list[str]:
        """The classes."""
        return list(LABELS)


async def look(jobs: Jobs, job_id: str) -> answers.JobState | None:
    """The job as its caller sees it, None if there is none. Raises: NotReady."""
    found = await jobs.job(job_id)
    return found and answers.state(found)


async def _known(jobs: Jobs, job_id: str) -> answers.JobState:
    state = await look(jobs, job_id)
    if not state:
        raise _no_job(job_id)
    return state


def _no_job(job_id: str) -> NotFound:
    return NotFound(f"There is no job {job_id[:80]!r}: it never was, was deleted, or its time is over.")
