"""The command for dead letters: what it prints, and what it queues again."""

import asyncio
import os
import subprocess
import sys
import uuid

import pytest

from mlsys.catalogue import ROOT
from mlsys.redis import connect

from ..jobs import Jobs
from .redis_queue import POLICY, play

MODULE = "chapter4_serving_patterns.asynchronous_pattern.dead"

pytestmark = pytest.mark.e2e


def dead(url: str, *arguments: str, columns: int = 160) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"REDIS_URL": url, "COLUMNS": str(columns)}
    command = [sys.executable, "-m", MODULE, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


async def kill(jobs: Jobs, *pictures: bytes) -> list[str]:
    ids = [(await jobs.enqueue(picture)).id for picture in pictures]
    for lease in await jobs.lease("anna", len(pictures)):
        await jobs.fail(lease, f"Because of {lease.picture!r} [/here].", poison=True)
    return ids


def test_dead_letters_are_listed_and_queued_again_one_or_all(redis_url: str) -> None:
    async def scenario(jobs: Jobs, _: object) -> None:
        ids = await kill(jobs, b"one", b"two", b"three")
        shown = await asyncio.to_thread(dead, redis_url, "list")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert all(id_ in shown.stdout for id_ in ids)
        assert "Because of b'two' [/here]." in shown.stdout, "a reason is no markup"
        one = await asyncio.to_thread(dead, redis_url, "requeue", ids[1])
        assert (one.returncode, one.stdout) == (0, "Jobs queued again: 1.\n")
        rest = await asyncio.to_thread(dead, redis_url, "requeue", "--all")
        assert (rest.returncode, rest.stdout) == (0, "Jobs queued again: 2.\n")
        assert [lease.id for lease in await jobs.lease("bob", 9)] == [ids[1], ids[0], ids[2]]
        assert await jobs.dead(9) == []

    play(redis_url, scenario)


def test_an_id_can_be_copied_from_a_narrow_terminal(redis_url: str) -> None:
    async def scenario(jobs: Jobs, _: object) -> None:
        ids = await kill(jobs, b"one")
        shown = await asyncio.to_thread(dead, redis_url, "list", columns=80)
        assert ids[0] in shown.stdout

    play(redis_url, scenario)


def test_what_is_not_dead_is_named_and_the_rest_queued_again(redis_url: str) -> None:
    async def run() -> tuple[str, str]:
        async with connect(redis_url) as client:
            (id_,) = await kill(Jobs(client, POLICY), b"one")
            return id_, str(uuid.uuid4())

    id_, unknown = asyncio.run(run())
    done = dead(redis_url, "requeue", unknown, id_)
    assert (done.returncode, done.stdout) == (1, "Jobs queued again: 1.\n")
    assert done.stderr == f"Not dead, or the picture is gone: {unknown}.\n"


def test_a_redis_that_is_away_is_one_sentence() -> None:
    done = dead("redis://127.0.0.1:1/0", "list")
    assert done.returncode == 1
    assert done.stderr == "Redis does not answer; try again.\n"
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("count", ["0", "-1", "1.5", "many", "9" * 30])
def test_a_count_of_letters_that_is_none_is_refused_in_one_sentence(count: str) -> None:
    done = dead("redis://127.0.0.1:1/0", "list", f"--count={count}")
    assert done.returncode == 2
    assert done.stderr.endswith(f"error: argument --count: {count!r} is not a number from 1 to 1000000\n")
