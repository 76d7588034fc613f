"""Event streams: who waits is told, whatever gets lost; and no more are kept open than the service wants."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mlsys import pictures
from mlsys.redis import connect, connect_blocking
from mlsys.redis_server import RedisServer

from ..changes import Changes
from .api import RESULT, Api, Stream, settings_of, until

FAR_S = 50.0
"""A CHECK_S so long that what a test sees within its time has come by the subscription."""


@pytest.fixture(scope="module")
def cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the sample."""
    path = tmp_path_factory.mktemp("pictures") / "cat.png"
    path.write_bytes(pictures.content("cat"))
    return path


@pytest.fixture
def serve(cat: Path) -> Iterator[Callable[..., Any]]:
    """To be called with the URL of a Redis and settings: the API, serving."""
    yield lambda url, **values: Api(settings_of(url, cat, **values)).serving()


@asynccontextmanager
async def watching(api: Api, *job_ids: str) -> AsyncIterator[list[Stream]]:
    """Streams of the jobs, each of which has told something; their callers leave at the end."""
    streams = [Stream(api, job_id) for job_id in job_ids]
    try:
        await until(lambda: all(stream.told() for stream in streams))
        yield streams
    finally:
        for stream in streams:
            stream.leave()
        await asyncio.gather(*(stream.task for stream in streams))


async def finish(api: Api, count: int = 1) -> None:
    leases = await api.jobs.lease("host-1-0000", count)
    assert len(await api.jobs.finish([(lease, RESULT.encode()) for lease in leases])) == count


def test_each_change_is_told_until_the_job_is_done(serve: Callable[..., Any], redis_url: str) -> None:
    with serve(redis_url, check_s=FAR_S) as api:
        job_id = api.enqueued()

        async def live() -> None:
            async with watching(api, job_id) as (stream,):
                (lease,) = await api.jobs.lease("host-1-0000", 1)
                await until(lambda: len(stream.told()) == 2)
                await api.jobs.finish([(lease, RESULT.encode())])
                await asyncio.wait_for(stream.task, 20)  # it ends by itself
                assert stream.states() == ["queued", "running", "done"]
                assert stream.told()[-1]["prediction"] == "cat"

        api.run(live())


def test_a_job_that_dies_or_is_deleted_ends_its_stream(serve: Callable[..., Any], redis_url: str) -> None:
    with serve(redis_url, check_s=FAR_S) as api:
        dead, deleted = api.enqueued(), api.enqueued()

        async def live() -> None:
            async with watching(api, dead, deleted) as (first, second):
                (lease,) = await api.jobs.lease("host-1-0000", 1)
                await api.jobs.fail(lease, "no picture", poison=True)
                await api.jobs.delete(deleted)
                await asyncio.wait_for(asyncio.gather(first.task, second.task), 20)
                assert (first.states()[-1], first.told()[-1]["reason"]) == ("dead", "no picture")
                assert second.states() == ["queued", "gone"]

        api.run(live())


def test_the_stream_of_a_job_that_is_over_ends_at_once(serve: Callable[..., Any], redis_url: str) -> None:
    with serve(redis_url, check_s=FAR_S) as api:
        job_id = api.enqueued()
        api.run(finish(api))
        answer = api.ask("GET", f"/job/{job_id}/events")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert answer.headers["cache-control"] == "no-store"
        first, event, end = answer.body.decode().split("\n\n")
        assert (first, event[:7], end) == ("retry: 1000", "data: {", "")


def test_all_streams_share_one_subscription(serve: Callable[..., Any], redis_url: str) -> None:
    with serve(redis_url, check_s=FAR_S) as api, connect_blocking(redis_url) as client:
        jobs = [api.enqueued() for _ in range(5)]

        async def live() -> None:
            async with watching(api, *jobs, *jobs) as streams:
                assert client.pubsub_numsub("{jobs}:events") == [(b"{jobs}:events", 1)]
                await finish(api, 5)
                await asyncio.wait_for(asyncio.gather(*(stream.task for stream in streams)), 20)
                assert {stream.states()[-1] for stream in streams} == {"done"}

        api.run(live())


def test_there_is_a_bound_and_a_caller_who_leaves_makes_room(serve: Callable[..., Any], redis_url: str) -> None:
    with serve(redis_url, check_s=FAR_S, max_streams=2) as api:
        jobs = [api.enqueued() for _ in range(3)]

        async def live() -> None:
            async with watching(api, *jobs[:2]) as (leaving, _):
                third = Stream(api, jobs[2])
                await asyncio.wait_for(third.task, 20)
                assert (third.status, "over_capacity" in third.text) == (503, True)
                leaving.leave()
                await asyncio.wait_for(leaving.task, 20)
                async with watching(api, jobs[2]) as (fourth,):
                    assert fourth.status == 200

        api.run(live())


def test_the_bound_holds_also_for_callers_who_come_at_once(serve: Callable[..., Any], redis_url: str) -> None:
    with serve(redis_url, check_s=FAR_S, max_streams=3) as api:
        job_id = api.enqueued()

        async def live() -> None:
            streams = [Stream(api, job_id) for _ in range(40)]
            await until(lambda: all(stream.task.done() or stream.told() for stream in streams))
            for stream in streams:
                stream.leave()
            await asyncio.gather(*(stream.task for stream in streams))
            assert sorted(stream.status for stream in streams) == [200] * 3 + [503] * 37

        api.run(live())


def test_what_happened_while_redis_was_away_is_told_when_it_is_back(
    serve: Callable[..., Any], own_redis: RedisServer
) -> None:
    with serve(own_redis.url(), check_s=FAR_S) as api:
        job_id = api.enqueued()

        async def live() -> None:
            async with watching(api, job_id) as (stream,):
                await asyncio.to_thread(own_redis.kill)
                await asyncio.to_thread(own_redis.start)
                await finish(api)  # perhaps before the subscription is there again
                await asyncio.wait_for(stream.task, 20)
                assert stream.states()[-1] == "done"

        api.run(live())


def test_without_any_event_a_stream_is_late_and_not_wrong(serve: Callable[..., Any], redis_url: str) -> None:
    with serve(redis_url, check_s=0.1) as api, connect_blocking(redis_url) as client:
        job_id = api.enqueued()

        async def live() -> None:
            async with watching(api, job_id) as (stream,):
                await until(lambda: stream.text.endswith("\n\n:\n\n"))  # a sign of life meanwhile
                client.hset(f"{{jobs}}:job:{job_id}", mapping={"state": "done", "result": RESULT.encode()})
                await asyncio.wait_for(stream.task, 20)
                assert stream.states() == ["queued", "done"]

        api.run(live())


def test_a_redis_that_is_silent_for_a_while_ends_no_stream(serve: Callable[..., Any], own_redis: RedisServer) -> None:
    with serve(own_redis.url(), check_s=0.2) as api:
        job_id = api.enqueued()

        async def live() -> None:
            async with watching(api, job_id) as (stream,):
                seen = len(stream.text)
                os.kill(own_redis.pid, signal.SIGSTOP)
                await until(lambda: len(stream.text) > seen + 3)  # it goes on to show that it is alive
                os.kill(own_redis.pid, signal.SIGCONT)
                await finish(api)
                await asyncio.wait_for(stream.task, 20)
                assert stream.states()[-1] == "done"

        api.run(live())


def test_a_stop_ends_the_streams_and_not_the_jobs(serve: Callable[..., Any], redis_url: str) -> None:
    with serve(redis_url, check_s=0.1) as api:
        job_id = api.enqueued()

        async def live() -> None:
            async with watching(api, job_id) as (stream,):
                api.app.stop()  # what SIGTERM calls
                await asyncio.wait_for(stream.task, 20)
                assert stream.states() == ["queued"]

        api.run(live())
        assert api.state(job_id)["state"] == "queued"


def test_a_stream_lasts_no_longer_than_the_setting_says(serve: Callable[..., Any], redis_url: str) -> None:
    with serve(redis_url, check_s=0.1, stream_s=0.3) as api:
        answer = api.ask("GET", f"/job/{api.enqueued()}/events")
        assert (answer.status, answer.body.count(b"data: ")) == (200, 1)


def test_a_change_of_place_in_the_queue_is_told_too(serve: Callable[..., Any], redis_url: str) -> None:
    with serve(redis_url, check_s=0.1) as api:
        _, second = api.enqueued(), api.enqueued()

        async def live() -> None:
            async with watching(api, second) as (stream,):
                assert stream.told()[0]["position"] == 1
                await finish(api)
                await until(lambda: len(stream.told()) == 2)
                assert (stream.told()[1]["state"], stream.told()[1]["position"]) == ("queued", 0)

        api.run(live())


def test_the_subscription_can_be_ended_at_every_moment_of_its_making(redis_url: str) -> None:
    async def begun_and_ended(steps: int) -> None:
        async with connect(redis_url) as client, Changes(client, "a channel", FAR_S).heard():
            for _ in range(steps):
                await asyncio.sleep(0)

    async def all_moments() -> None:
        async with asyncio.timeout(FAR_S):
            await asyncio.gather(*(begun_and_ended(steps) for steps in range(40)))

    asyncio.run(all_moments())
