"""The demo, run against the real processes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.redis_server import RedisServer
from mlsys.testing import Server, eventually, run_demo

PACKAGE = "chapter4_serving_patterns.asynchronous_pattern"

pytestmark = pytest.mark.e2e


@pytest.fixture
def run_module(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """`run_module(module, *options, **environment)` starts a process and does not wait; the test's end kills it."""
    started: list[subprocess.Popen[bytes]] = []

    def run(module: str, *options: str, **environment: str) -> None:
        with (tmp_path / f"process-{len(started)}.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", module, *options],
                    cwd=ROOT,
                    env={**os.environ, "LOG_FORMAT": "json", **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_it_shows_a_burst_a_worker_that_hangs_and_a_full_queue(
    start: Callable[..., Server], run_module: Callable[..., None], own_redis: RedisServer, models: Path
) -> None:
    port = free_port()
    shared = {"REDIS_URL": own_redis.url(), "LEASE_MS": "2000"}
    folder = models / "cifar10_large"
    run_module("mlsys.server", "--models", str(folder), "--http", str(free_port()), "--grpc", str(port))
    for _ in range(2):
        run_module(f"{PACKAGE}.worker", MODEL_TARGET=f"127.0.0.1:{port}", **shared)
    sample = models / "pictures" / "cat.png"
    server = start(f"{PACKAGE}.app:create_app", SAMPLE_PATH=str(sample), MAX_QUEUE="250", ACCESS_LOG="false", **shared)
    eventually(server.is_ready, deadline_s=60)
    shown = run_demo(PACKAGE, server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    printed = " ".join(shown.stdout.split())  # it is wrapped to the width of a terminal
    for expected in (
        "201 pictures were accepted, p50 ",
        "200 are done",
        "1 is dead: The 10 bytes are no picture of a known format",
        "2 workers are stopped, and 400 more sent: 150 got 429",
        "The queue is full: 250 jobs are not done yet",
        "250 jobs were deleted again",
    ):
        assert expected in printed
    assert "no worker on this machine" not in printed
