"""Workers on a real Redis, before a stand-in for the model server: what they do when pictures, servers or they fail."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from PIL import Image
from pydantic import SecretStr

from mlsys.catalogue import ROOT
from mlsys.cifar10 import LABELS
from mlsys.errors import NotReady
from mlsys.ports import free_port
from mlsys.redis import Redis, connect
from mlsys.redis_server import RedisServer
from mlsys.remote import RemoteModel
from mlsys.testing import eventually

from ..holding import Holding
from ..jobs import GROUP, JOB, STREAM, Jobs
from ..prediction import Prediction
from ..predictor import Predictor
from ..records import Job, Lease, Policy
from ..settings import Settings
from ..worker import Worker
from .standin import StandIn

DEADLINE_S = 60.0
MODULE = "chapter4_serving_patterns.asynchronous_pattern.worker"


def picture(red: int) -> bytes:
    """A picture of which the stand-in says `label <red>`."""
    content = io.BytesIO()
    Image.new("RGB", (40, 40), (red, 0, 0)).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def standin() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    server.stop()


class WatchedJobs(Jobs):
    """Counts the results that Redis did not take; `client` is what it asks."""

    def __init__(self, client: Redis, policy: Policy) -> None:
        super().__init__(client, policy)
        self.client = client
        self.refused = 0

    async def finish(self, results: Iterable[tuple[Lease, bytes]]) -> set[str]:
        try:
            return await super().finish(results)
        except NotReady:
            self.refused += 1
            raise


@asynccontextmanager
async def queue(url: str, **settings: Any) -> AsyncIterator[tuple[WatchedJobs, Settings]]:  # noqa: ANN401
    values: dict[str, Any] = {"retry_ms": 1, "block_ms": 50, "batch": 8, "lanes": 1, **settings}
    read = Settings(redis_url=SecretStr(url), **values)
    async with connect(url, timeout_s=1.8, connect_timeout_s=DEADLINE_S) as client:
        yield WatchedJobs(client, read.policy()), read


@asynccontextmanager
async def working(jobs: Jobs, settings: Settings, standin: StandIn, name: str = "a worker") -> AsyncIterator[Worker]:
    """A worker in this process, which is told to stop at the end."""
    model = RemoteModel(standin.target, "a_model")
    predictor = Predictor(model, timeout_s=settings.model_timeout_s, decode_threads=1)
    worker = Worker(Holding(jobs, name, settings.lease_ms), predictor, settings)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
        worker.stop()
        await running
    finally:
        running.cancel()
        await predictor.close()


async def soon(condition: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not await condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.01)


async def job(jobs: Jobs, id_: str) -> Job:
    found = await jobs.job(id_)
    assert found
    return found


async def ended(jobs: Jobs, *ids: str) -> list[str]:
    """Wait until the jobs are done or dead; the labels, or the states of those without."""

    async def all_ended() -> bool:
        return all([(await job(jobs, id_)).state in ("done", "dead") for id_ in ids])

    await soon(all_ended)
    found = [await job(jobs, id_) for id_ in ids]
    predictions = [Prediction.decode(each.result or b"") for each in found]
    return [prediction.label if prediction else each.state for prediction, each in zip(predictions, found, strict=True)]


async def enqueue(jobs: Jobs, *contents: bytes) -> list[str]:
    return [(await jobs.enqueue(content)).id for content in contents]


def test_what_waits_is_predicted_in_batches_and_each_job_gets_its_own_answer(redis_url: str, standin: StandIn) -> None:
    async def run() -> None:
        async with queue(redis_url) as (jobs, settings):
            ids = await enqueue(jobs, *(picture(number % 10) for number in range(20)))
            async with working(jobs, settings, standin):
                assert await ended(jobs, *ids) == [LABELS[number % 10] for number in range(20)]
            assert standin.batches == [8, 8, 4]
            result = (await job(jobs, ids[3])).result
            assert result
            assert Prediction.decode(result) == Prediction(LABELS[3], 1.0, "a_model", "1")

    asyncio.run(run())


def test_what_is_no_picture_is_a_dead_letter_at_once_and_its_neighbours_are_done(
    redis_url: str, standin: StandIn
) -> None:
    async def run() -> None:
        async with queue(redis_url) as (jobs, settings):
            ids = await enqueue(jobs, picture(1), b"no picture", picture(2), picture(3)[:60], b"")
            async with working(jobs, settings, standin):
                assert await ended(jobs, *ids) == [LABELS[1], "dead", LABELS[2], "dead", "dead"]
            assert [(await job(jobs, id_)).attempts for id_ in ids] == [1] * 5
            assert standin.batches == [2]
            assert "no picture of a known format" in ((await job(jobs, ids[1])).reason or "")

    asyncio.run(run())


def test_a_picture_that_the_server_refuses_is_tried_again_alone_and_its_neighbours_are_done(
    redis_url: str, standin: StandIn
) -> None:
    standin.refuse = lambda pixels: grpc.StatusCode.INVALID_ARGUMENT if (pixels[:, 0, 0, 0] == 6).any() else None

    async def run() -> None:
        async with queue(redis_url, max_attempts=2) as (jobs, settings):
            ids = await enqueue(jobs, *(picture(number) for number in range(8)))
            async with working(jobs, settings, standin):
                labels = await ended(jobs, *ids)
            assert labels == [LABELS[number] if number != 6 else "dead" for number in range(8)]
            refused = await job(jobs, ids[6])
            assert refused.attempts == 2
            assert "As it was told" in (refused.reason or "")
            assert standin.batches == [8, 4, 4, 2, 2, 1, 1, 1]

    asyncio.run(run())


def test_a_failure_that_cannot_be_reported_leaves_no_other_job_with_a_worker_that_is_at_none(
    redis_url: str, standin: StandIn
) -> None:
    standin.refuse = lambda _: grpc.StatusCode.INVALID_ARGUMENT
    standin.go.clear()

    async def run() -> None:
        async with queue(redis_url, max_attempts=2, lease_ms=1000) as (jobs, settings):
            ids = await enqueue(jobs, picture(1), picture(2))
            async with working(jobs, settings, standin):
                await soon(lambda: is_running(jobs, ids[1]))
                await jobs.client.set(JOB + ids[0], "no hash")
                standin.go.set()
                assert await ended(jobs, ids[1]) == ["dead"]
            assert (await job(jobs, ids[1])).attempts == 2

    asyncio.run(run())


def test_rubbish_from_the_server_is_no_result(redis_url: str, standin: StandIn) -> None:
    standin.rows = 2

    async def run() -> None:
        async with queue(redis_url, max_attempts=1) as (jobs, settings):
            ids = await enqueue(jobs, picture(1))
            async with working(jobs, settings, standin):
                assert await ended(jobs, *ids) == ["dead"]
            assert "shapes" in ((await job(jobs, ids[0])).reason or "")

    asyncio.run(run())


def test_a_model_server_that_is_away_costs_no_job_an_attempt_and_is_found_when_it_is_back(
    redis_url: str, standin: StandIn
) -> None:
    standin.stop()

    async def run() -> None:
        async with queue(redis_url, max_attempts=1) as (jobs, settings):
            ids = await enqueue(jobs, *(picture(number) for number in range(3)))
            async with working(jobs, settings, standin):
                await asyncio.to_thread(standin.start)
                assert await ended(jobs, *ids) == [LABELS[0], LABELS[1], LABELS[2]]

    asyncio.run(run())


def test_a_model_server_that_breaks_amid_a_batch_costs_an_attempt_and_no_more_however_long_it_is_away(
    redis_url: str, standin: StandIn
) -> None:
    async def run() -> None:
        async with queue(redis_url, max_attempts=3, retry_ms=500) as (jobs, settings), AsyncExitStack() as workers:
            for number in range(6):
                await workers.enter_async_context(working(jobs, settings, standin, f"worker {number}"))
            standin.go.clear()
            ids = await enqueue(jobs, picture(4))
            await asyncio.to_thread(eventually, lambda: standin.batches, deadline_s=DEADLINE_S)
            await asyncio.to_thread(standin.stop)
            await soon(lambda: is_back(jobs, ids[0], 1))
            await soon(lambda: nobody_leases(jobs))
            ids += await enqueue(jobs, picture(5))
            assert await is_back(jobs, ids[0], 1)
            await asyncio.to_thread(standin.start)
            assert await ended(jobs, *ids) == [LABELS[4], LABELS[5]]
            assert [(await job(jobs, id_)).attempts for id_ in ids] == [2, 1]

    asyncio.run(run())


async def nobody_leases(jobs: WatchedJobs) -> bool:
    """Whether no worker has asked for jobs for many times as long as it waits for them."""
    return all(consumer["idle"] > 1500 for consumer in await jobs.client.xinfo_consumers(STREAM, GROUP))


def test_a_picture_that_breaks_the_model_server_is_a_dead_letter_and_its_neighbours_are_done(
    redis_url: str, standin: StandIn
) -> None:
    standin.refuse = lambda pixels: grpc.StatusCode.UNAVAILABLE if (pixels[:, 0, 0, 0] == 6).any() else None

    async def run() -> None:
        async with queue(redis_url, max_attempts=3) as (jobs, settings):
            ids = await enqueue(jobs, *(picture(number) for number in range(8)))
            async with working(jobs, settings, standin):
                labels = await ended(jobs, *ids)
            assert labels == [LABELS[number] if number != 6 else "dead" for number in range(8)]
            deadly = await job(jobs, ids[6])
            assert deadly.attempts == 3
            assert "is not available" in (deadly.reason or "")

    asyncio.run(run())


async def is_running(jobs: Jobs, id_: str) -> bool:
    return (await job(jobs, id_)).state == "running"


async def was_refused(jobs: WatchedJobs) -> bool:
    return jobs.refused > 0


async def is_back(jobs: Jobs, id_: str, attempts: int) -> bool:
    return (await job(jobs, id_))[:2] == ("queued", attempts)


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.NOT_FOUND])
def test_a_model_server_that_has_no_room_or_no_such_model_costs_no_attempt(
    redis_url: str, standin: StandIn, code: grpc.StatusCode
) -> None:
    standin.refuse = lambda _: code if len(standin.batches) < 5 else None

    async def run() -> None:
        async with queue(redis_url, max_attempts=2) as (jobs, settings):
            ids = await enqueue(jobs, picture(1), picture(2))
            async with working(jobs, settings, standin):
                assert await ended(jobs, *ids) == [LABELS[1], LABELS[2]]
            assert (await job(jobs, ids[0])).attempts == 1
            assert standin.batches == [2] * 5

    asyncio.run(run())


def test_a_model_server_that_hangs_amid_a_batch_costs_an_attempt_and_no_more_however_long_it_does(
    redis_url: str, standin: StandIn
) -> None:
    async def run() -> None:
        async with queue(redis_url, max_attempts=2, model_timeout_s=2) as (jobs, settings):
            async with working(jobs, settings, standin):
                assert await ended(jobs, *await enqueue(jobs, picture(9))) == [LABELS[9]]
                standin.go.clear()
                ids = await enqueue(jobs, picture(1))
                await asyncio.to_thread(eventually, lambda: len(standin.batches) == 2, deadline_s=DEADLINE_S)
                standin.hangs = True
                await soon(lambda: is_back(jobs, ids[0], 1))
                await soon(lambda: nobody_leases(jobs))
                assert await is_back(jobs, ids[0], 1)
                standin.go.set()
                assert await ended(jobs, *ids) == [LABELS[1]]
            assert (await job(jobs, ids[0])).attempts == 2

    asyncio.run(run())


def test_a_model_for_something_else_gets_no_picture(redis_url: str, standin: StandIn) -> None:
    standin.channels = 1

    async def run() -> None:
        async with queue(redis_url) as (jobs, settings):
            ids = await enqueue(jobs, picture(1))
            async with working(jobs, settings, standin):
                await asyncio.to_thread(eventually, lambda: standin.asked > 2, deadline_s=DEADLINE_S)
                assert (await job(jobs, ids[0])).state == "queued"
                standin.channels = 3
                assert await ended(jobs, *ids) == [LABELS[1]]
            assert standin.batches == [1]

    asyncio.run(run())


@pytest.mark.parametrize("pause", [signal.SIGKILL, signal.SIGSTOP])
def test_a_redis_that_goes_and_comes_back_gets_the_result_that_was_computed_meanwhile(
    own_redis: RedisServer, standin: StandIn, pause: signal.Signals
) -> None:
    async def run() -> None:
        async with queue(own_redis.url()) as (jobs, settings), working(jobs, settings, standin):
            standin.go.clear()
            ids = await enqueue(jobs, picture(1))
            await soon(lambda: is_running(jobs, ids[0]))
            if pause == signal.SIGKILL:
                await asyncio.to_thread(own_redis.kill)
            else:
                os.kill(own_redis.pid, pause)
            standin.go.set()
            await soon(lambda: was_refused(jobs))
            if pause == signal.SIGKILL:
                await asyncio.to_thread(own_redis.start)
            else:
                os.kill(own_redis.pid, signal.SIGCONT)
            assert await ended(jobs, *ids) == [LABELS[1]]
            assert (await job(jobs, ids[0])).attempts == 1
            assert standin.batches == [1], "it was computed once"
            assert await ended(jobs, *await enqueue(jobs, picture(2))) == [LABELS[2]]

    asyncio.run(run())


def test_a_job_that_takes_longer_than_a_lease_is_kept_by_the_heartbeat(redis_url: str, standin: StandIn) -> None:
    async def run() -> None:
        async with queue(redis_url, lease_ms=2000, model_timeout_s=60) as (jobs, settings):
            async with working(jobs, settings, standin):
                standin.go.clear()
                ids = await enqueue(jobs, picture(1))
                await soon(lambda: is_running(jobs, ids[0]))
                end = time.monotonic() + 2 * settings.lease_ms / 1000
                while time.monotonic() < end:
                    assert await jobs.lease("another", 1, block_ms=200) == []
                standin.go.set()
                assert await ended(jobs, *ids) == [LABELS[1]]
            assert (await job(jobs, ids[0])).attempts == 1

    asyncio.run(run())


def test_a_worker_that_is_stopped_finishes_what_it_has_begun(redis_url: str, standin: StandIn) -> None:
    async def run() -> None:
        async with queue(redis_url, worker_grace_s=60, batch=1) as (jobs, settings):
            standin.go.clear()
            ids = await enqueue(jobs, picture(1), picture(2))
            async with working(jobs, settings, standin) as worker:
                await soon(lambda: is_running(jobs, ids[0]))
                worker.stop()
                standin.go.set()
            assert await ended(jobs, ids[0]) == [LABELS[1]]
            assert (await job(jobs, ids[1]))[:2] == ("queued", 0)

    asyncio.run(run())


def test_a_worker_that_is_stopped_gives_back_what_it_cannot_finish_in_time(redis_url: str, standin: StandIn) -> None:
    async def run() -> None:
        async with queue(redis_url, worker_grace_s=0.1, model_timeout_s=60) as (jobs, settings):
            standin.go.clear()
            ids = await enqueue(jobs, picture(1), picture(2))
            async with working(jobs, settings, standin) as worker:
                await soon(lambda: is_running(jobs, ids[1]))
                worker.stop()
            assert [(await job(jobs, id_))[:2] for id_ in ids] == [("queued", 0)] * 2
            assert [lease.id for lease in await jobs.lease("another", 9)] == ids

    asyncio.run(run())


StartWorker = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start_worker(tmp_path: Path, standin: StandIn) -> Iterator[StartWorker]:
    """`start_worker(redis_url, **environment)` starts a process; what it says is in worker-<n>.log."""
    started: list[subprocess.Popen[bytes]] = []

    def start(url: str, **environment: str) -> "subprocess.Popen[bytes]":
        own = {"REDIS_URL": url, "MODEL_TARGET": standin.target, "LOG_FORMAT": "json", "BLOCK_MS": "50", **environment}
        with (tmp_path / f"worker-{len(started)}.log").open("wb") as log:
            started.append(
                subprocess.Popen([sys.executable, "-m", MODULE], cwd=ROOT, env=os.environ | own, stdout=log, stderr=log)
            )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def metrics(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        content: bytes = answer.read()
    return content


@pytest.mark.e2e
def test_a_process_that_is_killed_loses_its_jobs_to_another_which_ends_by_sigterm(
    redis_url: str, standin: StandIn, start_worker: StartWorker, tmp_path: Path
) -> None:
    async def run() -> None:
        async with queue(redis_url) as (jobs, _):
            standin.go.clear()
            ids = await enqueue(jobs, *(picture(number) for number in range(6)))
            victim = start_worker(redis_url, LEASE_MS="1000")
            await soon(lambda: is_running(jobs, ids[5]))
            (name, held), *_ = (await jobs.queue()).workers
            assert f"-{victim.pid}-" in name
            assert held == 6
            victim.kill()
            standin.go.set()
            port = free_port()
            survivor = start_worker(redis_url, LEASE_MS="1000", WORKER_METRICS_PORT=str(port))
            assert await ended(jobs, *ids) == [LABELS[number] for number in range(6)]
            assert (await job(jobs, ids[5])).attempts == 2
            assert b'leases_ended_total{how="done"} 6.0' in await asyncio.to_thread(metrics, port)
            survivor.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(survivor.wait, DEADLINE_S) == 0

    asyncio.run(run())
    lines = [json.loads(line) for line in (tmp_path / "worker-1.log").read_text().splitlines()]
    assert [line["event"] for line in lines if line["level"] == "info"] == ["started", "stopped"]


@pytest.mark.e2e
def test_a_worker_without_redis_and_model_server_starts_and_waits_and_can_be_stopped(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker(f"redis://127.0.0.1:{free_port()}/0", MODEL_TARGET=f"127.0.0.1:{free_port()}")
    log = tmp_path / "worker-0.log"
    eventually(lambda: log.read_text().count('"waiting"') > 2, deadline_s=DEADLINE_S)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(DEADLINE_S) == 0
    assert "Traceback" not in log.read_text()


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"REDIS_URL": "http://nowhere"}, "REDIS_URL is not valid"),
        ({"REDIS_URL": ""}, "REDIS_URL is not set"),
        ({"LEASE_MS": "0"}, "LEASE_MS='0' is not valid"),
        ({"MODEL_TARGET": "nowhere"}, "MODEL_TARGET='nowhere' is not valid"),
    ],
)
def test_a_wrong_setting_is_one_sentence(environment: dict[str, str], sentence: str) -> None:
    own = {"REDIS_URL": "redis://nobody@127.0.0.1:1/0", **environment}
    command = [sys.executable, "-m", MODULE]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Cannot start: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
