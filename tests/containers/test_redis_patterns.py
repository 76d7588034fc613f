"""The patterns on Redis in containers: with the Redis that Compose starts, and with one that is killed."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from typing import Any

import pytest

from mlsys.catalogue import ROOT
from mlsys.testing import eventually

from .stack import Stack, docker

pytestmark = pytest.mark.containers

PATTERNS = ROOT / "chapter4_serving_patterns"
JOBS = 30


@pytest.fixture
def start() -> Iterator[Callable[[str], Stack]]:
    """`start(pattern)` builds and starts its containers and waits; the test's end removes them."""
    started: list[Stack] = []

    def start(pattern: str) -> Stack:
        started.append(Stack(PATTERNS / pattern))
        started[-1].build()
        started[-1].up()
        started[-1].wait_until_healthy()
        return started[-1]

    yield start
    for stack in started:
        stack.down()


def ask(stack: Stack, path: str, body: bytes | None = None) -> tuple[int, Any, Message]:
    """Status, JSON and headers of an answer."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{stack.port}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response), response.headers
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), error.headers


def state(stack: Stack, job: str) -> str:
    """A job's state, or the code of the error that is answered instead."""
    status, answer, _ = ask(stack, f"/job/{job}")
    return str(answer[job]["state"] if status == 200 else answer["error"]["code"])


def test_jobs_that_were_accepted_are_done_also_when_redis_and_the_worker_are_killed(
    start: Callable[[str], Stack],
) -> None:
    stack = start("asynchronous_pattern")
    jobs = [ask(stack, "/predict/test")[1]["job_id"] for _ in range(JOBS)]
    docker("kill", stack.container("redis"), stack.container("worker"))
    assert {state(stack, job) for job in jobs} == {"not_ready"}
    docker("start", stack.container("redis"), stack.container("worker"))
    eventually(lambda: {state(stack, job) for job in jobs} == {"done"}, deadline_s=60, every_s=0.2)


def test_the_better_answer_comes_under_the_job_id_of_the_fast_one(start: Callable[[str], Stack]) -> None:
    stack = start("sync_async_pattern")
    status, answer, _ = ask(stack, "/predict/test")
    assert (status, answer["why_not"]) == (200, None)
    eventually(lambda: state(stack, answer["job_id"]) == "done", deadline_s=30, every_s=0.1)


@pytest.mark.parametrize("pattern", ["prediction_cache_pattern", "data_cache_pattern"])
def test_a_cache_answers_again_and_does_without_redis(start: Callable[[str], Stack], pattern: str) -> None:
    def found() -> str:
        status, answer, headers = ask(stack, "/predict", b'{"data": "0001"}')
        assert (status, len(answer["prediction"])) == (200, 10)
        return headers["X-Cache"]

    stack = start(pattern)
    eventually(lambda: found() == "hit", deadline_s=10)
    docker("kill", stack.container("redis"))
    eventually(lambda: found() == "bypass", deadline_s=10)
    docker("start", stack.container("redis"))
    eventually(lambda: found() == "hit", deadline_s=30)
